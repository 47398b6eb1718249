-- Tries to change res and rej, and to be another job.
-- must: values contained

local res, rej = ...
for _, key in ipairs { "pid", "id", "name", "testclose", "autoclose", "evil" } do
  pcall(function() res[key] = 1 end)
  pcall(function() rej[key] = 1 end)
end
pcall(function() rawset(res, "pid", 1) end)
pcall(setmetatable, res, {})
local meta = getmetatable(res)
if type(meta) == "table" then pcall(function() for key in pairs(meta) do meta[key] = nil end end) end
_G.res, _G.rej = nil, nil
return "contained"
