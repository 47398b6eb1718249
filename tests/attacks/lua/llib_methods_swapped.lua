-- Tries to call the methods of one object on another.
-- must: values contained

local given = select(3, ...)
local objects = { given.buffer, given.channel, given.mutex, require "llib".crypto.md5(), "x", {}, nil }
for _, name in ipairs { "get", "set", "push", "pop", "lock", "unlock", "trylock", "final", "update", "iter", "close", "with" } do
  for _, owner in ipairs { given.channel, given.mutex } do
    local found, method = pcall(function() return owner[name] end)
    if found and type(method) == "function" and name ~= "lock" and name ~= "pop" then
      for i = 1, 6 do
        if objects[i] ~= owner then pcall(method, objects[i], 0) end
      end
    end
  end
end
return "contained"
