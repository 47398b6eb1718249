-- Tries to reach what was taken away by the environments of other functions.
-- must: values contained

if not setfenv then return "contained" end
local function look(environment)
  for _, name in ipairs { "io", "dofile", "loadfile", "module", "ffi" } do
    if rawget(environment, name) then return name end
  end
  return rawget(environment, "os") and environment.os.execute and "os.execute"
end
local found = look(getfenv(0))
for level = 1, 20 do
  local fine, environment = pcall(getfenv, level)
  found = found or fine and look(environment)
end
for _, library in pairs(package.loaded) do
  for _, f in pairs(type(library) == "table" and library or {}) do
    if type(f) == "function" then
      found = found or look(getfenv(f))
      pcall(setfenv, f, { os = {} })
    end
  end
end
setfenv(0, {})
return found or "contained"
