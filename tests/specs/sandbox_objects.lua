-- Shared objects in sandboxed jobs: what such a job was given it can use, and nobody trusts what it writes.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal

if T.lua < 5.2 then T.finish() end

local function values(f, ...)
  local packed = T.job(f, { sandbox = true, args = T.pack(...) })
  if packed[1] == nil and type(packed[2]) == "table" then T.fail(tostring(packed[2])) end
  return (table.unpack or unpack)(packed, 1, packed.n)
end

spec("buffers, mutexes and channels that a sandboxed job was given work in it, and values may grow there", function()
  local buffer, mutex, channel = thread.buffer({ n = 1 }), thread.mutex(), thread.channel()
  equal(values(function(_, _, buffer, mutex, channel)
    buffer:mod(function(v) v.n = v.n + 1 return v end)
    mutex:with(function() channel:push({ buffer.n, ("x"):rep(200000) }) end)
    buffer:set({ n = buffer.n, big = ("y"):rep(3000000) })
    return #buffer.big
  end, buffer, mutex, channel), 3000000, "what the job sees")
  equal(buffer.n, 2, "what the job wrote")
  equal(#buffer.big, 3000000, "and how much")
  local item = channel:pop(1000)
  equal(item[1], 2, "the item")
  equal(#item[2], 200000, "and its length")
  equal(mutex:trylock(), true, "the mutex is free")
end)

spec("a sandboxed job reaches as much of an object as its limit of memory allows", function()
  local buffer, channel = thread.buffer("short"), thread.channel()
  local ready, go = thread.channel(), thread.channel()
  local task = thread.async(function(_, _, buffer, channel, ready, go)
    local megabyte = ("x"):rep(2 ^ 20)
    local ok, wrote = pcall(buffer.set, buffer, { megabyte, megabyte .. "1", megabyte .. "2" })
    local pushed, push_problem = pcall(channel.push, channel, { megabyte, megabyte .. "1", megabyte .. "2" })
    megabyte = nil
    collectgarbage()
    ready:push(true)
    go:pop()
    local read, read_problem = pcall(buffer.get, buffer)
    return ok, tostring(wrote), pushed, tostring(push_problem), read, tostring(read_problem)
  end, { sandbox = true, memory = 2 ^ 23, args = { buffer, channel, ready, go } })
  equal(ready:pop(10000), true, "it tried to write")
  equal(#buffer:get(), 3, "what it wrote")
  buffer:set(("y"):rep(2 ^ 25))
  go:push(true)
  local got = T.pack(task:await(10000))
  if got[1] == nil then T.fail(tostring(got[2])) end
  equal(got[1], true, "three megabytes fit into a limit of eight")
  equal(got[3], true, "also in a channel")
  equal(got[5], false, "thirty-two are not seen")
  T.matches(got[6], "more than the %d+ bytes that this job can see of it")
end)

spec("functions in a buffer that a sandboxed job was given are code for nobody any more", function()
  local buffer = thread.buffer({ n = 1, twice = function(self) return self.n * 2 end })
  equal(buffer:twice(), 2, "before")
  equal(values(function(_, _, b) return (pcall(b.get, b)) end, buffer), false, "in the sandbox")
  T.raises(function() buffer:twice() end, "a sandboxed job can write here")
  buffer:set({ n = 3 })
  equal(buffer.n, 3, "plain data is as good as ever")
end)

spec("what a sandboxed job writes runs nowhere", function()
  local buffer, channel = thread.buffer(0), thread.channel()
  values(function(_, _, b, c)
    b:set({ f = function() return "out" end })
    c:push(setmetatable({}, { __index = function() return "out" end }))
  end, buffer, channel)
  T.raises(function() buffer:get() end, "a sandboxed job can write here")
  T.raises(function() return buffer.f end, "a sandboxed job can write here")
  T.raises(function() channel:pop(1000) end, "a sandboxed job can write here")
  local trusted = T.pack(thread.async(function() return pcall(buffer.get, buffer) end):await())
  equal(trusted[1], false, "not in a trusted job either")
end)

spec("a sandboxed job reaches no objects but those", function()
  local inner = thread.buffer("inner")
  local outer = thread.buffer({ inner })
  equal(values(function(_, _, b) return (pcall(b.get, b)) end, outer), false, "one inside another")
  equal(values(function() return (pcall(require("llib").thread.buffer, 1)) end), false, "a new one")
  equal(values(function() return (pcall(require("llib").thread.lock, 1)) end), false, "locks by number")
  equal(outer[1]:get(), "inner", "the host has both")
end)

spec("a lock that a sandboxed job takes along is abandoned when it ends", function()
  local mutex = thread.mutex()
  values(function(_, _, m) return m:lock() end, mutex)
  local taken, how = mutex:lock(5000)
  equal(taken, true, "it is to be had")
  equal(how, "abandoned", "and known as left behind")
end)

T.finish()
