-- Tries to start jobs by every way there is.
-- must: values contained

local thread = require "llib".thread
for _, options in ipairs { {}, { sandbox = true }, { sandbox = { exec = true } }, { args = { 1 } } } do
  for _ = 1, 100 do
    if pcall(thread.async, "return 1", options) then return "started one" end
  end
end
for _, name in ipairs { "pool", "preload" } do
  if thread[name] and (pcall(thread[name]) and name == "pool" or pcall(thread[name], { size = 2 }) or pcall(thread[name], "string")) then
    return name .. " did something"
  end
end
return "contained"
