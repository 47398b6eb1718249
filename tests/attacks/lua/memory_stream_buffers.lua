-- Tries to have the C library take buffers of a gigabyte for streams.
-- must: values contained
-- with: { sandbox = { read = { "/dev/zero" } } }

local files = {}
for i = 1, 100 do
  local file = io.open("/dev/zero")
  if not file then break end
  pcall(file.setvbuf, file, "full", 1000000000)
  file:read(1)
  files[i] = file
end
assert(#files < 16)
return "contained"
