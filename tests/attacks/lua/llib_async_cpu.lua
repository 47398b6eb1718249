-- Tries to have more CPU time by way of jobs, one after the other.
-- must: values contained

local thread = require "llib".thread
local used = 0
for _ = 1, 100 do
  local _, err = thread.async("while true do end"):await()
  if err.kind == "denied" then return used < 450 and "contained" or "used " .. used .. " ms" end
  used = used + err.usage.user + err.usage.system
end
return "never refused"
