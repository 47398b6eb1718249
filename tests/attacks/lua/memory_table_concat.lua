-- Tries to have table.concat make one string of many.
-- must: memory

local t, s = {}, ("x"):rep(100000)
for i = 1, 10000 do t[i] = s end
return #table.concat(t)
