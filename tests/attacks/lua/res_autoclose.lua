-- Tries to call the methods of res with what they do not expect.
-- must: values contained

local res = ...
for _, value in ipairs { {}, "x", -1, 1e300, print, coroutine.create(function() end) } do
  pcall(res.testclose, value)
  pcall(res.autoclose, value)
end
return "contained"
