-- Tries to give back more values than the host's stack holds.
-- must: values 1 or error "" or encode or memory
-- with: { memory = "64M" }

local t = {}
for i = 1, 200000 do t[i] = i end
return (table.unpack or unpack)(t)
