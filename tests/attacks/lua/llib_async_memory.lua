-- Tries to have more memory by way of jobs: each asks for as much as it has itself.
-- must: values contained

local thread = require "llib".thread
local tasks, bytes = {}, 0
for i = 1, 4 do
  tasks[i] = thread.async("local t = {} while true do t[#t + 1] = ('x'):rep(65536) .. #t require 'llib'.thread.sleep(1) end", { memory = "16M", cpu = 50 })
end
local refused, full = 0, 0
for i = 1, 4 do
  local _, err = tasks[i]:await()
  if err.kind == "denied" then refused = refused + 1 elseif err.kind == "memory" or err.kind == "cpu" then full = full + 1 end
end
return refused == 3 and full == 1 and "contained" or refused .. " were refused"
