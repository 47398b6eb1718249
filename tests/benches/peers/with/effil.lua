-- effil (luarocks install effil, Lua 5.1 to 5.3): a thread with a Lua state of its own for each job, shared tables, channels.

local effil = require "effil"
local uv = require "luv"

local peer = { version = tostring(effil.version) }

function peer.run(f, ...)
  local thread = effil.thread(f)(...)
  local status, problem = thread:wait()
  if status ~= "completed" then return nil, problem or status end
  return thread:get()
end

function peer.stop(f, ...)
  local thread = effil.thread(f)(...)
  uv.sleep(200)
  local done = thread:cancel(1, "s")
  return "cancel: " .. tostring(done) .. ", " .. thread:status()
end

function peer.echo()
  local there, back = effil.channel(), effil.channel()
  local thread = effil.thread(function(there, back)
    while true do
      local item = there:pop()
      if item == false then return end
      back:push(item)
    end
  end)(there, back)
  return function(item)
    there:push(item)
    return back:pop()
  end, function()
    there:push(false)
    thread:wait()
  end
end

function peer.hold(count)
  local channel = effil.channel()
  local held = {}
  for i = 1, count do held[i] = effil.thread(function(channel) channel:pop() end)(channel) end
  return function() for _ = 1, count do channel:push(true) end end
end

return peer
