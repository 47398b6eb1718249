-- What a job gets to see of an error is the error, never something that llib made of it.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal, same = T.spec, T.equal, T.same
local pack = T.pack

-- Runs `body` in a job, in a pool's job, as an item of a list, in a coroutine and in a job's job: each gives what it gives
-- here in a protected call.
local function everywhere(body)
  local pool = T.scoped(thread.pool { size = 1 })
  local ways = {
    job = function() return T.values(body) end,
    pool = function() return pool:submit(body):await() end,
    map = function() return (assert(pool:map(function() return (body()) end, { 1 })))[1] end,
    coroutine = function() return T.values(function() return coroutine.wrap(body)() end) end,
    nested = function()
      return T.values(function() return require "llib".thread.async(body):await() end)
    end,
  }
  local _, expected = pcall(body)
  T.type(expected, "string", "what it gives here")
  for name, way in pairs(ways) do equal(way(), expected, name) end
end

spec("load gives what its reader raised", function()
  everywhere(function()
    local function of(raised)
      local chunk, problem = load(function() error(raised, 0) end)
      return chunk == nil and problem
    end
    local own = setmetatable({ code = 7 }, { __tostring = function() return "own" end })
    return type(of "text") .. " " .. of "text" .. " " .. tostring(rawequal(of(own), own)) .. " " .. type(of(nil))
  end)
end)

spec("load of a text that nests too deeply gives a text", function()
  everywhere(function()
    local text = "return " .. ("("):rep(500) .. "2" .. (")"):rep(500)
    local chunk, problem = (loadstring or load)(text)
    return type(problem) .. " " .. tostring(problem:find("llib", 1, true))
  end)
end)

spec("a handler of xpcall gets the error, also one from a reader of load inside", function()
  everywhere(function()
    local own = {}
    local _, same = xpcall(function() error(own) end, function(e) return rawequal(e, own) end)
    local _, inner = xpcall(function() return select(2, load(function() error(own) end)) end, function(e) return e end)
    return tostring(same) .. " " .. type(inner)
  end)
end)

spec("closing a coroutine gives the error that its variables raised", function()
  if not coroutine.close then T.skip "this Lua closes no coroutines" end
  everywhere(T.load [[
    local own = { code = 8 }
    local co = coroutine.create(function()
      local x <close> = setmetatable({}, { __close = function(_, e) own.seen = tostring(e) error(own) end })
      coroutine.yield()
    end)
    coroutine.resume(co)
    local ok, problem = coroutine.close(co)
    return tostring(ok) .. " " .. tostring(rawequal(problem, own)) .. " " .. own.seen
  ]])
end)

spec("__close gets the error that ends the job", function()
  if T.lua < 5.4 then T.skip "this Lua closes no variables" end
  local seen = thread.channel()
  local job = T.load([[
    local seen, raise = ...
    local function closing(f) return setmetatable({}, { __close = f }) end
    local object = { code = 7 }
    local x <close> = closing(function(_, e) seen:push { type = type(e), text = tostring(e), own = rawequal(e, object) } end)
    for _ in next, { 1 }, nil, closing(function(_, e) seen:push { type = type(e), own = rawequal(e, object) } end) do
      if raise == "table" then error(object) end
      if raise == "nil" then error() end
      if raise == "number" then error(5) end
      local nothing
      nothing.field()
    end
  ]], "=job")
  local pool = T.scoped(thread.pool { size = 1 })
  -- Lua 5.5 itself gives a text in the place of a nil.
  local of_nil = T.lua < 5.5 and "nil" or "string"
  for _, start in ipairs {
    function(raise) return thread.async(function(_, _, ...) return job(...) end, { args = { seen, raise } }) end,
    function(raise) return pool:submit(job, seen, raise) end,
  } do
    for raise, expected in pairs { table = "table", ["nil"] = of_nil, number = "number", text = "string" } do
      local err = T.failure(pack(start(raise):await()), "error")
      for _ = 1, 2 do
        local told = seen:pop(5000)
        equal(told.type, expected, "what a job that raised a " .. raise .. " closes with")
        equal(told.own, raise == "table", "whether it is the same object")
        if told.text and raise == "text" then T.contains(told.text, "job:10: attempt to index a nil value") end
      end
      T.contains(err.traceback, "job:", "the traceback")
    end
  end
end)

