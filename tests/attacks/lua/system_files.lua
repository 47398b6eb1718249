-- Tries to open files beside those that were granted.
-- must: values contained
-- with: { sandbox = { read = { "/dev/zero" } } }

local function try(name, mode)
  local file = io.open(name, mode)
  if file then error("opened " .. name, 0) end
end
for _, name in ipairs { "/etc/passwd", "/proc/self/mem", "/proc/self/maps", "/proc/self/environ", "/proc/1/environ", "/dev/mem",
  "/dev/null/../../etc/passwd", "/dev/shm", "/dev/zero/../null", "/root/.ssh/id_rsa", "/proc/self/root/etc/passwd" } do
  try(name, "r")
  try(name, "r+")
end
try("/tmp/llib-attack-made", "w")
if dofile and pcall(dofile, "/etc/passwd") then return "ran a file" end
local f = loadfile("/etc/passwd")
return f and "loaded a file" or "contained"
