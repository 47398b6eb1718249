-- Tries to change the metatables of llib's objects.
-- must: values contained

local given = select(3, ...)
for _, object in ipairs { given.buffer, given.channel, given.mutex, require "llib".crypto.md5() } do
  local meta = getmetatable(object)
  if type(meta) == "table" then
    pcall(function() meta.__gc = function() while true do end end end)
    pcall(function() meta.__index = nil end)
    local gc = meta.__gc
    if type(gc) == "function" then pcall(gc, object) pcall(gc, object) pcall(gc, {}) pcall(gc) end
  end
end
return "contained"
