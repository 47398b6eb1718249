-- Results that cannot be mistaken for failures, nor failures for results.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal
local pack = T.pack

local TIME = 10000

local function expect(task, ...)
  T.results(pack(task:result(TIME)), ...)
end

spec("result says true and gives all values, also none, nil and false", function()
  expect(thread.async(function() return 1, nil, "x", nil end), true, 1, nil, "x", nil)
  expect(thread.async(function() end), true)
  expect(thread.async(function() return nil end), true, nil)
  expect(thread.async(function() return false end), true, false)
  expect(thread.async(function(res) res("early", 2) end), true, "early", 2)
end)

spec("result says false and gives the failure that await gives", function()
  for _, job in ipairs {
    { "error", function() error("broken", 0) end },
    { "rejected", function(_, rej) rej("no") end },
    { "exit", function() os.exit(3) end },
  } do
    local task = thread.async(job[2])
    local got = pack(task:result(TIME, true))
    equal(got.n, 2)
    equal(got[1], false)
    equal(got[2].kind, job[1])
    local value, failure = task:await(TIME)
    equal(value, nil)
    equal(failure.message, got[2].message)
  end
end)

spec("result takes a time and keeps as await does", function()
  local task = thread.async(function(res) thread.sleep(60000) end)
  local ok, failure = task:result(0)
  equal(ok, false)
  equal(failure.kind, "timeout")
  equal(task:status(), "running")
  ok, failure = task:result(0, false)
  equal(failure.kind, "timeout")
  equal(task:status(), "cleaned")
  T.raises_here(function() task:result() end, "cleaned")
  T.raises_here(function() thread.async(function() end):result("soon") end, "bad argument #1 to 'result' (")
end)

spec("result works for pools and in jobs", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local got = pack(pool:submit(function() return nil, { kind = "memory" } end):result(TIME))
  T.results({ n = 2, got[1], got[2] }, true, nil)
  equal(llib.failure(got[3]), false)
  local ok, failure = pool:submit(function() error("in the pool", 0) end):result(TIME)
  equal(ok, false)
  equal(failure.message, "in the pool")
  equal(llib.failure(failure), true)
  local inner = function() return nil, 5 end
  expect(thread.async(function() return thread.async(inner):result() end), true, true, nil, 5)
end)

spec("llib.failure knows its failures", function()
  local _, failure = thread.async(function() error("x", 0) end):await(TIME)
  equal(llib.failure(failure), true)
  local _, closed = thread.channel():pop(0)
  equal(llib.failure(closed), true)
  for _, other in ipairs { 1, "x", true, {}, print, { kind = "error", message = "x" }, llib, setmetatable({}, getmetatable(failure)) } do
    equal(llib.failure(other), false)
  end
  equal(llib.failure(nil), false)
  T.raises_here(function() llib.failure() end, "bad argument #1 to 'failure' (value expected)")
end)

spec("a failure that came as a value is none of llib's", function()
  local function job()
    local _, failure = require("llib").thread.async(function() error("inner", 0) end):await()
    return failure, require("llib").failure(failure)
  end
  local value, own = T.values(job)
  equal(value.kind, "error")
  equal(own, true)
  equal(llib.failure(value), false)
  local _, failure = thread.async(function() error("x", 0) end):await(TIME)
  local buffer = thread.buffer(failure)
  equal(llib.failure(buffer:get()), false)
  equal(llib.failure(failure), true)
end)

spec("failures are known as long as they live, and no longer than that", function()
  local kept = {}
  for i = 1, 200 do
    local _, failure = thread.channel():pop(0)
    if i % 50 == 0 then kept[#kept + 1] = failure end
  end
  collectgarbage() collectgarbage()
  for _, failure in ipairs(kept) do equal(llib.failure(failure), true) end
end)

T.finish()
