-- luv's new_thread (Debian: lua-luv): a thread with a Lua state of its own. It returns nothing, so results come over a pipe, as
-- messages do.

local uv = require "luv"

local peer = { version = uv.version_string() }

-- The thread writes `f`'s value, with its length in front.
local function body(code, fd, ...)
  local uv = require "luv"
  local value = (loadstring or load)(code)(...)
  local text = tostring(value)
  local rest = ("%12d"):format(#text) .. text
  while #rest > 0 do rest = rest:sub(uv.fs_write(fd, rest, -1) + 1) end
end

local function read(fd, length)
  local parts = {}
  while length > 0 do
    local part = uv.fs_read(fd, math.min(length, 1048576), -1)
    if not part or part == "" then return nil, "the pipe was closed" end
    parts[#parts + 1] = part
    length = length - #part
  end
  return table.concat(parts)
end

function peer.run(f, ...)
  local pipe = uv.pipe()
  local thread = uv.new_thread(body, string.dump(f), pipe.write, ...)
  local text, problem = read(pipe.read, 12)
  text = text and read(pipe.read, tonumber(text))
  uv.thread_join(thread)
  uv.fs_close(pipe.read)
  uv.fs_close(pipe.write)
  return tonumber(text) or text, problem
end

function peer.echo()
  local there, back = uv.pipe(), uv.pipe()
  local thread = uv.new_thread(function(from, to)
    local uv = require "luv"
    while true do
      local item = uv.fs_read(from, 100, -1)
      if not item or item == "" then return end
      uv.fs_write(to, item, -1)
    end
  end, there.read, back.write)
  return function(item)
    uv.fs_write(there.write, item, -1)
    return uv.fs_read(back.read, 100, -1)
  end, function()
    uv.fs_close(there.write)
    uv.thread_join(thread)
  end
end

function peer.hold(count)
  for _ = 1, count do uv.new_thread(function() require("luv").sleep(5000) end) end
  return function() end
end

return peer
