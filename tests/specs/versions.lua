-- What differs between versions of Lua: each has its own way to say it, and the same travels.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal
local pack, unpack = T.pack, T.unpack

-- There and back.
local function echo(...)
  return T.values(function(_, _, ...) return ... end, { args = pack(...) })
end

spec("the worker has the host's Lua", function()
  equal(T.values(function() return _VERSION end), _VERSION, "_VERSION in a worker")
  equal(T.values(function() return type(jit) end), type(jit), "the type of jit in a worker")
end)

spec("a pool's workers have it too", function()
  equal(T.scoped(thread.pool { size = 1 }):submit("return _VERSION"):await(), _VERSION, "_VERSION in a pool")
end)

spec("whatever the host's standard library has, the worker finds by name", function()
  for _, name in ipairs { "string", "table", "math", "os", "coroutine", "bit", "bit32", "utf8" } do
    for field, value in pairs(_G[name] or {}) do
      -- Some of LuaJIT's are written in Lua and travel as such.
      if type(value) == "function" and debug.getinfo(value, "S").what == "C" then
        equal(echo(value), value, name .. "." .. field)
      end
    end
  end
  for _, name in ipairs { "unpack", "loadstring", "setfenv", "module", "newproxy", "warn" } do
    equal(echo(_G[name]), _G[name], name)
  end
end)

spec("globals with names of any length go along with the function that names them", function()
  for _, length in ipairs { 1, 2, 3, 8, 39, 40, 41, 60, 121, 122, 123, 127, 128, 129, 199 } do
    local name = ("g"):rep(length)
    _G[name] = { length }
    equal(T.values(T.load("return " .. name .. "[1]")), length, "a global of " .. length .. " bytes")
    _G[name] = nil
  end
end)

spec("a global goes along that is first met as the name of a local variable", function()
  g_twice = "global"
  local f = T.load [[
    local function inner(g_twice) return g_twice end
    local function outer() return g_twice end
    return inner("local"), outer()
  ]]
  local inner, outer = T.values(f)
  g_twice = nil
  equal(inner, "local", "the local variable")
  equal(outer, "global", "the global")
end)

-- ---------------------------------------------------------------- globals of a function

spec("functions that share a table of globals still share it", function()
  local environment = { n = 0 }
  local inc = T.load("n = n + 1", "inc", environment)
  local get = T.load("return n", "get", environment)
  local n, back_inc, back_get = T.values(function() inc() inc() return get(), inc, get end)
  equal(n, 2, "the global there")
  back_inc()
  equal(back_get(), 3, "the global back here")
  equal(environment.n, 0, "the original")
end)

spec("a table of globals that falls back to _G does so there", function()
  local environment = setmetatable({ own = "own" }, { __index = _G })
  local f = T.load("return own, type(print), tostring(5)", "f", environment)
  T.results(T.job(f), "own", "function", "5")
end)

spec("setfenv in a worker changes that function alone", function()
  if not setfenv then T.skip("there is no setfenv") end
  T.results(T.job(function()
    local function f() return x end
    x = "global"
    local before = f()
    setfenv(f, { x = "own" })
    return before, f(), x
  end), "global", "own", "global")
end)

-- ---------------------------------------------------------------- syntax

spec("integers and their operators travel", function()
  if T.lua < 5.3 then T.skip("there are no integers before Lua 5.3") end
  T.results(T.job(T.load "return 7 // 2, 1 << 40, 7 & 3, ~0, math.mininteger, 2^53 | 0"),
    3, 1099511627776, 3, -1, math.mininteger, 9007199254740992)
  local integer, float = echo(T.integer("1"), 1 / 1)
  equal(math.type(integer), "integer", "1")
  equal(math.type(float), "float", "1.0")
end)

spec("goto travels", function()
  local f = (loadstring or load)("local i = 0 ::again:: i = i + 1 if i < 5 then goto again end return i")
  if not f then T.skip("there is no goto in Lua 5.1") end
  equal(T.values(f), 5, "the value")
end)

spec("variables to be closed travel", function()
  if T.lua < 5.4 then T.skip("there are none before Lua 5.4") end
  T.results(T.job(T.load [[
    local log = {}
    do
      local a <const> = 5
      local b <close> = setmetatable({}, { __close = function() log[1] = "closed" end })
      log[2] = a
    end
    return log[1], log[2]
  ]]), "closed", 5)
end)

spec("declared globals travel", function()
  if T.lua < 5.5 then T.skip("there are none before Lua 5.5") end
  g_declared = 7
  local value = T.values(T.load "global g_declared; return g_declared + 1")
  g_declared = nil
  equal(value, 8, "the value")
end)

-- ---------------------------------------------------------------- numbers

spec("whole numbers stay exact as far as this Lua has them", function()
  for _, number in ipairs { 2 ^ 31, 2 ^ 32, 2 ^ 52, 2 ^ 53, -(2 ^ 53), 2 ^ 62, 2 ^ 63, 2 ^ 64, 1e300, T.largest, -T.largest } do
    equal(echo(number), number, ("%.17g"):format(number))
    local key = next(echo({ [number] = true }))
    T.yes(key == number, ("the key %.17g"):format(number))
  end
end)

spec("numbers are told as they are, with or without integers", function()
  local task = T.scoped(thread.async(T.forever))
  equal(tostring(task:pid()), ("%d"):format(task:pid()), "a process id as a text")
  equal(#tostring(task:id()) > 0 and task:id() % 1, 0, "the id is whole")
end)

-- ---------------------------------------------------------------- LuaJIT

spec("data of the FFI library is refused, naming the path", function()
  if not jit then T.skip("this is not LuaJIT") end
  local ffi = require "ffi"
  local number = ffi.new("int64_t", 5)
  T.raises_here(function() thread.async(function() return number end) end,
    "cannot send upvalue 'number': a cdata value cannot be sent")
  T.raises_here(function() thread.async(T.forever, { args = { { p = ffi.new("char[4]") } } }) end,
    "cannot send argument 1 → field 'p': a cdata value cannot be sent")
  local err = T.failure(T.job(function() return require "ffi".new("int", 1) end), "encode")
  T.contains(err.message, "result 1", "the message")
end)

spec("the FFI library and its literals work in workers", function()
  if not jit then T.skip("this is not LuaJIT") end
  local ffi = require "ffi"
  equal(T.values(function() return ffi.sizeof("int64_t"), ffi == require "ffi" end), 8, "sizeof")
  equal(T.values(T.load "return tostring(1LL + 2)"), "3LL", "a 64-bit literal in the code")
end)

spec("jobs are compiled, unless autoclose has to reach each instruction", function()
  if not jit then T.skip("this is not LuaJIT") end
  equal(T.values(function() return (jit.status()) end), (jit.status()), "the compiler in a worker")
  equal(T.values(function(res) res:autoclose() return (jit.status()) end), false, "the compiler under autoclose")
end)

spec("close reaches a loop that was compiled before autoclose", function()
  if not jit then T.skip("this is not LuaJIT") end
  local path = T.path()
  local task = T.scoped(thread.async(function(res)
    local function spin(n) local x = 0 for i = 1, n do x = x + i % 7 end return x end
    for _ = 1, 200 do spin(1000) end
    res:autoclose()
    local file = io.open(path, "w")
    file:write("begun\n")
    file:close()
    spin(1e15)
  end))
  T.line(path)
  task:close()
  local packed = pack(task:await(2000))
  if packed[2].kind == "timeout" then T.fail("the job runs on 2 s after close") end
  T.contains(T.failure(packed, "closed").message, "ended after", "the message of a job that ended by itself")
end)

T.finish()
