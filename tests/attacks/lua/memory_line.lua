-- Tries to read a line without an end.
-- must: memory or cpu
-- with: { sandbox = { read = { "/dev/zero" } } }

return #io.open("/dev/zero"):read("*l")
