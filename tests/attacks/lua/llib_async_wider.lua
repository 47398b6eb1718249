-- Tries to give a job more than it was given itself.
-- must: values contained
-- with: { sandbox = { env = { "LANG" }, jobs = 2 } }

local thread = require "llib".thread
for _, sandbox in ipairs {
  { read = { "/" } }, { read = { "/etc/passwd" } }, { read = { "." } }, { read = { "" } }, { write = { "/tmp" } }, { write = { "/dev/shm" } },
  { env = { "TZ" } }, { env = { "LANG", "TZ" } }, { libs = { "attack" } }, { libs = { "llib", "io" } }, { net = true }, { exec = true },
  { best_effort = true, exec = true }, { jobs = 3 }, { jobs = 64 }, { jobs = -1 },
} do
  local ok, task = pcall(thread.async, "return 1", { sandbox = sandbox })
  if ok then return (next(sandbox)) .. " was granted" end
end
for _, options in ipairs { { functions = true }, { stdout = "capture" }, { stderr = "capture" }, { memory = "1T" }, { cpu = 1e9 } } do
  local ok, task = pcall(thread.async, "return 1", options)
  if ok and task:await() then return next(options) .. " was granted" end
end
return "contained"
