-- LuaTeX's `ffi` has replaced the global `type`, and its libraries have functions that no worker has.
local thread = require("llib").thread
local kind, length = thread.async(function(res, rej, list) return type(list), #list end, {args = {{1, 2, 3}}}):await(20000)
print(kind, length)
local pool = thread.pool({size = 1})
print(pool:submit(function(text) return type(text), text:upper(), table.concat({1, 2}, "-") end, "tex"):await(20000))
pool:close()
local task = thread.async(function() return lfs.currentdir() end)
local value, failure = task:await(20000)
print(value, tostring(failure):match("workers cannot require 'lfs'"))
