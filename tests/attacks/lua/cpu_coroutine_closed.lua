-- Tries to run on while a coroutine is closed.
-- must: cpu
-- Needs Lua 5.4.

local co = coroutine.create(function()
  local _ <close> = setmetatable({}, { __close = function() while true do end end })
  coroutine.yield()
end)
coroutine.resume(co)
coroutine.close(co)
return "ended"
