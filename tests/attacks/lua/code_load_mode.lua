-- Tries to confuse load by a mode that is not a string.
-- must: values contained

local evil = setmetatable({}, { __tostring = function() return "b" end, __index = string })
if pcall(load, "\27Lua", "x", evil) and load("\27Lua", "x") then return "loaded" end
if load("\27Lua", "x", "btb") or load("\27Lua", "x", "b\0t") then return "loaded" end
return "contained"
