-- Tries to send a job more than there is room for, and to get more from it.
-- must: values contained
-- with: { memory = "64M", result_limit = "1M" }

local thread = require "llib".thread
local ok, problem = pcall(thread.async, "return 1", { args = { ("x"):rep(2 ^ 20) } })
if ok or not tostring(problem):find "there is room for" then return "more was sent: " .. tostring(problem) end
local value, err = thread.async("return ('x'):rep(2 ^ 20)"):await()
if value or err.kind ~= "encode" then return "more came back" end
return #thread.async("return ('x'):rep(2 ^ 17)"):await() == 2 ^ 17 and "contained"
