-- Tries to write nonsense into a buffer that it was given.
-- must: values contained

local given = select(3, ...)
local evil = function() while true do end end
for i = 1, 200 do
  pcall(function() given.buffer:set(setmetatable({ i, evil, given }, { __index = evil })) end)
  pcall(function() given.buffer:set(("x"):rep(i * 1000)) end)
end
return "contained"
