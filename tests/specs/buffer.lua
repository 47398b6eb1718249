-- thread.buffer: one value that several processes share.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal, same = T.spec, T.equal, T.same
local pack, unpack = T.pack, T.unpack

local MiB = 1048576

-- How many objects this program and its jobs share, once the handles that nobody has any more were collected.
local function segments()
  collectgarbage()
  collectgarbage()
  local tree = T.read("/proc/self/maps"):match("llib%-tree%-%x+")
  return tonumber(T.shell("ls /dev/shm | grep -c '^" .. tree .. "[.]'"))
end

-- The same when the processes of jobs that were freed are gone too.
local function settled()
  local count, since = segments(), T.now()
  while T.now() - since < 0.1 do
    thread.sleep(5)
    local now = segments()
    if now ~= count then count, since = now, T.now() end
  end
  return count
end

-- ---------------------------------------------------------------- get, set, mod

spec("get gives what set has put there, in each process", function()
  local b = thread.buffer(1)
  equal(b:get(), 1)
  equal(T.values(function() local old = b:get() b:set("two") return old end), 1)
  equal(b:get(), "two")
  b:set(3.0)
  equal(T.values(function() return b:get() end), 3.0)
end)

spec("a buffer without a value holds nil", function()
  equal(thread.buffer():get(), nil)
  equal(thread.buffer(nil):get(), nil)
  local b = thread.buffer(1)
  b:set(nil)
  equal(b:get(), nil)
  equal(select("#", b:get()), 1, "the number of values of get")
  equal(select("#", b:set(1)), 0, "the number of values of set")
end)

spec("get gives a copy each time", function()
  local inner = { 1 }
  local value = { inner = inner }
  local b = thread.buffer(value)
  value.inner = "changed"
  local copy = b:get()
  same(copy, { inner = { 1 } })
  copy.inner[1] = 2
  same(b:get(), { inner = { 1 } })
  T.no(rawequal(b:get(), b:get()), "the same table twice")
end)

spec("mod stores what the function makes of a copy, and returns it", function()
  local b = thread.buffer(20)
  equal(b:mod(function(v) return v + 1 end), 21)
  equal(b:get(), 21)
  local t = thread.buffer({ n = 1 })
  local given
  local result = t:mod(function(v) given = v v.n = v.n + 1 return v end)
  same(result, { n = 2 })
  same(t:get(), { n = 2 })
  given.n = 99
  same(t:get(), { n = 2 })
end)

spec("mod passes the value and nothing else, and takes the first result alone", function()
  local b = thread.buffer("v")
  equal(b:mod(function(...) return select("#", ...), "more" end, "further", "arguments"), 1)
  equal(b:get(), 1)
end)

spec("mod leaves the value as it is when the function returns no value, and stores a nil that it returns", function()
  local b = thread.buffer({ n = 1 })
  same(b:mod(function(v) v.n = 2 end), { n = 1 })
  same(b:mod(function() return end), { n = 1 })
  same(b:get(), { n = 1 })
  T.results(pack(b:mod(function() return nil, 5 end)), nil)
  equal(b:get(), nil)
  equal(b:mod(function(v) equal(v, nil) end), nil)
  -- Also what a C function gives counts: one value, or none.
  b:set({ 1 })
  equal(b:mod(next), 1)
  b:set("kept")
  equal(b:mod(function(v) return select(2, v) end), "kept")
  equal(b:get(), "kept")
end)

spec("a job stores nil for everybody, and a tail call's values count", function()
  local b = thread.buffer("here")
  T.values(function() b:mod(function(v) return nil end) return true end)
  equal(b:get(), nil)
  local function nothing() end
  b:set("stays")
  equal(b:mod(function() return nothing() end), "stays")
  equal(b:mod(function() return (nothing()) end), nil)
  equal(b:get(), nil)
end)

spec("mod stores false, which is a value", function()
  local b = thread.buffer(true)
  equal(b:mod(function() return false end), false)
  equal(b:get(), false)
end)

spec("mod is atomic: no change of any process is lost", function()
  local b, tasks = thread.buffer({ n = 0 }), {}
  for i = 1, 4 do
    tasks[i] = thread.async(function()
      for _ = 1, 500 do b:mod(function(v) v.n = v.n + 1 return v end) end
    end)
  end
  for _ = 1, 500 do b:mod(function(v) v.n = v.n + 1 return v end) end
  for i = 1, 4 do T.results(pack(tasks[i]:await(20000))) end
  equal(b.n, 2500)
end)

spec("a mod that runs keeps get of other processes waiting, and those see what it made", function()
  local b, path = thread.buffer("before"), T.path()
  local task = thread.async(function()
    b:mod(function()
      local file = assert(io.open(path, "w"))
      file:write("in\n")
      file:close()
      require "llib".thread.sleep(100)
      return "after"
    end)
  end)
  T.line(path)
  equal(b:get(), "after")
  task:await()
end)