spec("what a __close raises takes the error's place, for those outside of it and for the failure", function()
  if T.lua < 5.4 then T.skip "this Lua closes no variables" end
  local seen = thread.channel()
  local job = T.load [[
    local seen = ...
    local function closing(f) return setmetatable({}, { __close = f }) end
    local outer <close> = closing(function(_, e) seen:push(e) end)
    local inner <close> = closing(function(_, e) seen:push(e) error({ second = true }) end)
    error({ first = true })
  ]]
  local err = T.failure(T.job(function(_, _, ...) return job(...) end, { args = { seen } }), "error")
  same(seen:pop(0), { first = true })
  same(seen:pop(0), { second = true })
  same(err.value, { second = true })
end)

spec("a finalizer that fails says so in its own words", function()
  local task = T.scoped(thread.async(function()
    if warn then warn "@on" end
    local function litter()
      local object, fail = newproxy and newproxy(true) or {}, function() error("finalizer's words", 0) end
      if newproxy then getmetatable(object).__gc = fail else setmetatable(object, { __gc = fail }) end
    end
    litter()
    return select(2, pcall(collectgarbage))
  end, { stderr = "capture" }))
  -- It is raised by the collection, or warned of.
  local text = tostring(T.returned(pack(task:await(5000, true)))) .. select(2, task:output())
  -- LuaJIT tells nobody.
  if not jit then T.contains(text, "finalizer's words") end
  T.no(text:find("table: 0x", 1, true), "a table in its place")
end)

spec("an error that was caught before is not taken for the one that ends the job", function()
  local err = T.failure(T.job(function()
    local function inner() error("same words", 0) end
    load(inner)
    pcall(inner)
    error("same words", 0)
  end), "error")
  equal(err.message, "same words")
  equal(err.value, "same words")
  T.contains(err.traceback, "own_errors.lua")
  T.no(err.traceback:find("inner", 1, true), "the traceback of the caught error")
end)

-- ---------------------------------------------------------------- what cannot travel

spec("an error value that cannot travel leaves the reason", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local function job() error { code = 5, deep = { co = coroutine.create(function() end) } } end
  local ways = {
    T.job(job), pack(pool:submit(job):await()), pack(pool:map(job, { 1, 2 })),
    T.job(function() return require "llib".thread.async(function() error { deep = { co = coroutine.create(function() end) } } end):await() end),
  }
  for _, packed in ipairs(ways) do
    local err = T.failure(packed, "error")
    equal(err.value, nil)
    T.contains(err.value_reason, "cannot send field 'deep' → field 'co': ")
    T.contains(err.message, "(error object is a table value)")
    T.contains(err.traceback, "own_errors.lua")
  end
  equal(ways[3][2].index, 1, "the item's index")
end)

spec("the reason names the value itself, one of several, and what is too long", function()
  local err = T.failure(T.job(function() error(coroutine.create(function() end)) end), "error")
  T.contains(err.value_reason, "cannot send the error value: ")
  err = T.failure(T.job(function() rej("why", 2, { coroutine.create(function() end) }) end), "rejected")
  equal(err.message, "why")
  equal(err.values, nil)
  T.contains(err.value_reason, "cannot send value 3 → index 1: ")
  err = T.failure(T.job(function() error(setmetatable({ ("x"):rep(100000) }, { __tostring = function() return "long" end })) end,
    { result_limit = "50K" }), "error")
  equal(err.message, "long")
  T.contains(err.value_reason, "cannot send more than")
end)

spec("an error value that travels, and none at all, need no reason", function()
  for _, value in ipairs { { 5 }, { "x" }, { {} }, { nil } } do
    local raised = value[1]
    local err = T.failure(T.job(function() error(raised) end), "error")
    equal(err.value_reason, nil)
  end
end)

T.finish()
