-- Tries to have a job start jobs that start jobs, without end.
-- must: values contained or cpu or deadline

local source = [[
  local source = select(3, ...)
  local thread = require "llib".thread
  local tasks = {}
  while true do
    local ok, task = pcall(thread.async, source, { args = { source } })
    tasks[#tasks + 1] = ok and task or nil
    if #tasks > 3 then tasks = {} end
  end
]]
local thread = require "llib".thread
local first = thread.async(source, { args = { source } })
first:await(1000)
return "contained"
