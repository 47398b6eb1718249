-- await for coroutines under luv (libuv).
--
--   coroutine.wrap(function() print(await(task)) end)()
--   uv.run()
--
-- `await(task [, ms [, keep]])` is `task:await(ms, keep)`, but only the calling coroutine waits. One coroutine at a
-- time can wait for a task this way.

local uv = require "luv"

return function(task, ms, keep)
  local waiting, is_main = coroutine.running()
  assert(waiting and not is_main, "await is for coroutines")
  -- Readable from the moment on that await(0) does not wait; and for a pool's task whenever the pool wants to be looked after.
  local poll = assert(uv.new_poll(task:getfd()))
  local timer, late = ms and uv.new_timer(), false

  local function wake()
    local status = task:status()
    if not late and (status == "running" or status == "paused") then return end
    poll:stop()
    poll:close()
    if timer then
      timer:stop()
      timer:close()
    end
    assert(coroutine.resume(waiting))
  end

  poll:start("r", wake)
  local function expire()
    late = true
    wake()
  end
  if timer then timer:start(math.ceil(ms), 0, expire) end
  coroutine.yield()
  return task:await(0, keep)
end