spec("inside mod, get gives the old value", function()
  local b = thread.buffer(1)
  equal(b:mod(function(v) return v + b:get() + #tostring(b) end), 3)
end)

spec("inside mod, a change of the same buffer raises and the outer one goes on", function()
  local b = thread.buffer({ n = 1, f = function(self) self.n = 100 end })
  local text = "this buffer is being changed by a call that has not returned yet (mod, or a method)"
  local result = b:mod(function(v)
    T.raises_here(function() b:set(5) end, text)
    T.raises_here(function() b:mod(function() return 5 end) end, text)
    T.raises(function() b:f() end, text)
    v.n = v.n + 1
    return v
  end)
  equal(result.n, 2)
  equal(b.n, 2)
  b:set(7)
  equal(b:get(), 7)
end)

spec("inside mod of one buffer, another can be changed", function()
  local a, b = thread.buffer(1), thread.buffer(10)
  equal(a:mod(function(v) return v + b:mod(function(w) return w + 1 end) end), 12)
  equal(b:get(), 11)
end)

-- ---------------------------------------------------------------- errors inside

spec("an error inside mod comes out as it is, leaves the value, and frees the lock", function()
  local b = thread.buffer({ n = 1 })
  local thrown = setmetatable({}, { __tostring = function() return "thrown" end })
  for _, object in ipairs { thrown, "text", 5, false } do
    local ok, got = pcall(b.mod, b, function(v) v.n = 2 error(object, 0) end)
    equal(ok, false)
    T.yes(rawequal(got, object), "the error is the object that was raised")
    same(b:get(), { n = 1 })
  end
  equal(T.values(function() b:set("free") return b:get() end), "free")
end)

spec("an error inside mod keeps its position", function()
  local b = thread.buffer(1)
  T.raises_here(function() b:mod(function() error("here") end) end, "here")
  T.raises_here(function() b:mod(function(v) return v.x.y end) end, "attempt to index")
end)

spec("a result that cannot be sent leaves the value and frees the lock", function()
  local b = thread.buffer({ n = 1 })
  local form = "cannot send field 'co': a coroutine cannot leave its Lua state"
  T.raises_here(function() b:mod(function() return { co = coroutine.create(function() end) } end) end, form)
  T.raises_here(function() b:set { co = coroutine.create(function() end) } end, form)
  T.raises_here(function() thread.buffer { co = coroutine.create(function() end) } end, form)
  same(b:get(), { n = 1 })
  equal(T.values(function() b:set(2) return b:get() end), 2)
end)

spec("a yield inside mod or a method is an error that frees the lock", function()
  local b = thread.buffer({ yield = function(self) self.gone = true coroutine.yield() end })
  for _, body in ipairs {
    function() b:mod(function() coroutine.yield() end) end,
    function() b:yield() end,
  } do
    local ok, text = coroutine.resume(coroutine.create(body))
    equal(ok, false)
    T.contains(text, "attempt to yield across")
    T.contains(text, "a lock is held, and no function can yield")
  end
  equal(b.gone, nil)
  equal(T.values(function() b:set(2) return b:get() end), 2)
end)

spec("a job that ends inside mod leaves the value, and the buffer to others", function()
  local b = thread.buffer("old")
  local ends = {
    exit = function() os.exit(3) end,
    signal = function() os.execute("kill -SEGV $PPID") end,
    error = function() error("end") end,
    killed = function() os.execute("kill -KILL $PPID") end,
    closed = function() while true do thread.sleep(1) end end,
  }
  for name, finish in pairs(ends) do
    local path = T.path()
    local task = thread.async(function()
      b:mod(function()
        local file = assert(io.open(path, "w"))
        file:write("in\n")
        file:close()
        finish()
        return "new"
      end)
    end)
    T.line(path)
    if name == "closed" then task:close() end
    equal(b:get(), "old", "the value after " .. name)
    T.failure(pack(task:await(5000)), name == "killed" and "signal" or name)
    equal(b:mod(function(v) return v end), "old")
  end
end)

spec("res inside mod ends the job and leaves the value", function()
  local b = thread.buffer(1)
  equal(T.values(function(res) b:mod(function() res("out") return 2 end) end), "out")
  equal(b:get(), 1)
end)

-- ---------------------------------------------------------------- fields and methods

spec("a field is read from a copy of the value", function()
  local b = thread.buffer({ x = 1, t = { y = { 2 } }, [1] = "one", [2.5] = "half", [true] = "yes", f = false })
  equal(b.x, 1)
  equal(b.t.y[1], 2)
  equal(b[1], "one")
  equal(b[1.0], "one")
  equal(b[2.5], "half")
  equal(b[true], "yes")
  equal(b.f, false)
  equal(b.none, nil)
  equal(b[nil], nil)
  b.t.y[1] = "changed"
  equal(b.t.y[1], 2)
end)

spec("fields go through the value's own __index", function()
  local class = { greeting = "hello" }
  local b = thread.buffer(setmetatable({}, { __index = class }))
  equal(b.greeting, "hello")
  equal(thread.buffer(setmetatable({}, { __index = function(_, k) return k .. "!" end })).any, "any!")
  equal(thread.buffer("text"):upper(), "TEXT")
  equal(thread.buffer("text").len("four"), 4)
end)

spec("assigning a field raises, and says what to do", function()
  local b = thread.buffer({ x = 1 })
  T.raises_here(function() b.x = 2 end, "buffers are read-only; use set or mod")
  T.raises_here(function() b[1] = 2 end, "buffers are read-only; use set or mod")
  T.raises_here(function() b.get = 2 end, "buffers are read-only; use set or mod")
  equal(b.x, 1)
end)

spec("get, set, mod and clean win over fields of these names", function()
  local b = thread.buffer({ get = 1, set = 2, mod = 3, clean = 4, Get = 5 })
  equal(b.Get, 5)
  same(b:get(), { get = 1, set = 2, mod = 3, clean = 4, Get = 5 })
  for _, name in ipairs { "get", "set", "mod", "clean" } do T.type(b[name], "function", name) end
  equal(b:get().get, 1)
  b:set({ get = 6 })
  equal(b:get().get, 6)
  equal(b.get, thread.buffer(1).get, "the same function for each buffer")
end)

spec("a method called with a colon changes the value", function()
  local b = thread.buffer({ n = 1, add = function(self, k, ...) self.n = self.n + k return self.n, ... end })
  T.results(pack(b:add(4, "a", nil)), 5, "a", nil)
  equal(b.n, 5)
  T.results(pack(T.values(function() return b:add(10) end)), 15)
  equal(b:get().n, 15)
end)

spec("methods come from the value's class too, and the metatable stays", function()
  local Account = {}
  Account.__index = Account
  function Account:deposit(amount) self.balance = self.balance + amount end
  local b = thread.buffer(setmetatable({ balance = 10 }, Account))
  equal(select("#", b:deposit(5)), 0)
  T.values(function() b:deposit(1) b:deposit(1) return true end)
  equal(b.balance, 17)
  b:get():deposit(100)
  equal(b.balance, 17)
end)

spec("methods are atomic", function()
  local b, tasks = thread.buffer({ n = 0, inc = function(self) self.n = self.n + 1 end }), {}
  for i = 1, 4 do tasks[i] = thread.async(function() for _ = 1, 200 do b:inc() end end) end
  for i = 1, 4 do T.results(pack(tasks[i]:await(20000))) end
  equal(b.n, 800)
end)

spec("a method that raises leaves the value and frees the lock", function()
  local thrown = {}
  local b = thread.buffer({ n = 1, bad = function(self, object) self.n = 2 error(object) end })
  local ok, got = pcall(function() b:bad(thrown) end)
  equal(ok, false)
  T.yes(rawequal(got, thrown), "the error is the object that was raised")
  equal(b.n, 1)
  equal(T.values(function() b:set(1) return b:get() end), 1)
end)

spec("inside a method, the same buffer can be read and not be changed", function()
  local b
  b = thread.buffer({ n = 1 })
  b:mod(function(v)
    v.look = function(self) self.n = self.n + b.n return b:get().n end
    v.change = function() b:set(1) end
    return v
  end)
  equal(b:look(), 1)
  equal(b.n, 2)
  T.raises(function() b:change() end, "this buffer is being changed by a call that has not returned yet")
  equal(b.n, 2)
end)

spec("a method gets and gives thousands of values", function()
  local b = thread.buffer({ count = function(self, ...) self.n = select("#", ...) return ... end })
  local many = {}
  -- C functions of Lua 5.1 have 8,000 stack slots at most.
  local count = T.lua >= 5.2 and 5000 or 2000
  for i = 1, count do many[i] = i end
  local results = pack(b:count(unpack(many)))
  equal(results.n, count)
  equal(results[count], count)
  equal(b.n, count)
end)

spec("a function of a field acts on the value if the buffer comes first, and is itself otherwise", function()
  local b = thread.buffer({ n = 1, set_n = function(self, n) self.n = n return self end })
  local set_n = b.set_n
  same(set_n(b, 5).n, 5)
  equal(b.n, 5)
  local other = { n = 0 }
  T.yes(rawequal(set_n(other, 6), other), "an ordinary call")
  equal(other.n, 6)
  equal(b.n, 5)
  local copy = b:get()
  T.yes(rawequal(b.set_n(copy, 7), copy), "a call on a copy")
  equal(copy.n, 7)
  equal(b.n, 5)
end)

spec("a function of a field takes what the value has by the time of the call", function()
  local b = thread.buffer({ f = function() return "old" end })
  local f = b.f
  b:set({ f = function() return "new" end })
  equal(f(b), "new")
  equal(f(), "old")
  b:set({})
  T.raises(function() f(b) end, "attempt to call a nil value")
  equal(T.values(function() b:set(1) return true end), true)
end)

spec("functions of C are methods too: a hash in a buffer", function()
  local b = thread.buffer(llib.crypto.md5())
  b:update("a")
  T.values(function() b:update("bc") return true end)
  equal(b:final(), llib.crypto.md5("abc"))
  equal(b.final(b:get()), llib.crypto.md5("abc"))
  equal((b + "d"):final(), llib.crypto.md5("abcd"))
  equal(b:final(), llib.crypto.md5("abc"))
end)

-- ---------------------------------------------------------------- operators

spec("arithmetic is that of the value, on either side and on both", function()
  local b, two = thread.buffer(7), thread.buffer(2)
  equal(b + 1, 8) equal(1 + b, 8) equal(b + two, 9)
  equal(b - 1, 6) equal(1 - b, -6) equal(b - two, 5)
  equal(b * 2, 14) equal(2 * b, 14) equal(b * two, 14)
  equal(b / 2, 3.5) equal(14 / b, 2.0) equal(b / two, 3.5)
  equal(b % 4, 3) equal(9 % b, 2) equal(b % two, 1)
  equal(b ^ 2, 49.0) equal(2 ^ b, 128.0) equal(b ^ two, 49.0)
  equal(-b, -7)
  if T.lua >= 5.3 then
    T.load([[
      local equal, b, two = ...
      equal(b // 2, 3) equal(15 // b, 2) equal(b // two, 3)
      equal(b & 3, 3) equal(3 & b, 3) equal(b & two, 2)
      equal(b | 8, 15) equal(8 | b, 15) equal(b | two, 7)
      equal(b ~ 1, 6) equal(1 ~ b, 6) equal(b ~ two, 5)
      equal(b << 1, 14) equal(1 << b, 128) equal(b << two, 28)
      equal(b >> 1, 3) equal(256 >> b, 2) equal(b >> two, 1)
      equal(~b, ~7)
    ]], "=operators")(equal, b, two)
  end
  equal(b:get(), 7, "the value after all that")
  -- A float in Lua 5.3.
  equal(thread.buffer("10") + 5, "10" + 5)
  equal(thread.buffer(1.5) + 1, 2.5)
end)

spec("concatenation, length, comparison and call are those of the value", function()
  local b, c = thread.buffer("ab"), thread.buffer("cd")
  equal(b .. "x", "abx") equal("x" .. b, "xab") equal(b .. c, "abcd") equal("<" .. b .. "|" .. c .. ">", "<ab|cd>")
  equal(b .. 1, "ab1")
  equal(#b, 2) equal(#thread.buffer({ 1, 2, 3 }), 3)
  equal(b < c, true) equal(c < b, false) equal(b <= b, true) equal(b > c, false) equal(b >= c, false)
  -- Before Lua 5.2 no metamethod is asked about values of two types.
  if T.lua >= 5.2 then
    equal(thread.buffer(5) < 6, true) equal(4 < thread.buffer(5), true) equal(thread.buffer(5) <= 5, true)
    equal(5 > thread.buffer(5), false) equal(5 >= thread.buffer(5), true)
  end
  local f = thread.buffer(function(...) return select("#", ...), ... end)
  T.results(pack(f()), 0)
  T.results(pack(f(1, nil)), 2, 1, nil)
end)

spec("buffers are equal if their values are, or if they are the same buffer", function()
  local b = thread.buffer(5)
  equal(b == thread.buffer(5), true)
  equal(b == thread.buffer(5.0), true)
  equal(b ~= thread.buffer(6), true)
  equal(thread.buffer("a") == thread.buffer("a"), true)
  equal(thread.buffer({}) == thread.buffer({}), false, "two tables")
  equal(b == 5, false, "a buffer and a number: Lua asks no metamethod")
  local t = thread.buffer({})
  local again = thread.buffer({ t }):get()[1]
  T.no(rawequal(t, again), "the same handle")
  equal(t == again, true, "two handles of one buffer")
  equal(t == T.values(function() return t end), true, "a handle that came back")
end)

spec("the value's own metamethods are used", function()
  local meta = {
    __add = function(a, b) return "add" end,
    __sub = function(a, b) return type(b) end,
    __unm = function() return "unm" end,
    __concat = function() return "concat" end,
    __len = function() return 42 end,
    __eq = function(a, b) return a.id == b.id end,
    __lt = function(a, b) return a.id < b.id end,
    __le = function(a, b) return a.id <= b.id end,
    __call = function(self, ...) return self.id, ... end,
    __tostring = function(self) return "object " .. self.id end,
    __pairs = function() return next, { only = 1 } end,
    __name = "point",
  }
  local a, b = thread.buffer(setmetatable({ id = 1 }, meta)), thread.buffer(setmetatable({ id = 2 }, meta))
  equal(a + 1, "add") equal(1 + a, "add") equal(a + b, "add") equal(a - b, "table") equal(-a, "unm")
  equal(a .. "x", "concat")
  -- Older versions want the very same metamethod on both sides, and copies have copies.
  if T.lua >= 5.3 then equal(a == b, false) equal(a == thread.buffer(a:get()), true) end
  if T.lua >= 5.2 then equal(a < b, true) equal(a <= b, true) end
  T.results(pack(a("x", nil)), 1, "x", nil)
  equal(tostring(a), "object 1")
  if T.lua < 5.2 then return end
  equal(#a, 42)
  local keys = {}
  for key, value in pairs(a) do keys[key] = value end
  same(keys, { only = 1 })
end)

spec("tostring is that of the value", function()
  equal(tostring(thread.buffer(5)), "5")
  equal(tostring(thread.buffer("x")), "x")
  equal(tostring(thread.buffer(nil)), "nil")
  T.matches(tostring(thread.buffer({})), "^table: ")
  if T.lua >= 5.2 then equal(("%s"):format(thread.buffer(1.5)), "1.5") end
end)

spec("pairs and ipairs walk over a copy", function()
  if T.lua < 5.2 then T.skip("pairs asks no metamethod in Lua 5.1") end
  local b = thread.buffer({ "a", "b", "c", x = 1, y = { 2 } })
  local all, count = {}, 0
  for key, value in pairs(b) do
    if count == 0 then b:set({}) end
    all[key], count = value, count + 1
  end
  equal(count, 5)
  same(all, { "a", "b", "c", x = 1, y = { 2 } })
  b:set({ "a", "b", nil, "d" })
  for _ in pairs(thread.buffer({})) do T.fail("an empty table has no pairs") end
  if T.lua < 5.3 then return end
  local list = {}
  for i, value in ipairs(b) do list[i] = value end
  same(list, { "a", "b" })
  equal(next({}, nil), nil)
end)

spec("standard functions that go through metamethods take buffers", function()
  local b = thread.buffer({ "a", "b", "c" })
  if T.lua >= 5.3 then equal(table.concat({ unpack(b, 1, #b) }, ","), "a,b,c") end
  equal(rawequal(b, b), true)
  equal(type(b), "userdata")
  equal(getmetatable(b), "llib.buffer")
end)

spec("an operator that the value has not raises where it stands", function()
  local n, t, none = thread.buffer(5), thread.buffer({}), thread.buffer(nil)
  T.raises_here(function() return none + 1 end, "attempt to perform arithmetic on a nil value")
  T.raises_here(function() return 1 + t end, "attempt to perform arithmetic on a table value")
  T.raises_here(function() return -t end, "attempt to perform arithmetic on a table value")
  T.raises_here(function() return t .. "x" end, "attempt to concatenate a table value")
  T.raises_here(function() return #n end, "attempt to get length of a number value")
  T.raises_here(function() return n < thread.buffer("x") end, "attempt to compare number with string")
  T.raises_here(function() return t <= n end, "attempt to compare table with number")
  -- No tail call: of what it calls in C by one, LuaJIT forgets the place.
  T.raises_here(function() local _ = n() end, "attempt to call a buffer of a number value")
  T.raises_here(function() return n.field end, "attempt to index a buffer of a number value")
  T.raises_here(function() return none[1] end, "attempt to index a buffer of a nil value")
  T.raises_here(function() t:missing() end, "attempt to call")
  if T.lua >= 5.2 then
    T.raises_here(function() for _ in pairs(n) do end end, "attempt to iterate over a buffer of a number value")
  end
  if T.lua < 5.3 then return end
  for code, text in pairs {
    ["n & 1.5"] = "number has no integer representation", ["n // 0"] = "attempt to ",
    ["~t"] = "attempt to perform bitwise operation on a table value",
  } do
    local operate = T.load("local n, t = ... return " .. code, "=operation")
    T.raises(function() return operate(n, t) end, "operation:1: ", text)
  end
end)

spec("what a metamethod of the value raises comes out as it is", function()
  local thrown = {}
  local function raise() error(thrown) end
  local meta = { __add = raise, __concat = raise, __lt = raise, __call = raise, __index = raise }
  local b = thread.buffer(setmetatable({}, meta))
  b:mod(function(v) return v end)
  local got = b:get()
  for name, body in pairs {
    add = function() return b + 1 end, concat = function() return b .. 1 end, lt = T.lua >= 5.2 and function() return b < thread.buffer(b:get()) end or nil, call = function() return b() end, index = function() return b.x end,
  } do
    local ok, problem = pcall(body)
    equal(ok, false, name)
    T.type(problem, "table", "the error of " .. name)
  end
  T.type(got, "table")
end)

-- ---------------------------------------------------------------- arguments

spec("wrong arguments raise where they are", function()
  local b, m = thread.buffer(1), thread.mutex()
  T.bad_argument(function() b:set() end, 1, "set", "value", "no value")
  T.bad_argument(function() b:mod() end, 1, "mod", "function", "no value")
  T.bad_argument(function() b:mod(5) end, 1, "mod", "function", "number")
  T.bad_argument(function() b:mod(b) end, 1, "mod", "function", "llib.buffer")
  for _, name in ipairs { "get", "set", "mod", "clean" } do
    local f = b[name]
    T.contains(select(2, pcall(f)), "bad argument #1 to '" .. name .. "' (llib.buffer expected, got no value)")
    T.contains(select(2, pcall(f, {}, print)), "(llib.buffer expected, got table)")
    T.contains(select(2, pcall(f, io.stdout, print)), "(llib.buffer expected, got FILE*)")
    T.contains(select(2, pcall(f, m, print)), "(llib.buffer expected, got llib.mutex)")
  end
  equal(b:get(), 1)
end)

spec("a cleaned handle raises at any use, other handles go on", function()
  local b = thread.buffer({ f = print })
  local other = thread.buffer({ b }):get()[1]
  local f = b.f
  equal(select("#", b:clean()), 0)
  b:clean()
  local text = "this handle of a buffer has been cleaned"
  for name, body in pairs {
    get = function() b:get() end, set = function() b:set(1) end, mod = function() b:mod(print) end,
    field = function() return b.x end, method = function() f(b) end, add = function() return b + 1 end,
    len = function() return #b end, concat = function() return "" .. b end, call = function() b() end,
    eq = function() return b == other end, lt = function() return b < other end, tostring = function() tostring(b) end,
    pairs = T.lua >= 5.2 and function() pairs(b) end or nil, send = function() thread.buffer({ b }) end,
    async = function() thread.async(function() end, { args = { b } }) end,
  } do
    local ok, problem = pcall(body)
    equal(ok, false, name)
    T.contains(problem, text, name)
  end
  T.type(other:get(), "table")
end)

-- ---------------------------------------------------------------- values

spec("values arrive exactly, from and to a job", function()
  local b = thread.buffer()
  local values = { true, false, 0, -1, -T.largest, T.largest, 0.0, -0.0, 1 / 0, -1 / 0, 0 / 0, 1.5, 2 ^ 53,
    "", "a\0b", ("\255\0"):rep(1000), ("long"):rep(100000) }
  for _, value in ipairs(values) do
    b:set(value)
    equal(b:get(), value)
    equal(T.values(function() local v = b:get() b:set(nil) b:set(v) return v end), value)
    equal(b:get(), value)
  end
end)

spec("tables keep cycles, shared references, metatables and their array part", function()
  local meta = { __index = { inherited = true } }
  local shared = { 1 }
  local t = setmetatable({ shared, shared, 3, x = shared }, meta)
  t.self, t[t] = t, t
  local b = thread.buffer(t)
  for _, copy in ipairs { b:get(), T.values(function() b:mod(function(v) return v end) return b:get() end), b:get() } do
    T.yes(rawequal(copy.self, copy) and rawequal(copy[copy], copy), "the cycle")
    T.yes(rawequal(copy[1], copy[2]) and rawequal(copy[1], copy.x), "the shared table")
    equal(copy.inherited, true)
    equal(#copy, 3)
  end
end)

spec("functions keep their upvalues, and share those that they shared", function()
  local count = 0
  local function inc() count = count + 1 return count end
  local function look() return count end
  local b = thread.buffer({ inc = inc, look = look })
  local copy = b:get()
  equal(copy.inc(), 1)
  equal(copy.look(), 1)
  equal(count, 0)
  equal(b:inc(), 1)
  equal(b:inc(), 2)
  equal(b:look(), 2, "the counter that stands in the buffer")
  equal(T.values(function() return b:inc() + b:look() end), 6)
  equal(b:look(), 3)
  local function factorial(n) return n < 2 and 1 or n * factorial(n - 1) end
  equal(thread.buffer(factorial)(10), 3628800)
end)

spec("functions of a value see the globals of the process that calls them", function()
  a_global = "here"
  local b = thread.buffer(function() return a_global end)
  equal(b(), "here")
  equal(T.values(function() a_global = "there" return b() end), "there")
  equal(a_global, "here")
  a_global = nil
end)

spec("C functions, modules and hashes are values", function()
  local b = thread.buffer({ string.upper, string, llib.crypto.sha1() + "ab", llib, thread })
  local v = b:get()
  equal(v[1], string.upper)
  equal(v[2], string)
  equal((v[3] + "c"):final(), llib.crypto.sha1("abc"))
  equal(v[4], llib)
  equal(v[5], thread)
  equal(T.values(function() local v = b:get() return v[1]("x") .. v[2].rep("y", 2) .. (v[3] + "c"):final() end),
    "Xyy" .. llib.crypto.sha1("abc"))
end)

spec("a value with a __close or __gc metatable is copied, and finalizers of copies run in their process", function()
  if T.lua < 5.2 then T.skip("tables have no finalizers in Lua 5.1") end
  local path = T.path()
  local b = thread.buffer(setmetatable({ path = path }, { __gc = function(self)
    local file = io.open(self.path, "a")
    if file then file:write(".\n") file:close() end
  end }))
  collectgarbage()
  T.values(function() for _ = 1, 3 do b:get() end return true end)
  local copy = b:get()
  equal(copy.path, path)
  copy = nil
  collectgarbage()
  collectgarbage()
  T.contains(T.read(path), ".\n")
end)

spec("any size from nothing to 64 MiB, growing and shrinking", function()
  local b = thread.buffer("")
  local sizes = { 0, 1, 767, 768, 769, 1500, 4095, 4096, 4097, 32768, 32769, 65535, 65536, MiB, MiB + 1, 5 * MiB,
    16 * MiB, 64 * MiB }
  local function fill(size) return (("0123456789abcdef"):rep(math.floor(size / 16) + 1)):sub(1, size) end
  for round = 1, 2 do
    for i = 1, #sizes do
      local size = sizes[round == 1 and i or #sizes + 1 - i]
      local value = fill(size)
      b:set(value)
      T.yes(b:get() == value, "the value of " .. size .. " bytes")
    end
  end
  for i = 1, 40 do
    local size = (i % 2 == 0) and 2 * MiB or i
    local value = fill(size)
    equal(b:mod(function() return value end) == value, true)
    equal(#b, size)
  end
  local size, sum = T.values(function()
    b:set(("w"):rep(8 * MiB))
    local n = #b
    b:set("small")
    return n, b:get()
  end)
  equal(size, 8 * MiB)
  equal(sum, "small")
  equal(b:get(), "small")
end)

spec("a buffer that shrank gives its memory back", function()
  -- In KiB, of the objects that this process has mapped: others use the same file system.
  local function taken()
    local files, sum = {}, 0
    for line in io.lines("/proc/self/maps") do
      local file = line:match("(/dev/shm/llib%-tree%-%x+%.%x+)")
      if file then files[file] = true end
    end
    for file in pairs(files) do sum = sum + (tonumber(T.shell("stat -c %b " .. file .. " 2>/dev/null")) or 0) / 2 end
    return sum
  end
  local b = thread.buffer("small")
  local before = taken()
  b:set(("x"):rep(32 * MiB))
  T.yes(taken() - before > 30000, "32 MiB are taken up")
  b:set("small")
  T.wait(function() return taken() - before < 1000 end, "they are given back")
end)

-- ---------------------------------------------------------------- handles

spec("a handle travels as upvalue, argument, global, in tables, and as a key", function()
  local b = thread.buffer(0)
  shared_buffer = b
  local function inc(v) return v + 1 end
  T.values(function(_, _, argument, t)
    local inc = inc
    b:mod(inc) argument:mod(inc) shared_buffer:mod(inc) t.deep[1]:mod(inc) next(t.keys):mod(inc)
    return true
  end, { args = { b, { deep = { b }, keys = { [b] = true } } } })
  shared_buffer = nil
  equal(b:get(), 5)
end)

spec("a handle comes back from a job, in a result and in a failure", function()
  local b = T.values(function() return thread.buffer("made there") end)
  equal(b:get(), "made there")
  local t = T.values(function() local b = thread.buffer(1) return { b, { b } } end)
  t[1]:set(2)
  equal(t[2][1]:get(), 2)
  equal(t[1] == t[2][1], true)
  local err = T.failure(T.job(function(_, rej) rej(thread.buffer("rejected")) end), "rejected")
  equal(err.values[1]:get(), "rejected")
  err = T.failure(T.job(function() error(thread.buffer("raised")) end), "error")
  equal(err.value:get(), "raised")
end)

spec("a buffer outlives the process that made it, whatever that died of", function()
  local c = thread.channel()
  for _, finish in ipairs { "os.exit(1)", "os.execute('kill -KILL $PPID')", "error('x')", "return 1" } do
    local ending = T.load(finish)
    T.job(function()
      c:push(thread.buffer({ "made by one that ended" }))
      ending()
    end)
    local b = c:pop(1000)
    equal(b[1], "made by one that ended", finish)
    b:set("and changed")
    equal(b:get(), "and changed")
  end
end)

spec("a buffer inside a buffer is the same buffer for everybody", function()
  local inner = thread.buffer(1)
  local outer = thread.buffer({ inner = inner })
  outer.inner:set(2)
  equal(inner:get(), 2)
  T.values(function() outer.inner:mod(function(v) return v * 10 end) return true end)
  equal(inner:get(), 20)
  inner:clean()
  inner = nil
  collectgarbage()
  equal(outer.inner:get(), 20, "the outer one alone keeps it")
  outer:set(nil)
end)

spec("a chain of buffers is kept by its first, and freed with it", function()
  local before = settled()
  local chain = thread.buffer("end")
  for _ = 1, 50 do chain = thread.buffer({ chain }) end
  collectgarbage()
  local b = chain
  for _ = 1, 50 do b = b[1] end
  equal(b:get(), "end")
  b = nil
  equal(segments(), before + 51)
  chain = nil
  equal(segments(), before)
end)

spec("a buffer can contain itself", function()
  local b = thread.buffer(1)
  b:set({ me = b, n = 5 })
  equal(b.me.me.me.n, 5)
  T.values(function() b.me.me:mod(function(v) v.n = 6 return v end) return true end)
  equal(b.n, 6)
  b:set(nil)
  equal(b:get(), nil)
end)

spec("buffers that are dropped leave nothing in shared memory", function()
  local before = settled()
  for i = 1, 2000 do
    local b = thread.buffer(i)
    if i % 2 == 0 then b:clean() end
  end
  equal(segments(), before, "after 2000 in the host")
  T.values(function() for i = 1, 500 do thread.buffer(i) end return true end)
  T.wait(function() return segments() == before end, "those of a job are gone")
  local kept = {}
  for i = 1, 200 do kept[i] = thread.buffer(i) end
  equal(segments(), before + 200)
  T.values(function() local sum = 0 for _, b in ipairs(kept) do sum = sum + b:get() end return sum end)
  kept = nil
  T.wait(function() return segments() == before end, "all objects are gone")
end)

spec("more buffers than a worker can note are freed with it too", function()
  local before = settled()
  T.failure(T.job(function()
    kept = {}
    for i = 1, 300 do kept[i] = thread.buffer(i) end
    os.execute("kill -KILL $PPID")
  end), "signal")
  T.wait(function() return segments() == before end, "all objects are gone")
end)

spec("a result nobody awaits, and a job nobody lets begin, drop their handles", function()
  local before = settled()
  for _ = 1, 5 do
    local task = thread.async(function(_, _, b) return thread.buffer(b:get()) end, { args = { thread.buffer(1) } })
    task:clean()
  end
  local task = thread.async(function() return thread.buffer(1) end)
  T.wait(function() return task:status() == "done" end, "the result")
  task:clean()
  T.wait(function() return segments() == before end, "all objects are gone")
end)

spec("a nested job shares the buffers of the whole tree", function()
  local b = thread.buffer(1)
  T.values(function()
    local inner = thread.async(function() b:mod(function(v) return v + 1 end) return thread.buffer("deep") end)
    local deep = inner:await()
    b:set({ b:get(), deep })
    return true
  end)
  equal(b[1], 2)
  equal(b[2]:get(), "deep")
end)

-- ---------------------------------------------------------------- coroutines and finalizers

spec("buffers work in coroutines, and the outcome is the same", function()
  local b = thread.buffer(0)
  local co = coroutine.wrap(function()
    for _ = 1, 3 do coroutine.yield(b:mod(function(v) return v + 1 end)) end
  end)
  equal(co(), 1) equal(co(), 2) equal(co(), 3)
  equal(b:get(), 3)
end)

spec("finalizers may use buffers, also while one is being read or changed", function()
  local b, other = thread.buffer(0), thread.buffer({})
  local trouble
  local function litter()
    T.finalizer(function()
      local ok, problem = pcall(function()
        other:set({ (other:get()[1] or 0) + 1 })
        b:get()
      end)
      if not ok then trouble = problem end
    end)
  end
  for i = 1, 200 do
    litter()
    if i % 10 == 0 then collectgarbage() end
    b:mod(function(v) litter() if i % 7 == 0 then collectgarbage() end return v + 1 end)
    b:set({ ("x"):rep(i * 10), {}, {} })
    b:get()
    b:set(i)
  end
  collectgarbage()
  equal(trouble, nil)
  equal(b:get(), 200)
  T.yes(other[1] > 100, "the finalizers ran")
end)

spec("a finalizer inside mod that changes the same buffer gets the error, not a deadlock", function()
  local b, problem = thread.buffer(1), nil
  b:mod(function(v)
    T.finalizer(function() problem = select(2, pcall(b.set, b, 99)) end)
    collectgarbage()
    return v + 1
  end)
  T.contains(problem, "this buffer is being changed by a call that has not returned yet")
  equal(b:get(), 2)
end)

T.finish()
