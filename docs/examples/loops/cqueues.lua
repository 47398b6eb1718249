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
  -- Readable from the moment on that await(0) does not wait.
  cqueues.poll({ pollfd = fd, events = "r" }, ms and ms / 1000)
  -- The loop remembers descriptors, and this one is about to be closed.
  cqueues.cancel(fd)
  return task:await(0, keep)
end
