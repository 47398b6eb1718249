-- await for coroutines under cqueues.
--
--   local loop = cqueues.new()
--   loop:wrap(function() print(await(task)) end)
--   assert(loop:loop())
--
-- `await(task [, ms [, keep]])` is `task:await(ms, keep)`, but only the calling coroutine waits.

local cqueues = require "cqueues"

return function(task, ms, keep)
  local fd = task:getfd()
  local over = ms and cqueues.monotime() + ms / 1000
  local status
  repeat
    -- Readable from the moment on that await(0) does not wait; and for a pool's task whenever the pool wants to be looked after.
    cqueues.poll({ pollfd = fd, events = "r" }, over and math.max(over - cqueues.monotime(), 0))
    status = task:status()
  until status ~= "running" and status ~= "paused" or over and cqueues.monotime() >= over
  -- The loop remembers descriptors, and this one is about to be closed.
  cqueues.cancel(fd)
  return task:await(0, keep)
end
