-- Tries the same, where the host wants metatables.
-- must: values table
-- with: { metatables = true }

local evil = function() while true do end end
return setmetatable({ 1 }, { __index = evil, __newindex = evil, __gc = evil, __len = evil, __tostring = evil, __pairs = evil, __name = evil })
