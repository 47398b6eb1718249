-- Tries to loop in a finalizer.
-- must: cpu

setmetatable({}, { __gc = function() while true do end end })
collectgarbage()
return "ended"
