-- What the peers written in Lua have in common: timing calls, and taking commands, see README.md.

local uv = require "luv"

local peer = {}

-- Times of `count` calls, each after a pause in microseconds.
function peer.each(count, pause, call)
  local times = {}
  for i = 1, count do
    if pause > 0 then uv.sleep(pause // 1000) end
    local begun = uv.hrtime()
    call(i)
    times[i] = uv.hrtime() - begun
  end
  return times
end

-- Carries out commands until there are no more.
function peer.serve(commands)
  for line in io.lines() do
    if line == "quit" then break end
    local name, first, second = line:match("^(%l+) (%d+) ?(%d*)")
    local command = commands[name]
    print(command and table.concat(command(tonumber(first), tonumber(second) or 0), " ") or "")
    io.stdout:flush()
    collectgarbage()
  end
end

return peer
