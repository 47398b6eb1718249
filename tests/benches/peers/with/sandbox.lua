-- llib's jobs in a sandbox.

local thread = require("llib").thread

local peer = { version = require("llib")._VERSION }

local function start(f, ...)
  return thread.async(function(_, _, ...) return f(...) end,
    { sandbox = true, args = { n = select("#", ...), ... } })
end

function peer.run(f, ...) return start(f, ...):await() end

function peer.stop(f, ...)
  local task = start(f, ...)
  thread.sleep(200)
  task:kill()
  return (select(2, task:await()))
end

function peer.hold(count)
  local never, tasks = thread.channel(), {}
  for i = 1, count do tasks[i] = thread.async(function() never:pop() end, { sandbox = true }) end
  return function() for _, task in ipairs(tasks) do task:clean() end end
end

return peer
