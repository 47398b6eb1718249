-- Tries to sort by an order that is none, for ever.
-- must: cpu

local t = {}
for i = 1, 1000 do t[i] = i end
while true do pcall(table.sort, t, function() return math.random() > 0.5 end) end
