-- Tries to use up the stack of C by metamethods within metamethods.
-- must: error "overflow" or memory
-- with: { memory = "64M" }

local m = {}
local function new() return setmetatable({}, m) end
m.__concat = function() return new() .. new() end
m.__add = function() return new() .. new() end
return new() + new()
