-- Tries to catch the error of memory and go on, for ever.
-- must: cpu or memory

while true do
  pcall(function()
    local t = {}
    for i = 1, math.huge do t[i] = { i } end
  end)
end
