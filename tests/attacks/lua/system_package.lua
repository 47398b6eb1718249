-- Tries to load C code by package.
-- must: values contained

package.cpath = "/usr/lib/x86_64-linux-gnu/lua/5.4/?.so;./?.so"
if package.loadlib or package.searchpath then return "there is a way" end
for _, name in ipairs { "lfs", "cjson", "posix", "socket.core", "ffi", "jit.util" } do
  if pcall(require, name) then return "required " .. name end
end
return "contained"
