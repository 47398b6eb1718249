-- Tries to open the zygote's bell by way of /proc, and so to keep others' rings from it.
-- must: values contained
-- with: { sandbox = { read = { "/dev/zero" } } }

for number = 3, 16 do
  for _, mode in ipairs { "r", "w", "r+" } do
    local file = io.open("/proc/self/fd/" .. number, mode)
    if file then return "opened descriptor " .. number end
  end
end
return "contained"
