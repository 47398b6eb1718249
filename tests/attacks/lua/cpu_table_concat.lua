-- Tries to join elements without number in one call.
-- must: cpu or error "expected"
-- Needs Lua 5.3.

local endless = setmetatable({}, { __index = function() return "" end, __len = function() return 1e15 end })
return table.concat(endless, "", 1, 1e15)
