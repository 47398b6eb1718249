-- Tries to fill the heap with closures, each with an upvalue of its own.
-- must: memory

local last
while true do
  local before = last
  last = function() return before end
end
