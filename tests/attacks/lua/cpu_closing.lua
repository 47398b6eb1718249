-- Tries to loop in the end of a variable that is to be closed.
-- must: cpu
-- Needs Lua 5.4.

local _ <close> = setmetatable({}, { __close = function() while true do end end })
return "ended"
