-- thread.preload: modules that are loaded once, for all workers to come.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal

local function fails(task, text) T.contains(T.failure(T.pack(task:await()), "error").message, text, "the failure") end

local folder = T.path()
os.execute("mkdir -p '" .. folder .. "'")
package.path = folder .. "/?.lua;" .. package.path
local function module(name, text) T.write(folder .. "/" .. name .. ".lua", text) end

module("counted", "local log = io.open('" .. folder .. "/log', 'a') log:write('x') log:close() return { answer = 42 }")
module("broken", "error('no such luck')")
module("deadly", "os.exit(5)")
module("leaving", "os.exit(0)")
module("refused", "os.exit(103)")
module("endless", "while true do end")
module("crashing", "local pid = io.open('/proc/self/stat'):read('*n') os.execute('kill -SEGV ' .. pid) return 1")

local function loads() return #(T.read(folder .. "/log") or "") end

spec("a module is loaded once, and every job has it", function()
  thread.preload("counted")
  local before = loads()
  equal(before, 1, "how often it was loaded")
  for _ = 1, 20 do
    equal(thread.async(function() return package.loaded.counted and require("counted").answer end):await(), 42, "the answer")
  end
  if T.lua >= 5.4 then
    local pool = T.scoped(thread.pool { size = 2, preload = "counted" })
    for _ = 1, 20 do equal(pool:submit(function() return require("counted").answer end):await(), 42, "the answer in a pool") end
  end
  thread.preload("counted")
  equal(loads(), before, "how often it was loaded")
end)

spec("what a job does to a preloaded module's table the next one does not see", function()
  local pool = T.scoped(thread.pool { size = 1, preload = "counted" })
  pool:submit(function() require("counted").answer = 1 package.loaded.counted = nil end):await()
  equal(pool:submit(function() return package.loaded.counted.answer end):await(), 42, "the answer")
end)

spec("a module that fails is named, and does no harm", function()
  local running = T.scoped(thread.async(function() require("llib").thread.sleep(1e9) end))
  for name, reason in pairs {
    broken = "no such luck", deadly = "the process that loaded it exited with code 5", leaving = "the process that loaded it exited with code 0",
    refused = "the process that loaded it exited with code 103",
    crashing = "the process that loaded it died of SIGSEGV", ["not.there"] = "module 'not.there' not found",
  } do
    T.raises_here(function() thread.preload("string", name) end, "failed to preload module '" .. name .. "': ", reason)
    equal(thread.async(function() return "works" end):await(), "works", "a job after " .. name)
    equal(running:status(), "running", "the job that ran meanwhile")
  end
end)

spec("a module that never ends is given up when its time is over", function()
  T.raises_here(function() thread.preload("endless", { timeout = 50 }) end,
    "failed to preload module 'endless': it was not loaded within 50 ms")
  thread.preload("counted", { timeout = 50 })
  equal(thread.async(function() return require("counted").answer end):await(), 42, "the answer of one that was loaded before")
end)

spec("a module's files are the same in every job, and never others", function()
  module("logger", [[
    local log = assert(io.open(']] .. folder .. [[/lines', 'a'))
    log:setvbuf 'no'
    log:write 'opened\n'
    return function(...) return log:write(...) end
  ]])
  thread.preload("logger")
  for _, line in ipairs { "one", "two" } do
    local foreign = thread.async(function(_, _, folder, line)
      local log, files = require "logger", {}
      for i = 1, 12 do files[i] = assert(io.open(folder .. "/file" .. i, "w")) end
      log(line .. "\n")
      local size = 0
      for i = 1, 12 do size = size + files[i]:seek("end") files[i]:close() end
      return size
    end, { args = { folder, line } }):await()
    equal(foreign, 0, "bytes in the job's own files")
  end
  equal(T.read(folder .. "/lines"), "opened\none\ntwo\n", "the log")
end)

