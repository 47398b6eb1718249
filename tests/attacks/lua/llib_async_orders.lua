-- Tries to keep the zygote busy, and to fill its memory, with orders for a job.
-- must: values contained or cpu or deadline

local thread = require "llib".thread
local task = thread.async("require 'llib'.thread.sleep(1e6)")
for i = 1, 100000 do
  task:close(1e9 - i)
  task:kill(i % 2 == 0 and "CONT" or "WINCH", 1e9 - i)
end
return "contained"
