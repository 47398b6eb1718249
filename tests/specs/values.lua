-- What travels between processes, and how.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal
local pack, unpack, math_type = T.pack, T.unpack, T.math_type

-- There and back.
local function echo(...)
  return T.values(function(_, _, ...) return ... end, { args = pack(...) })
end

-- There, looked at by `look`, which gives its findings.
local function there(look, ...)
  return T.values(function(_, _, ...) return look(...) end, { args = pack(...) })
end

-- ---------------------------------------------------------------- plain values

spec("nil, booleans and numbers come exactly", function()
  -- Lua 5.1 takes 0 and -0.0 for the same constant.
  local values = pack(nil, true, false, 0, -1, 1, 127, 128, -128, -129, 255, 65536, 2147483648,
    T.largest, -T.largest, 0.0, -1 / math.huge, 1.0, 0.1, 1e308, 5e-324, -1e-308, math.pi, math.huge, -math.huge,
    0 / 0, -(0 / 0), 2 ^ 53, 2 ^ 63, nil)
  local got = pack(echo(unpack(values, 1, values.n)))
  T.results(got, unpack(values, 1, values.n))
end)

spec("the worker sees the same numbers", function()
  T.results(pack(there(function(i, f, nan, inf, zero)
    return math_type(i), math_type(f), nan ~= nan, inf == math.huge, 1 / zero, i == f
  end, 3, 3.0, 0 / 0, math.huge, -1 / math.huge)), math_type(3), math_type(3.0), true, true, -math.huge, true)
end)

spec("numbers as keys and values of tables keep their type", function()
  local zero = -1 / math.huge
  local t = echo({ 1, 2.0, [2 ^ 53] = "big", [-1] = zero, [0.5] = -T.largest })
  equal(t[1], 1, "[1]")
  equal(t[2], 2.0, "[2]")
  equal(t[2 ^ 53], "big", "[2^53]")
  equal(t[-1], zero, "[-1]")
  equal(t[0.5], -T.largest, "[0.5]")
  for key in pairs(t) do if key == 2 ^ 53 then equal(math_type(key), math_type(9007199254740992), "the key 2^53") end end
end)

