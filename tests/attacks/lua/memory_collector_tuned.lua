-- Tries to have more memory by telling the collector to wait.
-- must: memory

pcall(collectgarbage, "setpause", 1000)
pcall(collectgarbage, "setstepmul", 1)
pcall(collectgarbage, "param", "pause", 1000)
pcall(collectgarbage, "incremental", 1000, 1, 1)
pcall(collectgarbage, "generational", 100, 1000)
local t = {}
for i = 1, math.huge do t[i] = { i } end
