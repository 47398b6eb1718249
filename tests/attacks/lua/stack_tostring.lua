-- Tries to use up the stack of C by __tostring within __tostring.
-- must: error "overflow"

local t = setmetatable({}, { __tostring = function(t) return tostring(t) end })
return tostring(t)
