-- Tries to use up the stack of C by __tostring within __tostring.
-- must: error "overflow" or cpu

local t = setmetatable({}, { __tostring = function(t) return tostring(t) end })
return tostring(t)
