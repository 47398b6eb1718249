-- Tries to have the encoder call __clone without end.
-- must: values table or encode or cpu

local m = {}
m.__clone = function() while true do end end
m.__memcpy = true
return setmetatable({}, m)
