-- Tries to get code from a job: functions, metatables, bytecode in a text.
-- must: values contained

local thread = require "llib".thread
local f, t, g = thread.async([[
  return function() return 1 end, setmetatable({}, { __index = function() return 1 end }), string.dump
]]):await()
if pcall(f) then return "a function was called" end
if getmetatable(t) then return "a table has a metatable" end
if g then return "string.dump is there" end
local ok, problem = pcall(thread.async, "\27Lua", {})
return ok and "bytecode was taken" or "contained"