spec("strings come exactly, of any bytes and length", function()
  local all = {}
  for i = 0, 255 do all[i + 1] = string.char(i) end
  all = table.concat(all)
  for _, text in ipairs { "", "\0", "a\0b", all, ("\255"):rep(39), ("x"):rep(40), ("y"):rep(41), all:rep(300) } do
    local got = echo(text)
    T.yes(got == text, "a string of " .. #text .. " bytes is the same")
  end
  for length = 0, 300, 7 do
    local text = ("z"):rep(length)
    T.yes(echo(text) == text, "a string of " .. length .. " bytes is the same")
  end
end)

spec("strings of 16 MiB travel in both directions", function()
  local text = ("0123456789abcdef"):rep(0x100000)
  local length, last, back = T.values(function(_, _, s) return #s, s:sub(-3), s end, { args = { text } })
  equal(length, 0x1000000, "the length there")
  equal(last, "def", "the end there")
  T.yes(back == text, "the string is the same")
end)

-- ---------------------------------------------------------------- tables

spec("tables are deep copies", function()
  local t = { 1, 2, { 3, x = { y = "z" } }, [true] = false, [1.5] = "f", s = "t" }
  local got = echo(t)
  T.same(got, t, "the table")
  T.no(rawequal(got, t), "it is the same table")
  local changed = T.values(function(_, _, u) u[1] = "changed" u[3].x = nil return u end, { args = { t } })
  equal(changed[1], "changed", "the copy")
  T.same(t, { 1, 2, { 3, x = { y = "z" } }, [true] = false, [1.5] = "f", s = "t" }, "the original")
end)

spec("cycles and shared references are kept, also as keys and across arguments", function()
  local shared = { "shared" }
  local t = { a = shared, b = shared, [shared] = "key" }
  t.self = t
  t[t] = t
  local got, other = echo(t, shared)
  T.yes(rawequal(got.self, got), "the cycle")
  T.yes(rawequal(got[got], got), "the table as its own key")
  T.yes(rawequal(got.a, got.b), "the shared table")
  T.yes(rawequal(got.a, other), "the table shared by two values")
  equal(got[other], "key", "the shared table as a key")
end)

spec("strings that occur often come out as what they are", function()
  local t = {}
  for i = 1, 1000 do t[i] = i % 2 == 0 and ("even"):rep(20) or "odd" end
  local got = echo(t)
  for i = 1, 1000 do if got[i] ~= t[i] then equal(got[i], t[i], "entry " .. i) end end
end)

spec("the array part keeps its length, with holes where they were", function()
  for _, length in ipairs { 0, 1, 3, 100, 1000 } do
    local t = {}
    for i = 1, length do t[i] = i end
    equal(#echo(t), length, "the length")
  end
  local packed = echo(pack(nil, 2, nil, nil, 5, nil))
  equal(packed.n, 6, "field n")
  T.same(packed, { nil, 2, nil, nil, 5, n = 6 }, "a table with holes")
  T.same(echo({ [1000000] = "far" }), { [1000000] = "far" }, "a sparse table")
end)

spec("metatables are copied and kept shared, with their metamethods", function()
  local Class = { __name = "Class" }
  Class.__index = Class
  function Class.double(self) return self.n * 2 end
  Class.__add = function(a, b) return setmetatable({ n = a.n + b.n }, Class) end
  Class.__len = function() return 77 end
  local a, b = setmetatable({ n = 1 }, Class), setmetatable({ n = 2 }, Class)
  T.results(pack(there(function(x, y)
    local sum = x + y
    return getmetatable(x) == getmetatable(y), getmetatable(sum) == getmetatable(x), sum:double(), #x, tostring(x):match("^%a+")
  end, a, b)), true, true, 6, #a, tostring(a):match("^%a+"))
  local c, d = echo(a, b)
  T.yes(getmetatable(c) == getmetatable(d), "the two have one metatable")
  equal((c + d):double(), 6, "the class works here")
  T.no(getmetatable(c) == Class, "the metatable is a copy")
end)

spec("metamethods are not run by sending", function()
  local touched = false
  local function touch() touched = true end
  local t = setmetatable({ 1, x = 2 }, { __index = touch, __pairs = touch, __len = touch, __newindex = touch,
    __eq = touch, __tostring = touch, __gc = nil, __metatable = "hidden" })
  local values = pack(there(function(u) return rawget(u, 1), rawget(u, "x"), getmetatable(u) end, t))
  T.results(values, 1, 2, "hidden")
  equal(touched, false, "a metamethod ran")
end)

spec("weak tables stay weak", function()
  local weak = setmetatable({ {}, "string" }, { __mode = "v" })
  T.results(pack(there(function(w)
    collectgarbage()
    return w[1], w[2], getmetatable(w).__mode
  end, weak)), nil, "string", "v")
end)

spec("__close and __gc of objects that were sent work there", function()
  if T.lua < 5.4 then T.skip("there is no __close before Lua 5.4") end
  local closed, collected = T.path(), T.path()
  local close = T.load "local o <close> = ..."
  -- The original is collected too, but only the worker's copy leaves a mark.
  local function mark(path) if thread.self() then io.open(path, "w"):close() end end
  local object = setmetatable({}, {
    __close = function() mark(closed) end,
    __gc = function() mark(collected) end,
  })
  T.results(pack(T.values(function(_, _, o)
    close(o)
    local before = io.open(collected)
    o = nil
    collectgarbage()
    collectgarbage()
    return io.open(closed) ~= nil, before == nil, io.open(collected) ~= nil
  end, { args = { object } })), true, true, true)
end)

spec("nesting may be a million deep", function()
  local deep = "bottom"
  for _ = 1, 1000000 do deep = { deep } end
  local depth, bottom, back = T.values(function(_, _, t)
    local n, u = 0, t
    while type(u) == "table" do n, u = n + 1, u[1] end
    return n, u, t
  end, { args = { deep } })
  equal(depth, 1000000, "the depth there")
  equal(bottom, "bottom", "the bottom there")
  local n = 0
  while type(back) == "table" do n, back = n + 1, back[1] end
  equal(n, 1000000, "the depth back here")
  equal(back, "bottom", "the bottom")
end)

spec("big tables travel", function()
  local t = {}
  for i = 1, 50000 do t[i] = { id = i, name = "row " .. i, flag = i % 2 == 0 } end
  local got = echo(t)
  equal(#got, 50000, "the number of rows")
  for _, i in ipairs { 1, 2, 777, 49999, 50000 } do T.same(got[i], t[i], "row " .. i) end
end)

-- ---------------------------------------------------------------- functions

spec("upvalues travel with a function, and are copies", function()
  local n, t = 1, { 2 }
  local a, b = T.values(function() n = n + 1 t[1] = t[1] + 1 return n, t[1] end)
  equal(a, 2, "the number there")
  equal(b, 3, "the table's field there")
  equal(n, 1, "the number here")
  equal(t[1], 2, "the table's field here")
end)

spec("closures that share an upvalue still share it, there and back", function()
  local n = 0
  local function inc() n = n + 1 end
  local function get() return n end
  local got, back_inc, back_get = T.values(function() inc() inc() return get(), inc, get end)
  equal(got, 2, "the shared variable there")
  back_inc()
  equal(back_get(), 3, "the shared variable back here")
  equal(n, 0, "the original")
  local a, b = echo(inc, get)
  a()
  equal(b(), 1, "two functions sent as arguments")
end)

spec("recursive and mutually recursive functions work", function()
  local function fact(k) return k < 2 and 1 or k * fact(k - 1) end
  local even, odd
  function even(k) if k == 0 then return true end return odd(k - 1) end
  function odd(k) if k == 0 then return false end return even(k - 1) end
  T.results(T.job(function() return fact(10), even(10), odd(7), even(7) end), 3628800, true, true, false)
  equal(echo(fact)(5), 120, "a recursive function sent there and back")
end)

spec("a function whose first upvalue is not the globals keeps its upvalues", function()
  local first = "first upvalue"
  local function f() return first end
  equal(echo(f)(), "first upvalue", "the first upvalue")
  local function g() return first, print end
  local a, b = echo(g)()
  equal(a, "first upvalue", "an upvalue before the globals")
  equal(b, print, "a global")
  local environment = { x = 5 }
  local h = T.load("return x", "chunk", environment)
  equal(echo(h)(), 5, "a function with globals of its own")
  T.no(rawequal(echo(h), h), "the function is a copy")
end)

spec("a function's debug information comes along, and a stripped one works", function()
  local err = T.failure(T.job(T.load("local function inner() error 'x' end\n\ninner()", "=named.lua")), "error")
  T.contains(err.message, "named.lua:1: x", "the message")
  T.contains(err.traceback, "named.lua:3:", "the traceback")
  local stripped = T.load(string.dump(function(_, _, a) return a + 1 end, true), "s")
  equal(T.values(stripped, { args = { 1 } }), 2, "a stripped function")
end)

spec("functions come back and can be called, with upvalues of the worker", function()
  local f = T.values(function()
    local pid = res.pid
    local t = { f = function() return pid end }
    return function(x) return t.f(), x * 2 end
  end)
  local pid, double = f(21)
  T.type(pid, "integer", "the worker's pid")
  equal(double, 42, "the result")
end)

spec("a function with many upvalues travels", function()
  local names = {}
  for i = 1, 60 do names[i] = "u" .. i end
  local source = "local " .. table.concat(names, ",") .. " = ...\nreturn function() return " .. table.concat(names, "+") .. " end"
  local values = {}
  for i = 1, 60 do values[i] = i end
  local f = T.load(source)(unpack(values))
  equal(T.values(f), 1830, "the sum of 60 upvalues")
end)

spec("C functions travel by name", function()
  local t = echo({ print, string.format, table.concat, math.floor, io.open, os.time, coroutine.wrap, ipairs })
  T.same(t, { print, string.format, table.concat, math.floor, io.open, os.time, coroutine.wrap, ipairs }, "t")
  equal(there(function(f) return f == string.rep and f("ab", 2) end, string.rep), "abab", "string.rep there")
  local rep = string.rep
  equal(T.values(function() return rep("x", 3) end), "xxx", "a C function as an upvalue")
end)

spec("functions of llib travel by name, also under other names", function()
  local sleep, async = thread.sleep, thread.async
  T.results(T.job(function()
    sleep(1)
    return async(function() return "nested" end):await(), sleep == require "llib".thread.sleep
  end), "nested", true)
end)

spec("module tables travel by name", function()
  local got = pack(echo(string, math, io, os, table, coroutine, debug, utf8, package, llib, thread))
  T.results(got, string, math, io, os, table, coroutine, debug, utf8, package, llib, thread)
  equal(there(function(m) return m == string end, string), true, "string there")
end)

spec("_G is the worker's globals table there, and the host's back here", function()
  equal(there(function(g) return g == _G end, _G), true, "_G there")
  equal(echo(_G), _G, "_G back here")
  local globals = _G
  equal(T.values(function() return globals == _G and globals.print == print end), true, "_G as an upvalue")
end)

spec("standard files travel by name", function()
  T.results(pack(there(function(a, b, c) return a == io.stdout, b == io.stderr, c == io.stdin end,
    io.stdout, io.stderr, io.stdin)), true, true, true)
  equal(echo(io.stderr), io.stderr, "io.stderr there and back")
end)

-- ---------------------------------------------------------------- modules

spec("a module written in Lua is required there, not copied", function()
  local folder = T.path()
  assert(os.execute("mkdir " .. folder))
  T.write(folder .. "/specmodule.lua", "local M = {state = 0} function M.touch() M.state = M.state + 1 return M.state end return M")
  local old = package.path
  package.path = folder .. "/?.lua;" .. old
  local module = require "specmodule"
  module.touch()
  local packed = T.job(function() return module.touch(), module == require "specmodule", package.path end)
  local inner = T.job(function() return thread.async(function() return require "specmodule".touch() end):await() end)
  package.path, package.loaded.specmodule = old, nil
  os.execute("rm -r " .. folder)
  T.results(packed, 1, true, folder .. "/?.lua;" .. old)
  T.results(inner, 1)
end)

spec("a table put into package.loaded by hand is copied", function()
  package.loaded.by_hand = { value = 5 }
  local module = package.loaded.by_hand
  local value = T.values(function() return module.value end)
  package.loaded.by_hand = nil
  equal(value, 5, "the field")
end)

spec("package.path, package.cpath and the working directory are the host's", function()
  local path, cpath = package.path, package.cpath
  package.path, package.cpath = "./only/here/?.lua", "./only/here/?.so"
  local packed = T.job("return package.path, package.cpath, io.popen('pwd'):read()")
  package.path, package.cpath = path, cpath
  T.results(packed, "./only/here/?.lua", "./only/here/?.so", T.shell("pwd"))
  T.results(T.job("return package.path, package.cpath"), path, cpath)
end)

spec("a host that changed its directory takes its next jobs along", function()
  local lfs = T.optional "lfs"
  local old = lfs.currentdir()
  T.values(function() end)
  assert(lfs.chdir("/"))
  local there_now = T.values("return io.popen('pwd'):read()")
  assert(lfs.chdir(old))
  equal(there_now, "/", "the directory of a job after chdir")
  equal(T.values("return io.popen('pwd'):read()"), old, "the directory of a job after the way back")
end)

spec("cjson works in workers, and its null is null everywhere", function()
  local cjson = T.optional "cjson"
  T.results(T.job(function() return cjson.encode({ 1, 2 }), cjson == require "cjson" end), "[1,2]", true)
  equal(T.values(function() return cjson.decode('{"a":[1,null]}').a[2] == cjson.null end), true, "null in a worker")
  local decoded = T.values(function() return require "cjson".decode('{"x":null,"y":[1,{"z":2.5}]}') end)
  equal(decoded.x, cjson.null, "null from a worker")
  equal(decoded.y[2].z, 2.5, "a number from a worker")
  equal(echo(cjson.null), cjson.null, "null there and back")
  equal(echo(cjson.encode), cjson.encode, "a function of it")
  equal(T.values(function() return type(cjson.null) end), "userdata", "its type")
end)

spec("lfs works in workers", function()
  local lfs = T.optional "lfs"
  T.results(T.job(function()
    return lfs.currentdir(), lfs.attributes("/", "mode"), lfs == require "lfs"
  end), lfs.currentdir(), "directory", true)
  equal(echo(lfs.dir), lfs.dir, "a function of it")
end)

spec("lpeg works in workers, and its patterns raise with their path", function()
  local lpeg = T.optional "lpeg"
  equal(T.values(function()
    local number = lpeg.R("09") ^ 1 / tonumber
    return lpeg.match(lpeg.Ct(number * (lpeg.P "," * number) ^ 0), "1,22,333")[3]
  end), 333, "a match in a worker")
  local pattern = lpeg.P "x"
  T.raises_here(function() thread.async(function() return pattern end) end,
    "upvalue 'pattern': userdata 'lpeg-pattern' has no __clone")
end)

spec("light userdata of a C module other than NULL is refused", function()
  local cjson = T.optional "cjson"
  equal(echo({ cjson.null, n = cjson.null }).n, cjson.null, "NULL in a table")
  if not debug.upvalueid then T.skip("nothing here makes another one") end
  local key = debug.upvalueid(function() return cjson end, 1)
  T.raises_here(function() thread.async(T.forever, { args = { key } }) end, "argument 1")
end)

-- ---------------------------------------------------------------- what cannot travel

spec("a coroutine raises, naming the path", function()
  local co = coroutine.create(function() end)
  T.raises_here(function() thread.async(function() return co end) end, "cannot send upvalue 'co': ", "coroutine")
  local t = { list = { 1, { co = co } } }
  T.raises_here(function() thread.async(function() return t end) end,
    "cannot send upvalue 't' → field 'list' → index 2 → field 'co': ")
  T.raises_here(function() thread.async(T.forever, { args = { 1, { x = co } } }) end, "cannot send argument 2 → field 'x': ")
  T.raises_here(function() thread.async(T.forever, { args = { co } }) end, "cannot send argument 1: ")
  T.raises_here(function() thread.async(T.forever, { args = { { [co] = 1 } } }) end, "cannot send argument 1 → key: ")
  T.raises_here(function() thread.async(T.forever, { args = { setmetatable({}, { co = co }) } }) end,
    "cannot send argument 1 → metatable → field 'co': ")
  local function inner() return co end
  T.raises_here(function() thread.async(function() return inner end) end,
    "cannot send upvalue 'inner' → upvalue 'co': ")
end)

spec("an open file raises, naming the path and its type", function()
  local file = T.scoped(io.open("/dev/null"))
  local pg = { sock = file }
  T.raises_here(function() thread.async(function() return pg end) end,
    "cannot send upvalue 'pg' → field 'sock': userdata 'FILE*' has no __clone")
end)

spec("a task raises: a job cannot be handed to another process", function()
  local task = T.scoped(thread.async(function() return 1 end))
  T.raises_here(function() thread.async(function() return task end) end, "upvalue 'task'", "llib.task")
end)

spec("a C function without a name raises", function()
  local unnamed = coroutine.wrap(function() end)
  T.raises_here(function() thread.async(function() return unnamed end) end, "cannot send upvalue 'unnamed': ")
  local gmatch = ("x"):gmatch("x")
  T.raises_here(function() thread.async(T.forever, { args = { { gmatch } } }) end, "cannot send argument 1 → index 1: ")
end)

spec("a refused value leaves nothing behind: the next job is sent as ever", function()
  local co = coroutine.create(function() end)
  for _ = 1, 50 do pcall(thread.async, function() return co end) end
  equal(T.values(function() return "fine" end), "fine", "the next job")
  T.jobs(0)
end)

spec("a global that cannot travel raises its reason when it is used, and not before", function()
  g_file = io.open("/dev/null")
  g_table = { deep = { co = coroutine.create(function() end) } }
  g_fine = "fine"
  equal(T.values(function(_, _, use) if use then return g_file, g_table end return g_fine end), "fine", "without use")
  local err = T.failure(T.job(function(_, _, use) if use then return g_file:read() end end, { args = { true } }), "error")
  T.contains(err.message, "global 'g_file' could not be sent: userdata 'FILE*' has no __clone", "the message")
  T.contains(err.message, debug.getinfo(1, "S").short_src .. ":", "the message has the script's position")
  err = T.failure(T.job(function() return g_table.deep end), "error")
  T.contains(err.message, "global 'g_table' could not be sent: field 'deep' → field 'co': ", "the message")
  T.results(T.job(function() g_file = "its own" return g_file end), "its own")
  g_file:close()
  g_file, g_table, g_fine = nil, nil, nil
end)

spec("a global that cannot travel is seen by pcall, and is nil for rawget", function()
  g_file = io.open("/dev/null")
  local ok, problem, raw = T.values(function()
    local ok, problem = pcall(function() return g_file end)
    return ok, problem, rawget(_G, "g_file")
  end)
  g_file:close()
  g_file = nil
  equal(ok, false, "pcall")
  T.contains(problem, "global 'g_file' could not be sent", "the error")
  equal(raw, nil, "rawget")
end)

spec("globals = 'all' with things that cannot travel works", function()
  g_file = io.open("/dev/null")
  g_fine = 1
  local packed = T.job(function() return _G["g_" .. "fine"], pcall(function() return _G["g_" .. "file"] end) end,
    { globals = "all" })
  g_file:close()
  g_file, g_fine = nil, nil
  equal(packed[1], 1, "a global that travels")
  equal(packed[2], false, "the one that does not")
  T.contains(packed[3], "could not be sent", "its reason")
end)

spec("a strict _G of the host does not stop a job", function()
  local output, code = T.script [[
    local thread = require "llib".thread
    known = 5
    setmetatable(_G, {
      __index = function(_, name) error("undeclared " .. name, 2) end,
      __newindex = function(_, name) error("undeclared " .. name, 2) end,
    })
    local task = thread.async(function(a) return known, a == res, pcall(function() return unknown end) end)
    io.write(tostring(select(2, assert(task:await(5000)))))
  ]]
  equal(output, "true", "the script's output")
  equal(code, 0, "the exit code")
end)

spec("a table with __clone is a table: the field is data", function()
  local t = setmetatable({ 1 }, { __clone = function() return "clone" end })
  T.same(there(function(u) return { type(u), u[1] } end, t), { "table", 1 }, "the table there")
end)

-- ---------------------------------------------------------------- __clone

-- The only userdata that plain Lua can make are files, so these get a __clone for a while.
local function with_clone(clone, body)
  local metatable = getmetatable(io.stdout)
  local file = T.scoped(assert(io.open("/dev/null")))
  metatable.__clone = clone
  local ok, problem = xpcall(function() body(file) end, function(e) return e end)
  metatable.__clone = nil
  if not ok then error(problem, 0) end
end

spec("__clone may return a stand-in", function()
  for _, stand_in in ipairs { "text", 5, true, { 1, 2 } } do
    with_clone(function() return stand_in end, function(file)
      local got = there(function(t) return t.file end, { file = file })
      if type(stand_in) == "table" then T.same(got, stand_in, "the stand-in") else equal(got, stand_in, "the stand-in") end
    end)
  end
  with_clone(function() end, function(file) equal(there(function(f) return f end, file), nil, "no stand-in") end)
end)

spec("__clone gets the userdata, and is called once for each", function()
  local calls, same = 0, nil
  with_clone(function(f) calls = calls + 1 same = f return { "one" } end, function(file)
    T.results(pack(there(function(a, b, t) return a == b, a == t.x end, file, file, { x = file })), true, true)
    equal(same, file, "the argument of __clone")
  end)
  equal(calls, 1, "the number of calls")
end)

spec("__clone may return a constructor and its arguments, called on arrival", function()
  local path = T.path()
  T.write(path, "content of the file")
  with_clone(function() return "io.open", path, "r" end, function(file)
    T.results(pack(there(function(f) return io.type(f), f:read("*a") end, file)), "file", "content of the file")
  end)
  with_clone(function() return io.open, path end, function(file)
    equal(there(function(f) return f:read("*a") end, file), "content of the file", "by a C function")
  end)
  with_clone(function() return function(a, b) return { sum = a + b, pid = require "llib".thread.self().pid } end, 2, 3 end,
    function(file)
      local object, pid = there(function(f) return f, res.pid end, file)
      equal(object.sum, 5, "by a Lua function")
      equal(object.pid, pid, "the process in which the constructor ran")
    end)
end)

spec("a __clone that fails, or is no function, raises with the path", function()
  with_clone(function() error("cannot clone", 0) end, function(file)
    T.raises_here(function() thread.async(T.forever, { args = { { f = file } } }) end,
      "cannot send argument 1 → field 'f': ", "cannot clone")
  end)
  with_clone(5, function(file)
    T.raises_here(function() thread.async(T.forever, { args = { file } }) end, "cannot send argument 1: ")
  end)
  with_clone(function(f) return f end, function(file)
    T.raises_here(function() thread.async(T.forever, { args = { file } }) end, "cannot send argument 1")
  end)
  with_clone(function() return coroutine.create(function() end) end, function(file)
    T.raises_here(function() thread.async(T.forever, { args = { file } }) end, "cannot send argument 1", "coroutine")
  end)
end)

spec("a constructor that fails on arrival fails the job, not the host", function()
  with_clone(function() return function() error("no such thing here", 0) end end, function(file)
    local err = T.failure(T.job(function(_, _, f) return f end, { args = { file } }), "error")
    T.contains(err.message, "no such thing here", "the message")
  end)
  with_clone(function() return "no.such.module.open", 1 end, function(file)
    local err = T.failure(T.job(function(_, _, f) return f end, { args = { file } }), "error")
    T.contains(err.message, "no.such.module", "the message")
  end)
end)

spec("a file that was closed meanwhile and __clone in results work alike", function()
  local got = T.values(function()
    getmetatable(io.stdout).__clone = function(f) return io.type(f) end
    local file = io.open("/dev/null")
    file:close()
    return { file, io.open("/dev/null") }
  end)
  T.same(got, { "closed file", "file" }, "what a worker sent")
end)

-- ---------------------------------------------------------------- workers of their own

spec("math.random differs between workers", function()
  local seen = {}
  for _ = 1, 20 do
    local n = T.values(function() return math.random(2147483647) end)
    T.no(seen[n], "two workers drew " .. n)
    seen[n] = true
  end
end)

spec("a worker has the whole standard library", function()
  for name, module in pairs { string = string, table = table, math = math, io = io, os = os, coroutine = coroutine,
    debug = debug, utf8 = utf8, package = package, _G = _G } do
    for field, value in pairs(module) do
      if type(value) == "function" and debug.getinfo(value, "S").what == "C" then
        equal(T.values("local m, f = select(3, ...) return type(require(m)[f])", { args = { name, field } }), "function",
          name .. "." .. field .. " in a worker")
      end
      if name == "_G" then break end
    end
  end
end)

T.finish()
