-- Tries to loop in a finalizer.
-- must: cpu

-- Before Lua 5.2 tables have none.
local function finalized(f)
  if newproxy then getmetatable(newproxy(true)).__gc = f else setmetatable({}, { __gc = f }) end
end

finalized(function() while true do end end)
collectgarbage()
return "ended"