spec("functions of after_fork run in each worker before its job, in their order", function()
  module("forked", [[
    local thread = require "llib".thread
    local calls = {}
    local said = { thread.after_fork(function() calls[#calls + 1] = "first" end),
      thread.after_fork(function() calls[#calls + 1] = "second" end) }
    return { calls = calls, said = said }
  ]])
  thread.preload("forked")
  local function calls() return table.concat(require("forked").calls, " ") end
  for _ = 1, 8 do equal(thread.async(calls):await(), "first second", "what was called") end
  equal(thread.async(function() local said = require("forked").said return said[1] and said[2] end):await(), true, "what after_fork returned")
  if T.lua >= 5.4 then
    local pool = T.scoped(thread.pool { size = 1 })
    for _ = 1, 3 do equal(pool:submit(calls):await(), "first second", "in a pool") end
  end
end)

spec("elsewhere after_fork does nothing, so that a module can be required too", function()
  local called = false
  equal(thread.after_fork(function() called = true end), false, "in the host")
  local inside, ran = thread.async(function()
    local ran = false
    return require("llib").thread.after_fork(function() ran = true end), ran
  end):await()
  equal(inside, false, "in a job")
  equal(ran, false, "whether it ran there")
  equal(called, false, "whether it ran here")
  T.raises_here(function() thread.after_fork("x") end, "bad argument #1 to 'after_fork' (function expected, got string)")
end)

spec("wrong arguments raise before anything is loaded", function()
  T.raises_here(function() thread.preload("counted", 5) end, "bad argument #2 to 'preload' (string expected, got number)")
  T.raises_here(function() thread.preload { "counted" } end, "bad argument #1 to 'preload' (string expected, got table)")
  T.raises_here(function() thread.preload("counted", { timeout = 0 }) end, "option 'timeout' expects milliseconds above zero, got 0")
  T.raises_here(function() thread.preload("counted", { time = 1 }) end, "unknown option 'time' (known: timeout)")
  thread.preload()
  thread.preload({})
end)

-- These change what all later jobs are, so they come last.

spec("globals that a module makes strict harm no job, and a sandbox has none of a module's metatables", function()
  module("strictly", [[
    local function refuse(_, name) error("variable '" .. tostring(name) .. "' is not declared", 2) end
    setmetatable(_G, { __index = refuse, __newindex = refuse })
    setmetatable(os, { __index = refuse })
    getmetatable("").__call = function() return "called" end
    debug.setmetatable(nil, { __index = function() return "indexed" end })
    return {}
  ]])
  thread.preload("strictly")
  equal(thread.async("return 1"):await(), 1, "a job")
  fails(thread.async("return nowhere"), "variable 'nowhere' is not declared")
  equal(thread.async("return ('x')() .. (nil).y"):await(), "calledindexed", "what the module added")
  equal(thread.async("return nowhere == nil and getmetatable(_G) == nil", { sandbox = true }):await(), true, "in a sandbox")
  fails(thread.async("return ('x')()", { sandbox = true }), "attempt to call")
  fails(thread.async("return (nil).y", { sandbox = true }), "attempt to index a nil value")
  equal(thread.async("return ('x'):rep(3), #'abc'", { sandbox = true }):await(), "xxx", "methods of strings")
end)

spec("a sandboxed job has none of a module's files", function()
  module("holder", [[
    local file = assert(io.open(']] .. folder .. [[/held', 'a+'))
    file:setvbuf 'no'
    require "llib".thread.after_fork(function()
      local _, problem = file:write 'x'
      rawset(_G, 'written', problem or 'done')
    end)
    return {}
  ]])
  thread.preload("holder")
  equal(thread.async("return rawget(_G, 'written')"):await(), "done", "in a plain job")
  for _ = 1, 2 do
    equal(thread.async("return rawget(_G, 'written')", { sandbox = true }):await(), "Bad file descriptor", "in a sandbox")
  end
  equal(thread.async(function()
    return require("llib").thread.async("return rawget(_G, 'written')"):await()
  end, { sandbox = { jobs = 1 } }):await(), "Bad file descriptor", "in a job of a sandboxed job")
  equal(T.read(folder .. "/held"), "x", "the file")
end)

spec("what a function of after_fork raises is the job's failure", function()
  module("failing", "require('llib').thread.after_fork(function() error('not today') end) return {}")
  thread.preload("failing")
  fails(thread.async(function() return 1 end), "not today")
  fails(thread.async("return 1", { sandbox = true }), "not today")
end)

os.execute("rm -r '" .. folder .. "'")
T.finish()
