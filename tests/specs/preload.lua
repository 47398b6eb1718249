-- thread.preload: modules that are loaded once, for all workers to come.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal

local folder = T.path()
os.execute("mkdir -p '" .. folder .. "'")
package.path = folder .. "/?.lua;" .. package.path
local function module(name, text) T.write(folder .. "/" .. name .. ".lua", text) end

module("counted", "local log = io.open('" .. folder .. "/log', 'a') log:write('x') log:close() return { answer = 42 }")
module("broken", "error('no such luck')")
module("deadly", "os.exit(5)")
module("crashing", "local pid = io.open('/proc/self/stat'):read('*n') os.execute('kill -SEGV ' .. pid) return 1")

local function loads() return #(T.read(folder .. "/log") or "") end

spec("a module is loaded once, and every job has it", function()
  thread.preload("counted")
  local before = loads()
  T.yes(before <= 2, "loaded " .. before .. " times: for a trial, and for good")
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
  if T.lua < 5.4 then T.skip("there are no pools in this Lua") end
  local pool = T.scoped(thread.pool { size = 1, preload = "counted" })
  pool:submit(function() require("counted").answer = 1 package.loaded.counted = nil end):await()
  equal(pool:submit(function() return package.loaded.counted.answer end):await(), 42, "the answer")
end)

spec("a module that fails is named, and does no harm", function()
  for name, reason in pairs {
    broken = "no such luck", deadly = "exited with code 5", crashing = "died of SIGSEGV", ["not.there"] = "module 'not.there' not found",
  } do
    T.raises_here(function() thread.preload("string", name) end, "failed to preload module '" .. name .. "': ", reason)
    equal(thread.async(function() return "works" end):await(), "works", "a job after " .. name)
  end
end)

spec("wrong arguments raise before anything is loaded", function()
  T.raises_here(function() thread.preload("counted", 5) end, "bad argument #2 to 'preload' (string expected, got number)")
  thread.preload()
end)

os.execute("rm -r '" .. folder .. "'")
T.finish()
