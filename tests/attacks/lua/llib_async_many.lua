-- Tries to have more jobs at once than it may, by every way there is.
-- must: values contained

local thread = require "llib".thread
local tasks = {}
for i = 1, 100 do
  local ok, task = pcall(thread.async, "require 'llib'.thread.sleep(1e6)")
  if not ok then break end
  tasks[i] = task
end
if #tasks ~= 4 then return #tasks .. " jobs" end
for _, name in ipairs { "pool", "preload" } do
  if pcall(thread[name], { size = 2 }) or pcall(thread[name], "string") then return name .. " did something" end
end
return "contained"
