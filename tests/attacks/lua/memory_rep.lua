-- Tries to have one call make a string of a gigabyte.
-- must: memory

return #("x"):rep(1000000000)
