-- Threads of luv: one made for a job, and those of libuv's pool. See README.md.

local uv = require "luv"
local peer = dofile((arg[0]:match("^(.*/)") or "./") .. "peer.lua")
local each = peer.each

local function nothing() return 1 end
local result
local work = uv.new_work(function(value) return value end, function(value) result = value end)

local commands = {}

function commands.fresh(count, pause)
  return each(count, pause, function() assert(uv.thread_join(uv.new_thread(nothing))) end)
end

function commands.warm(count, pause)
  return each(count, pause, function(n)
    work:queue(n)
    uv.run()
    assert(result == n)
  end)
end

function commands.batch(count)
  return each(1, 0, function()
    for i = 1, count do work:queue(i) end
    uv.run()
  end)
end

function commands.payload(count, bytes)
  local text = ("x"):rep(bytes)
  return each(count, 0, function()
    work:queue(text)
    uv.run()
    assert(#result == bytes)
    result = nil
  end)
end

peer.serve(commands)
