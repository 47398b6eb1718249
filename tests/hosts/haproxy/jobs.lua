package.cpath = "@MODULE@;" .. package.cpath
local thread = require("llib").thread

@INIT@

local function answer(applet, text)
  text = tostring(text)
  applet:set_status(200)
  applet:add_header("content-length", #text)
  applet:start_response()
  applet:send(text)
end

local function service(name, run)
  core.register_service(name, "http", function(applet)
    local done, value = pcall(run, applet)
    answer(applet, value)
  end)
end

-- Waits as HAProxy wants it: its own sleeps let other requests run.
local function wait(task)
  local value, problem
  for _ = 1, 20000 do
    value, problem = task:await(0)
    if value or problem.kind ~= "timeout" then break end
    core.msleep(1)
  end
  return value or problem
end

service("double", function(applet)
  local n = tonumber(applet.qs:match("n=(%d+)"))
  return wait(thread.async(function(res, rej, n) return n * 2 end, { args = { n } }))
end)

-- User id and root directory of a job, as the kernel has them.
service("who", function()
  return wait(thread.async(function()
    local user
    local status = io.open("/proc/self/status")
    for line in status and status:lines() or function() end do user = user or line:match("^Uid:%s+(%d+)") end
    return tostring(user) .. " " .. tostring(io.open("/etc/hostname") ~= nil)
  end))
end)
