-- What popen, bwrap and docker share: an interpreter of its own for each job, started by a command. The function is loaded
-- from a file; numbers and texts come back on standard output.

local uv = require "luv"

return function(version, command)
  local peer = { version = version, slow = true, no_strings = true }

  local function script(f, ...)
    local words = {}
    for i, word in ipairs { ... } do words[i] = ("%q"):format(word) end
    local code = string.dump(f):gsub(".", function(byte) return ("\\%03d"):format(byte:byte()) end)
    return ("io.write(tostring(load('%s')(%s)))"):format(code, table.concat(words, ", "))
  end

  function peer.run(f, ...)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(script(f, ...))
    file:close()
    local pipe = assert(io.popen("exec " .. command:gsub("SCRIPT", path) .. " 2>&1"))
    local text = pipe:read("a")
    local ok, how, code = pipe:close()
    os.remove(path)
    if not ok then return nil, how .. " " .. code end
    return tonumber(text) or text
  end

  -- `timeout` is the usual way.
  function peer.stop(f, ...)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(script(f, ...))
    file:close()
    local _, how, code = os.execute("timeout -s KILL 0.3 " .. command:gsub("SCRIPT", path))
    os.remove(path)
    return "by timeout(1): " .. how .. " " .. code
  end

  function peer.hold(count)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("io.stdin:read('a')")
    file:close()
    local held = {}
    for i = 1, count do held[i] = io.popen("exec " .. command:gsub("SCRIPT", path), "w") end
    return function()
      for _, pipe in ipairs(held) do pipe:close() end
      os.remove(path)
    end
  end

  return peer
end
