-- await for coroutines under copas.
--
--   copas.addthread(function() print(await(task)) end)
--   copas.loop()
--
-- `await(task)` is `task:await()`, but only the calling coroutine waits. Copas has no time limits for what it does not
-- know; give the job one: `thread.async(f, { timeout = 500 })`.

local copas = require "copas"

-- To copas a task is a socket that has something to receive when the job is over.
local Socket = {}
Socket.__index = Socket

function Socket:getfd() return self.task:getfd() end

function Socket:dirty() return false end

function Socket:close() end

function Socket:receive()
  local status = self.task:status()
  if status == "running" or status == "paused" then return nil, "timeout" end
  return true
end

return function(task)
  copas.receive(setmetatable({ task = task }, Socket))
  return task:await(0)
end
