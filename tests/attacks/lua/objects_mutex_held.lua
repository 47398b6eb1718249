-- Tries to keep a mutex that it was given; with its death others have it.
-- must: cpu

local given = select(3, ...)
given.mutex:lock()
while true do end
