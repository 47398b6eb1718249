-- Tries to leave jobs behind that run for ever, and jobs of these.
-- must: values contained

local thread = require "llib".thread
for _ = 1, 2 do
  local task = thread.async("require 'llib'.thread.async('while true do end') while true do end")
  task = nil
end
collectgarbage()
return "contained"
