-- Tries to have the host make much of little: a message of a few bytes for each table.
-- must: encode or memory or values table
-- with: { cpu = 3000 }

local t = {}
for i = 1, 100000 do t[i] = {} end
return t
