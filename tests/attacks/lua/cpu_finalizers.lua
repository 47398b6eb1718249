-- Tries to have each finalizer make the next object with one.
-- must: cpu

local function again() setmetatable({}, { __gc = again }) end
again()
while true do collectgarbage() end
