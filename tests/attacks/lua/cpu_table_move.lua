-- Tries to move elements without number in one call.
-- must: cpu
-- Needs Lua 5.3.

return table.move({}, 1, 1000000000000000, 2)
