-- Tries to run on inside of mod, which holds the buffer's lock.
-- must: cpu

local given = select(3, ...)
given.buffer:mod(function() while true do end end)
