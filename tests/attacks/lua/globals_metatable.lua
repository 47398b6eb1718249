-- Tries to have the globals' metatable loop.
-- must: values contained

local evil = function() while true do end end
setmetatable(_G, { __index = evil, __newindex = evil, __pairs = evil, __gc = evil, __tostring = evil, __metatable = evil })
return "contained"
