-- Tries to wait for ever for an item that nobody sends.
-- must: deadline
-- with: { timeout = 200 }

local given = select(3, ...)
given.empty:pop()
