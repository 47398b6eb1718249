-- Tries to go on beside a coroutine that called res.
-- must: values contained

local res = ...
local co = coroutine.wrap(function() pcall(res, "contained") end)
co()
co()
while true do end
