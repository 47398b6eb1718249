-- A plain fork by luaposix (Debian: lua-posix, Lua 5.1 to 5.3). The child has a copy of everything; its result comes as text over a pipe.

local posix = require "posix"
local uv = require "luv"

local peer = { version = posix.version or "?" }

local function start(f, ...)
  local from, to = posix.pipe()
  local pid = posix.fork()
  if pid == 0 then
    posix.close(from)
    local ok, value = pcall(f, ...)
    local rest = tostring(value)
    while #rest > 0 do rest = rest:sub(posix.write(to, rest) + 1) end
    posix._exit(ok and 0 or 1)
  end
  posix.close(to)
  return pid, from
end

function peer.run(f, ...)
  local pid, from = start(f, ...)
  local parts = {}
  repeat
    local part = posix.read(from, 1048576)
    parts[#parts + 1] = part
  until part == ""
  posix.close(from)
  local _, how, status = posix.wait(pid)
  local text = table.concat(parts)
  if how ~= "exited" or status ~= 0 then return nil, how .. " " .. status .. " " .. text end
  return tonumber(text) or text
end

function peer.stop(f, ...)
  local pid, from = start(f, ...)
  uv.sleep(200)
  posix.kill(pid, posix.SIGKILL)
  local _, how, status = posix.wait(pid)
  posix.close(from)
  return how .. " " .. status
end

function peer.echo()
  local from, to = posix.pipe()
  local back_from, back_to = posix.pipe()
  local pid = posix.fork()
  if pid == 0 then
    posix.close(to)
    while true do
      local item = posix.read(from, 100)
      if item == "" then posix._exit(0) end
      posix.write(back_to, item)
    end
  end
  posix.close(from)
  return function(item)
    posix.write(to, item)
    return posix.read(back_from, 100)
  end, function()
    posix.close(to)
    posix.wait(pid)
  end
end

function peer.hold(count)
  local pids = {}
  for i = 1, count do
    pids[i] = posix.fork()
    if pids[i] == 0 then
      posix.sleep(60)
      posix._exit(0)
    end
  end
  return function() for _, pid in ipairs(pids) do posix.kill(pid, posix.SIGKILL) posix.wait(pid) end end
end

return peer
