-- LuaLanes (luarocks install lanes): a thread with a Lua state of its own for each job, messages over lindas.

local lanes = require("lanes").configure()
local uv = require "luv"

local peer = { version = lanes.ABOUT.version }

local function start(f, ...) return lanes.gen("*", f)(...) end

function peer.run(f, ...)
  local value, problem = start(f, ...):join()
  return value, problem
end

function peer.stop(f, ...)
  local lane = start(f, ...)
  uv.sleep(200)
  local done, reason = lane:cancel("count", 100, 1)
  if done then return "cancel: " .. tostring(reason) end
  -- Its last resort ends the thread by force.
  done, reason = lane:cancel("hard", 0.1, true, 1)
  return "cancel fails, by force: " .. tostring(done) .. " " .. tostring(reason)
end

function peer.echo()
  local linda = lanes.linda()
  local lane = lanes.gen("*", function(linda)
    while true do
      local _, item = linda:receive("there")
      if item == false then return end
      linda:send("back", item)
    end
  end)(linda)
  return function(item)
    linda:send("there", item)
    local _, back = linda:receive("back")
    return back
  end, function()
    linda:send("there", false)
    lane:join()
  end
end

function peer.hold(count)
  local linda, held = lanes.linda(), {}
  for i = 1, count do held[i] = lanes.gen("*", function(linda) linda:receive("end") end)(linda) end
  return function() for _ = 1, count do linda:send("end", true) end end
end

return peer
