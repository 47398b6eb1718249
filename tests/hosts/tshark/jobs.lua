-- A tap: every packet's length goes through a job.
package.cpath = os.getenv("LUA_CPATH")
local thread = require("llib").thread

local tasks = {}
local tap = Listener.new("frame")

function tap.packet(pinfo, buffer)
  tasks[#tasks + 1] = thread.async(function(res, rej, n) return n * 2 end, { args = { buffer:len() } })
end

function tap.draw()
  local total = 0
  for _, task in ipairs(tasks) do total = total + assert(task:await(20000)) end
  print("jobs " .. #tasks .. " total " .. total)
end
