-- Tries to cut one string into millions.
-- must: memory or cpu

local t = {}
for part in ("x"):rep(1000):gmatch(".-") do t[part] = part end
for i = 1, math.huge do t[i] = tostring(i) .. "-" .. i end
