-- Tries to fill the zygote's memory with names and grants of jobs.
-- must: values contained
-- with: { memory = "64M", sandbox = { env = { "LANG" } }, cpu = 3000 }

local thread = require "llib".thread
local variables = {}
for i = 1, 100000 do variables[i] = "LANG" end
for _, options in ipairs {
  { name = ("x"):rep(2 ^ 22) }, { sandbox = { env = variables } }, { sandbox = { read = variables } }, { sandbox = { libs = variables } },
} do
  local ok, problem = pcall(thread.async, "return 1", options)
  if ok and os.getenv "LANG" then return "it was taken" end
end
return #thread.async("return require 'llib'.thread.self().name", { name = ("x"):rep(4000) }):await() == 4000 and "contained"
