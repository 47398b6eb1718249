-- Tries to fill the heap with coroutines that wait.
-- must: memory

local t = {}
while true do
  t[#t + 1] = coroutine.create(function() coroutine.yield() end)
  coroutine.resume(t[#t])
end
