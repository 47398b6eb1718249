-- Tries to fill the heap with compiled functions.
-- must: memory or cpu

local t = {}
for i = 1, math.huge do t[i] = (loadstring or load)("local a = " .. i .. " return function() return a end") end
