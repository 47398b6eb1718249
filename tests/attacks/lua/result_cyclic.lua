-- Tries to have the host walk in circles.
-- must: values table

local a, b = {}, {}
a.b, b.a, a.a = b, a, a
b[a] = b
return a
