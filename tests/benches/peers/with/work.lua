-- luv's new_work (Debian: lua-luv): jobs for four threads of libuv, each of which keeps its Lua state.

local uv = require "luv"

local peer = { version = uv.version_string() }

local contexts = {}

function peer.run(f, ...)
  local context = contexts[f]
  if not context then
    context = uv.new_work(f, function(value) peer.value = value end)
    contexts[f] = context
  end
  peer.value = nil
  context:queue(...)
  uv.run()
  return peer.value, "an error goes to standard error, and the program is told nothing"
end

return peer
