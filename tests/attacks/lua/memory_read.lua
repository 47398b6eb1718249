-- Tries to read a gigabyte in one call.
-- must: memory
-- with: { sandbox = { read = { "/dev/zero" } } }

return #io.open("/dev/zero"):read(1000000000)
