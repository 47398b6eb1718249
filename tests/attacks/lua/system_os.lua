-- Tries every function of os that touches the system.
-- must: values contained

for _, name in ipairs { "execute", "exit", "getenv", "remove", "rename", "setlocale", "tmpname" } do
  if os[name] ~= nil then return "there is os." .. name end
end
return "contained"
