-- Tries to get at LuaJIT's FFI library by numbers that are its own.
-- must: values contained

local f = (loadstring or load)("return 1LL, 2i")
if not f then return "contained" end
local long, complex = f()
local meta = getmetatable(long)
if type(meta) == "table" then return "a metatable" end
if package.loaded.ffi or pcall(require, "ffi") then return "the library" end
for _, name in ipairs { "new", "cast", "C", "string", "typeof" } do
  for _, value in ipairs { long, complex } do
    local fine, field = pcall(function() return value[name] end)
    if fine and field then return "a field " .. name end
  end
end
return "contained"
