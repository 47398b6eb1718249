-- lua-llthreads2 (luarocks install lua-llthreads2): a thread with a Lua state of its own for each job. Messages are left to
-- other libraries, such as ZeroMQ.

local threads = require "llthreads2.ex"

local peer = { version = require("llthreads2")._VERSION or "?" }

function peer.run(f, ...)
  local done, value = threads.new(f, ...):start():join()
  if not done then return nil, value end
  return value
end

function peer.hold(count)
  for _ = 1, count do threads.new(function() require("luv").sleep(5000) end):start(true) end
  return function() end
end

return peer
