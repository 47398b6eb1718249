-- llib as a peer among others, see README.md.

local peer = dofile((arg[0]:match("^(.*/)") or "./") .. "peer.lua")
local each = peer.each
local thread = require("llib").thread
local size = tonumber(arg[1])

local function same(n) return n end
local function echo(_, _, value) return value end

local pool
local function workers()
  pool = pool or thread.pool { size = size }
  return pool
end

local commands = {}

function commands.fresh(count, pause)
  return each(count, pause, function(n) assert(thread.async(echo, { args = { n } }):await() == n) end)
end

function commands.warm(count, pause)
  local pool = workers()
  return each(count, pause, function(n) assert(pool:submit(same, n):await() == n) end)
end

function commands.batch(count)
  local pool = workers()
  return each(1, 0, function()
    local tasks = {}
    for i = 1, count do tasks[i] = pool:submit(same, i) end
    for i = 1, count do assert(tasks[i]:await() == i) end
  end)
end

function commands.map(count)
  local pool, list = workers(), {}
  for i = 1, count do list[i] = i end
  return each(1, 0, function() assert(#pool:map(same, list) == count) end)
end

function commands.payload(count, bytes)
  local pool, text = workers(), ("x"):rep(bytes)
  return each(count, 0, function() assert(#pool:submit(same, text):await() == bytes) end)
end

function commands.carry(count, bytes)
  local text = ("x"):rep(bytes)
  return each(count, 0, function() assert(#thread.async(echo, { args = { text } }):await() == bytes) end)
end

peer.serve(commands)
