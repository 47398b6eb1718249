-- llib: a process for each job.

local thread = require("llib").thread

local peer = { version = require("llib")._VERSION }

function peer.run(f, ...)
  return thread.async(function(_, _, ...) return f(...) end, { args = { n = select("#", ...), ... } }):await()
end

function peer.stop(f, ...)
  local task = thread.async(function(_, _, ...) return f(...) end, { args = { ... } })
  thread.sleep(200)
  task:kill()
  return (select(2, task:await()))
end

function peer.echo()
  local there, back = thread.channel(), thread.channel()
  local task = thread.async(function() for item in there:iter() do back:push(item) end end)
  return function(item)
    there:push(item)
    return back:pop()
  end, function()
    there:close()
    task:await()
  end
end

function peer.hold(count)
  local tasks = {}
  for i = 1, count do tasks[i] = thread.async(function() thread.sleep(60000) end) end
  return function() for _, task in ipairs(tasks) do task:clean() end end
end

return peer
