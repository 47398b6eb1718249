-- Tries to run on after res, in a variable that is to be closed.
-- must: values contained
-- Needs Lua 5.4.

local res = ...
local _ <close> = setmetatable({}, { __close = function() while true do end end })
res("contained")
while true do end
