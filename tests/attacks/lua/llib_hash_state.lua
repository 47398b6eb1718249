-- Tries to feed a hash object until it breaks.
-- must: values contained

local crypto = require "llib".crypto
local h = crypto.md5()
for _ = 1, 20 do h:update(("x"):rep(100000)) end
for _, value in ipairs { {}, print, 1 } do pcall(h.update, h, value) pcall(function() return h + value end) end
pcall(h.update, given, "x")
pcall(function() h.final(setmetatable({}, getmetatable(h))) end)
return #h:final() == 32 and "contained"
