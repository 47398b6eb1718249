-- Tries to wait for ever for a mutex that the host holds.
-- must: deadline
-- with: { timeout = 200 }

local given = select(3, ...)
given.locked:lock()
