-- Tries to have one string counted a million times.
-- must: values table or encode or memory

local s, t = ("x"):rep(100000), {}
for i = 1, 300000 do t[i] = s end
return t
