-- llib's pool: workers that run one job after the other.

local thread = require("llib").thread

local pool = thread.pool { size = 1 }
local peer = { version = require("llib")._VERSION }

function peer.run(f, ...) return pool:submit(f, ...):await() end

function peer.stop(f, ...)
  local task = pool:submit(f, ...)
  thread.sleep(200)
  task:kill()
  return (select(2, task:await()))
end

function peer.hold(count)
  local held = thread.pool { size = count }
  return function() held:close() end
end

return peer
