-- What travels by name, and what comes along with a function: standard functions, modules, classes, environments, and
-- what `require` looks for.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal
local pack, unpack = T.pack, T.unpack

-- Runs a script of its own, with `thread` and `try` ready: `try(f)` gives the values of a job, or its failure as a text.
-- It has what its two texts say, the first before llib is loaded.
local function script(before, after)
  local output, code = T.script(before .. [[

    local thread = require "llib".thread
    local unpack = _G.unpack or table.unpack
    local function show(ok, first, second)
      if not ok then return "raised: " .. tostring(first) end
      if first == nil and second ~= nil then return "failed: " .. tostring(second) end
      return tostring(first)
    end
    local function try(f, options)
      return (show(pcall(function() return thread.async(f, options):await(60000) end)))
    end
  ]] .. after)
  if code ~= 0 then T.fail("the script failed: " .. output) end
  return output
end

-- Each of these lines was printed, in this order.
local function lines(output, ...)
  local got = {}
  for line in output:gmatch("[^\n]+") do got[#got + 1] = line end
  T.same(got, { ... }, "the lines")
end

-- A folder with modules, removed at the end of the claim: names and texts.
local function with_modules(modules, body)
  local folder = T.path()
  T.shell("mkdir -p " .. folder)
  for name, text in pairs(modules) do
    local file = folder .. "/" .. name:gsub("%.", "/") .. ".lua"
    T.shell("mkdir -p " .. file:match("^(.*)/"))
    T.write(file, text)
  end
  local old = package.path
  package.path = folder .. "/?.lua;" .. old
  local ok, problem = xpcall(function() return body(folder, ("package.path = %q\n"):format(package.path)) end, function(e) return e end)
  package.path = old
  for name in pairs(modules) do package.loaded[name] = nil end
  T.shell("rm -rf " .. folder)
  if not ok then error(problem, 0) end
end

-- ---------------------------------------------------------------- standard functions

spec("a standard function is the same one under any name that a script gave it", function()
  lines(script([[
    table.unpack = table.unpack or unpack
    math.now, string.now, now = os.clock, os.clock, os.clock
    package.loaded.compat = { type = type, format = string.format, sub = { find = string.find } }
  ]], [[
    local unpack, now, also = table.unpack, math.now, package.loaded.compat.format
    print(try(function() return (unpack { 5 }) end))
    print(try(function() return type(now()) end))
    print(try(function() return also("%d", 7) end))
    print(try(function() return type(1) end))
    local now = _G.now
    print(try(function() return now == os.clock end))
  ]]), "5", "number", "7", "number", "true")
end)

spec("a function that is no longer in its place is found all the same", function()
  lines(script([[
    local format, remove = string.format, os.remove
    kept = { format, remove, print }
    string.format, os.remove, print = nil, nil, nil
    function print(...) io.write("[log] ", ..., "\n") end
  ]], [[
    local kept = kept
    io.write(try(function() return kept[1]("%d", 3) == "3" and kept[2] == os.remove and kept[3] ~= print end), "\n")
  ]]), "true")
end)

spec("a wrapped standard function arrives as the wrapper, as a global and as an upvalue", function()
  lines(script([[
    local old_require, old_setmetatable = require, setmetatable
    function require(name) return old_require(name), "wrapped" end
    function setmetatable(t, m) return old_setmetatable(t, m), "wrapped" end
  ]], [[
    local require, setmetatable = require, setmetatable
    print(try(function() return (select(2, require "string")) end))
    print(try(function() return (select(2, setmetatable({}, {}))) end))
    local g = _G
    print(try(function() return (select(2, g.require "string")) .. (select(2, _G.setmetatable({}, {}))) end))
  ]]), "wrapped", "wrapped", "wrappedwrapped")
end)

spec("a global that the host replaced by what cannot travel is named, and not another one", function()
  lines(script([[
    local co = coroutine.wrap(function() end)
    print, type = co, co
    local out = io.write
    function say(...) out(..., "\n") end
  ]], [[
    say(try(function() return (select(2, pcall(function() return type(1) end))):match("global 'type' could not be sent") end))
    say(try(function() return rawget(_G, "print") end))
    say(try(function() return tostring(math.pi):sub(1, 4) end))
  ]]), "global 'type' could not be sent", "nil", "3.14")
end)

spec("a standard name that stands for a function of another module arrives as that function", function()
  T.optional "lfs"
  lines(script([[ local lfs = require "lfs" type = lfs.currentdir ]], [[
    print(try(function() return type() == require "lfs".currentdir() end))
  ]]), "true")
end)

spec("a replaced _VERSION goes along, and the usual one stays", function()
  lines(script([[ usual = _VERSION _VERSION = "mine" ]], [[
    print(try(function() return _VERSION end))
    _VERSION = usual
    print(try(function() return _VERSION == "]] .. _VERSION .. [[" end))
  ]]), "mine", "true")
end)

spec("a job that put something in a function's place still receives the function itself", function()
  local channel = thread.channel()
  channel:push(print)
  channel:push(string.format)
  T.results(T.job(function()
    local original, format = print, string.format
    print, string.format = nil, function() return "mine" end
    return channel:pop() == original, channel:pop() == format
  end), true, true)
end)

spec("a file that a script put in the place of io.stdout is no standard stream", function()
  lines(script([[ standard, io.stdout = io.stdout, io.tmpfile() ]], [[
    local out = io.stdout
    print(try(function() return out end):match("raised: .-cannot send upvalue 'out': userdata 'FILE%*' has no __clone"))
    local out = standard
    print(try(function() return io.type(out) end):match "raised: .*" or "a file")
  ]]):gsub("raised: [^\n]-cannot", "cannot"), "cannot send upvalue 'out': userdata 'FILE*' has no __clone", "a file")
end)

spec("functions that a script put into a library travel when they are named, in the place of others too", function()
  local out = script([[
    table.unpack = table.unpack or unpack
    function string.trim(s) return (s:gsub("^%s+", ""):gsub("%s+$", "")) end
    function string.twice(s) return s:trim():rep(2) end
    local old = math.floor
    function math.floor(x) return old(x) + 100 end
    local co = coroutine.create(function() end)
    function os.now() return co end
    io.write = io.write
  ]], [[
    print(try(function() return (table.unpack { 4 }) end))
    print(try(function() return (" x "):twice() end))
    print(try(function() return math.floor(1.5) end))
    print(try(function() return (select(2, pcall(function() return os.now() end))):match("function 'now' could not be sent: upvalue 'co'") end))
    print(try(function() return string["tr" .. "im"] == nil and os.time() > 0 end))
    print(try(function() return string["tr" .. "im"](" y ") end, { globals = "all" }))
    local pool = thread.pool { size = 1 }
    local f = function(x) return math.floor(x), string.rep("x", 2) end
    for _ = 1, 3 do io.write(tostring(pool:submit(f, 2):await()), " ") end
    math.floor = function() return "changed" end
    io.write(tostring(pool:submit(f, 2):await()), " ", tostring(pool:submit("return math.floor(7)"):await()), "\n")
    print(thread.async("return (math.floor(1.5))", { sandbox = true, globals = "all" }):await())
  ]])
  lines(out, "4", "xx", T.lua >= 5.3 and "101" or "101", "function 'now' could not be sent: upvalue 'co'", "true", "y",
    "102 102 102 changed changed", "changed")
end)

-- ---------------------------------------------------------------- modules

spec("a name that workers cannot require is never sent", function()
  T.optional "lfs"
  lines(script([[
    local lfs = require "lfs"
    package.loaded["compat.lfs"], package.loaded.a, package.loaded.vendored = lfs, lfs, { cd = lfs.currentdir }
  ]], [[
    local currentdir = package.loaded.a.currentdir
    print(try(function() return currentdir() == require "lfs".currentdir() end))
    local lfs = package.loaded["compat.lfs"]
    print(try(function() return lfs == require "lfs" end))
  ]]), "true", "true")
end)

spec("a C function of a module that workers cannot require raises, with the way to it", function()
  T.optional "lfs"
  lines(script([[
    local lfs = require "lfs"
    package.loaded.lfs, package.loaded.vendored = nil, { cd = lfs.currentdir }
  ]], [[
    local t = { cd = package.loaded.vendored.cd }
    print((try(function() return t.cd() end):gsub("^raised: .-cannot", "cannot")))
  ]]):gsub("\n.*", ""), "cannot send upvalue 't' → field 'cd': the C function 'vendored.cd', for workers cannot require 'vendored'")
end)

spec("no order of the tables changes a name", function()
  T.optional "lfs"
  for seed = 1, 6 do
    with_modules({
      two = "local m = require 'two.core' m.more = function() return 'more' end return m",
      ["two.core"] = "return {}",
    }, function(_, path)
      lines(script(path .. ([[
        local lfs, two = require "lfs", require "two"
        for _, name in ipairs { "aa", "lfs2", "x.lfs", "zz", "lf" } do package.loaded[name] = lfs end
        table.unpack = table.unpack or unpack
        _G.fs, _G.zzz = lfs, lfs.currentdir
        local seed = %d
        local function random(n) seed = (seed * 16807) %% 2147483647 return seed %% n + 1 end
        local function shuffle(t)
          local keys = {}
          for k in pairs(t) do keys[#keys + 1] = k end
          local copy = {}
          for _, k in ipairs(keys) do copy[k] = t[k] end
          for i = #keys, 2, -1 do local j = random(i) keys[i], keys[j] = keys[j], keys[i] end
          local rawset, ipairs = rawset, ipairs
          for _, k in ipairs(keys) do rawset(t, k, nil) end
          for i = 1, 3000 do rawset(t, i, i) end
          for i = 1, 3000 do rawset(t, i, nil) end
          for _, k in ipairs(keys) do rawset(t, k, copy[k]) end
        end
        local loaded, globals, tab = package.loaded, _G, table
        shuffle(loaded) shuffle(globals) shuffle(tab) shuffle(lfs)
      ]]):format(seed), [[
        local cd, unpack, two = require "lfs".currentdir, table.unpack, require "two"
        print(try(function() return cd == require "lfs".currentdir end))
        print(try(function() return (unpack { 1 }) end))
        print(try(function() return two.more() end))
        print(try(function() return two == require "two.core" and two == require "two" end))
      ]]), "true", "1", "more", "true")
    end)
  end
end)

spec("one module under several names is one table in the job", function()
  package.loaded.hand, package.loaded.hand_too = { value = 5 }, nil
  package.loaded.hand_too = package.loaded.hand
  local hand = package.loaded.hand
  local packed = T.job(function()
    return hand == require "hand", hand == require "hand_too", hand.value, require "hand".value
  end)
  package.loaded.hand, package.loaded.hand_too = nil, nil
  T.results(packed, true, true, 5, 5)
end)

spec("LuaJIT's modules that are functions are required", function()
  if not jit then T.skip("only LuaJIT has them") end
  local new, clear = require "table.new", require "table.clear"
  T.results(T.job(function()
    local t = new(3, 0)
    t[1] = 1
    clear(t)
    return #t, new == require "table.new", require "jit.util".funcinfo == nil
  end), 0, true, false)
  local pool = T.scoped(thread.pool { size = 1 })
  for _ = 1, 3 do equal(T.returned(pack(pool:submit(function() return #new(10, 0) end):await())), 0, "in a pool") end
end)

-- ---------------------------------------------------------------- a job's own

spec("copies of the globals of a job travel on, with its res and rej", function()
  local function copy_of()
    local copy = {}
    for k, v in pairs(_G) do if k ~= "arg" and k ~= "_G" and k ~= "package" then copy[k] = v end end
    return copy
  end
  local function inner()
    local copy, names = copy_of(), {}
    for k, v in pairs(copy) do names[v] = k end
    local task = thread.async(function()
      return type(copy.print), copy.res == res, copy.rej == rej, copy.res.pid == res.pid, names[res], names[copy.rej]
    end)
    return task:await()
  end
  T.results(T.job(inner), "function", true, true, true, "res", "rej")
  local pool = T.scoped(thread.pool { size = 1 })
  T.results(pack(pool:submit(inner):await()), "function", true, true, true, "res", "rej")
  T.results(T.job(inner, { sandbox = true }), "function", true, true, true, "res", "rej")
end)

spec("res and rej in a result do not stop it, and say what they were", function()
  local got = T.values(function() return { res, rej, res.testclose, x = 1 } end)
  equal(got.x, 1, "what is beside them")
  equal(tostring(got[1]), "inert part of a job res", "res")
  T.raises(function() got[2]() end, "inert part of a job rej cannot be called")
end)

-- ---------------------------------------------------------------- environments

-- A function compiled with this environment.
local function within(environment, source) return T.load(source, "=script", environment)() end

spec("of an environment that leads to the globals only the fields that functions name travel", function()
  local env = setmetatable({ thread = thread, mine = 5, file = io.tmpfile() }, { __index = _G })
  local f = within(env, [[ return function() return mine, os.time() > 0, unpack == nil, rawequal(_G, getmetatable("").none) end ]])
  local mine, time = T.values(f)
  equal(mine, 5, "a field")
  equal(time, true, "a global")
  T.results(T.job(within(env, [[ return function()
    local ok, problem = pcall(function() return file end)
    return ok, problem:match("global 'file' could not be sent: userdata 'FILE%*' has no __clone") ~= nil
  end ]])), false, true)
  -- All fields.
  local all = within(env, [[ return function() local n = "mi" .. "ne" return _ENV and _ENV[n] or getfenv and getfenv(1)[n] end ]])
  equal(T.values(all, { globals = "all" }), 5, "a field that nobody names")
end)

spec("functions with one environment share it in the job, and what they set is not the host's", function()
  local env = setmetatable({ n = 1 }, { __index = _G })
  local set, get = within(env, [[ return function(v) n = v end, function() return n end ]])
  local set, get = T.load([[ return (function(v) n = v end), (function() return n end) ]], "=s", env)()
  T.results(T.job(function() local before = get() set(7) return before, get(), rawget(_G, "n") end), 1, 7, nil)
  equal(env.n, 1, "the host's")
end)

spec("environments that are isolated stay so, and those that inherit are flattened", function()
  local closed = T.load([[ return function() return y, print, x end ]], "=s", { y = 5 })()
  T.results(T.job(function() return closed() end), 5, nil, nil)
  local parent = setmetatable({ x = "parent's" }, { __index = _G })
  local child = setmetatable({ y = 2 }, { __index = parent })
  local inherits = T.load([[ return function() return y, x, type(print) end ]], "=s", child)()
  T.results(T.job(function() return inherits() end), 2, "parent's", "function")
  -- As busted has it: a function that looks in several places.
  local context = { co = coroutine.create(function() end), x = 3 }
  local dynamic = setmetatable({}, { __index = function(_, k) return rawget(context, k) or _G[k] end, __newindex = function() error "no" end })
  local looks = T.load([[ return function() z = 4 return x, z, type(print), nothing end ]], "=s", dynamic)()
  T.results(T.job(function() return looks() end), 3, 4, "function", nil)
  -- A list of what is allowed does not lead to the globals.
  local listed = setmetatable({}, { __index = function(_, k) return ({ print = print })[k] end })
  local few = T.load([[ return function() return print ~= nil, os end ]], "=s", listed)()
  T.results(T.job(function() return few() end), true, nil)
end)

spec("an environment that is a value too is sent whole", function()
  local env = setmetatable({ named = 1, unnamed = 2, 10, 20 }, { __index = _G })
  local f = T.load([[ return function() return named end ]], "=s", env)()
  T.results(T.job(function(_, _, f, env) return f(), env.unnamed, env[2], rawget(env, "named") end, { args = { f, env } }), 1, 2, 20, 1)
  T.results(T.job(function(_, _, env, f) return f(), env.unnamed, #env end, { args = { env, f } }), 1, 2, 2)
end)

spec("environments work in pools, channels and results", function()
  local env = setmetatable({ n = 3 }, { __index = _G })
  local f = T.load([[ return function(k) return n * (k or 1), type(math) end ]], "=s", env)()
  local pool = T.scoped(thread.pool { size = 1 })
  for k = 1, 3 do T.results(pack(pool:submit(f, k):await()), 3 * k, "table") end
  local channel = thread.channel()
  channel:push(f)
  T.results(pack(channel:pop()(2)), 6, "table")
  T.results(pack(T.values(function() return f end)(5)), 15, "table")
  equal(tostring(T.values(function() return f end, { sandbox = true })), "inert function from a sandboxed job", "from a sandbox")
end)

-- ---------------------------------------------------------------- classes

local classes = {
  shapes = [[
    local M = {}
    local Point = {} Point.__index = Point
    function Point.new(x) return setmetatable({ x = x }, Point) end
    function Point:double() return self.x * 2 end
    M.Point = Point
    M.meta = { __tostring = function() return "a thing" end }
    function M.thing() return setmetatable({}, M.meta) end
    M.defaults = { size = 1 }
    return M
  ]],
  point = [[
    local Point = {} Point.__index = Point
    function Point.new(x) return setmetatable({ x = x }, Point) end
    return Point
  ]],
  -- As middleclass has it: instances have a metatable that is a field of the class.
  middle = [[
    local dict = {} dict.__index = dict
    function dict:get() return self.v end
    local class = setmetatable({ name = "Middle", __instanceDict = dict, static = {} }, {
      __call = function(c, v) return setmetatable({ class = c, v = v }, c.__instanceDict) end,
      __tostring = function() return "class Middle" end,
    })
    function class:new(v) return self(v) end
    return { Middle = class }
  ]],
  -- A library of classes, whose functions are in all of them, and a module of which nothing but methods of one class are.
  making = [[
    local function make(name, super)
      local dict = {} dict.__index = dict
      if super then for key, value in pairs(super.dict) do if key ~= "__index" then dict[key] = value end end end
      function dict:class_of() return self.class end
      return setmetatable({ name = name, dict = dict, super = super }, {
        __index = dict, __newindex = dict, __call = function(class, v) return setmetatable({ class = class, v = v }, dict) end,
      })
    end
    return make
  ]],
  problems = [[
    local make = require "making"
    local M = { Problem = make "Problem" }
    function M.Problem:text() return self.v end
    M.Missing = make("Missing", M.Problem)
    M.Plain = {} M.Plain.__index = M.Plain
    M.Derived = setmetatable({}, { __index = M.Plain }) M.Derived.__index = M.Derived
    return M
  ]],
  -- What middleclass makes has no function in the class itself: all are in that metatable, with what is inherited.
  kinds = [[
    return function(super)
      local dict = {}
      for name, f in pairs(super and super.__instanceDict or {}) do dict[name] = f end
      dict.__index = dict
      return setmetatable({ __instanceDict = dict, super = super }, {
        __index = dict,
        __newindex = function(_, name, f) dict[name] = f end,
        __call = function(class, v) return setmetatable({ class = class, v = v }, dict) end,
      })
    end
  ]],
  animals = [[
    local Animal = require "kinds"()
    function Animal:get() return self.v end
    return { Animal = Animal, Dog = require "kinds"(Animal) }
  ]],
  -- As classic has it: a class is the metatable of those below it, which get its metamethods.
  below = [[
    return function(parent)
      local class = { super = parent }
      for name, f in pairs(parent) do if name:find "^__" then class[name] = f end end
      class.__index = class
      return setmetatable(class, parent)
    end
  ]],
  objects = [[
    local Object = { __call = function(class, v) return setmetatable({ v = v }, class) end }
    Object.__index = Object
    return setmetatable(Object, Object)
  ]],
  faults = [[
    local below = require "below"
    local Fault = below(require "objects")
    function Fault:get() return self.v end
    local Missing = below(Fault)
    return { Fault = Fault, Missing = Missing, Lost = below(Missing) }
  ]],
  -- It hands on what others made, under names that come first in the alphabet and are shorter.
  all = [[ return { P = require "shapes".Point, Q = require "point", D = require "animals".Dog } ]],
}

spec("a class of a module is the module's in the job, and the host's again in what comes back", function()
  with_modules(classes, function()
    local shapes, Point, middle = require "shapes", require "point", require "middle"
    local p, q, thing, m = shapes.Point.new(4), Point.new(1), shapes.thing(), middle.Middle(6)
    local a, b, c, d, there = T.values(function()
      local loaded = require "shapes"
      local there = getmetatable(p) == loaded.Point and getmetatable(q) == require "point" and getmetatable(thing) == loaded.meta
        and m.class == require "middle".Middle and getmetatable(m) == m.class.__instanceDict
      return p, q, thing, m, there
    end)
    equal(there, true, "in the job")
    T.yes(getmetatable(a) == shapes.Point and a:double() == 8, "an instance")
    T.yes(getmetatable(b) == Point, "a module that is a class")
    T.yes(getmetatable(c) == shapes.meta, "a metatable")
    T.yes(getmetatable(d) == middle.Middle.__instanceDict and d.class == middle.Middle, "a class that makes its metatable")
    local made = T.values(function() return require "shapes".Point.new(2), require "middle".Middle(3) end)
    T.yes(getmetatable(made) == shapes.Point, "made in the job")
    -- The class itself, and data beside it.
    local Class, defaults = shapes.Point, shapes.defaults
    shapes.defaults.size = 9
    T.results(T.job(function() return Class == require "shapes".Point, defaults.size end), true, 9)
    T.yes(T.values(function() return Class end) == Class, "the class comes back")
  end)
end)

spec("so is a class that has no methods, or none but those of a library of classes", function()
  with_modules(classes, function()
    local problems = require "problems"
    for _, name in ipairs { "Problem", "Missing", "Plain", "Derived" } do
      local Class = problems[name]
      local instance = Class.dict and Class(5) or setmetatable({}, Class)
      local there, back, Same, made = T.values(function()
        local C = require "problems"[name]
        local same = Class == C and getmetatable(instance) == (C.dict or C) and (not C.dict or instance:class_of() == C)
        return same, instance, C, C.dict and C(6) or setmetatable({}, C)
      end)
      equal(there, true, name .. " in the job")
      T.yes(Same == Class, name .. " itself")
      for _, object in ipairs { back, made } do
        T.yes(getmetatable(object) == (Class.dict or Class) and object.class == instance.class, name .. " of what comes back")
      end
    end
    -- One that is the script's own is not looked for there.
    local Own = {} Own.__index = Own
    function Own:own() return "own" end
    problems.Missing = Own
    package.loaded.another = {}
    equal(T.values(function() return setmetatable({}, Own):own() end), "own")
    problems.Added = setmetatable({}, { __index = problems.Plain })
    problems.Added.__index = problems.Added
    package.loaded.yet_another = {}
    local added = setmetatable({}, problems.Added)
    T.yes(getmetatable(T.values(function() return added end)) == problems.Added, "one that the job's module has not")
    package.loaded.another, package.loaded.yet_another = nil, nil
  end)
end)

spec("a class without functions in its own table is the module's", function()
  with_modules(classes, function()
    local animals = require "animals"
    local animal, dog = animals.Animal(1), animals.Dog(2)
    local a, b, there, Dog = T.values(function()
      local loaded = require "animals"
      local there = animal.class == loaded.Animal and dog.class == loaded.Dog and dog.class.super == animal.class
      return animal, dog, there, loaded.Dog
    end)
    equal(there, true, "in the job")
    T.yes(a.class == animals.Animal and getmetatable(a) == animals.Animal.__instanceDict and a:get() == 1, "an instance")
    T.yes(b.class == animals.Dog and b:get() == 2, "of a class that has inherited all of it")
    T.yes(Dog == animals.Dog, "a class that only the job has named")
  end)
end)

spec("a class that has inherited all it can do from the module's is the module's, and one of a script's own is not", function()
  with_modules(classes, function()
    local faults = require "faults"
    faults.Own = require "below"(faults.Fault)
    function faults.Own:twice() return self.v * 2 end
    local own = faults.Own(4)
    local fault = T.job(function() error(require "faults".Lost(7)) end)[2].value
    T.yes(getmetatable(fault) == faults.Lost and fault:get() == 7, "raised in a job")
    T.yes(T.values(function() return require "faults".Missing end) == faults.Missing, "the class itself")
    local back, twice = T.values(function() return own, own:twice() end)
    T.yes(getmetatable(back) == faults.Own and twice == 8, "one of a script's own")
  end)
end)

spec("a class that another module hands on is that of the module that made it", function()
  with_modules(classes, function()
    local shapes, Point, animals, all = require "shapes", require "point", require "animals", require "all"
    local p, q, d = T.values(function()
      local all = require "all"
      return all.P, all.Q, all.D
    end)
    T.yes(p == shapes.Point, "a field of the module that made it")
    T.yes(q == Point, "a module that is a class")
    T.yes(d == animals.Dog, "a class that makes its metatable")
    T.results(T.job(function() return all.P == require "shapes".Point, all.Q == require "point", all.D == require "animals".Dog end), true, true, true)
  end)
end)

spec("a class that a script put into a module keeps its identity, without the module being there", function()
  with_modules(classes, function()
    local shapes = require "shapes"
    local Own = {} Own.__index = Own
    function Own:get() return self.v end
    shapes.Own = Own
    local function instance(v) return setmetatable({ v = v }, Own) end
    package.loaded.by_hand = { Own2 = setmetatable({ __index = Own }, nil) }
    local x, y = instance(1), setmetatable({}, package.loaded.by_hand.Own2)
    T.results(T.job(function() return x:get(), getmetatable(x) == getmetatable(x), y.get ~= nil end), 1, true, true)
    local back, other = T.values(function() return x, y end)
    T.yes(getmetatable(back) == Own, "back from a job")
    T.yes(getmetatable(other) == package.loaded.by_hand.Own2, "of a module made by hand")
    local channel = thread.channel()
    channel:push(instance(1)) channel:push(instance(2))
    T.yes(getmetatable(channel:pop()) == Own and getmetatable(channel:pop()) == Own, "two messages here")
    channel:push(instance(3)) channel:push(instance(4))
    local same, first, second = T.values(function()
      local a, b = channel:pop(), channel:pop()
      return getmetatable(a) == getmetatable(b), a, b
    end)
    equal(same, true, "two messages in a job")
    T.yes(getmetatable(first) == Own and getmetatable(second) == Own, "and back")
    -- What a job of a pool did to its copy the next one does not see.
    local pool = T.scoped(thread.pool { size = 1 })
    T.returned(pack(pool:submit(function(x) getmetatable(x).spoilt = true kept = x return true end, instance(1)):await()))
    equal(T.returned(pack(pool:submit(function(x) return getmetatable(x).spoilt == nil end, instance(1)):await())), true, "a pool's next job")
    package.loaded.by_hand = nil
  end)
end)

spec("a class refers to itself and to others, known or not", function()
  package.loaded.by_hand = {}
  local Base = {} Base.__index = Base
  local Sub = setmetatable({ super = Base, made = {} }, { __index = Base, __call = function(c) return setmetatable({}, c) end })
  Sub.__index = Sub
  Base.subs = { Sub }
  package.loaded.by_hand.Base, package.loaded.by_hand.Sub = Base, Sub
  local x = Sub()
  for _ = 1, 2 do
    local back, base, shared = T.values(function()
      local c = getmetatable(x)
      return x, c.super, c.super.subs[1] == c and c.super.__index == c.super
    end)
    T.yes(getmetatable(back) == Sub and base == Base, "back from a job")
    equal(shared, true, "in the job")
  end
  package.loaded.by_hand = nil
end)

spec("classes are copies where a sandboxed job sends them", function()
  with_modules(classes, function(folder)
    local shapes = require "shapes"
    local got = T.values(function() local p = require "shapes".Point.new(4) return p end,
      { sandbox = { libs = { "shapes" } }, functions = true, metatables = true })
    T.no(getmetatable(got) == shapes.Point, "the class of a sandboxed job is the host's")
    equal(got:double(), 8, "but it works")
    equal(getmetatable(T.values(function() return require "shapes".Point.new(4) end, { sandbox = { libs = { "shapes" } } })), nil,
      "without its being asked for")
  end)
end)

spec("Penlight's classes keep their identity", function()
  local List = T.optional "pl.List"
  local Map = require "pl.OrderedMap"
  local l = T.values(function() return List { 1, 2 } end)
  T.yes(l:is_a(List) and getmetatable(l) == List, "a list from a job")
  local m = T.values(function() local m = Map() m:set("a", 1) return m end)
  T.yes(m:is_a(Map) and m:get "a" == 1, "a map from a job")
  local here = List { 3 }
  T.results(T.job(function() return here:is_a(require "pl.List"), getmetatable(here) == List end), true, true)
end)

-- ---------------------------------------------------------------- what is left out

spec("what has __transient is left out", function()
  local silent = { __transient = true }
  local cache, log = setmetatable({ co = coroutine.create(function() end) }, silent), setmetatable({}, silent)
  local object = setmetatable({ 1, log, 3, cache = cache, log = log, [log] = 1, n = 2 }, { __index = { kind = "object" } })
  T.results(T.job(function(_, _, direct)
    local keys = 0
    for _ in pairs(object) do keys = keys + 1 end
    return object.cache, object.log, object[1], object[2], object[3], object.n, object.kind, keys, direct, cache
  end, { args = { log } }), nil, nil, 1, nil, 3, 2, "object", 3, nil, nil)
  g_cache = cache
  equal(T.values(function() return g_cache end), nil, "a global")
  g_cache = nil
  -- Only what is true says so, and of a metatable only its own field.
  local kept = setmetatable({}, { __transient = false, __index = { __transient = true } })
  equal(T.values(function() return type(kept) end), "table", "one that does not say so")
  local metatable = getmetatable(io.stdout)
  metatable.__transient = true
  local file = io.tmpfile()
  local ok, got = pcall(T.job, function() return { file, 5 }, file end)
  metatable.__transient = nil
  file:close()
  if not ok then error(got, 0) end
  equal(got[1][2], 5, "what is beside a userdata")
  equal(got[1][1], nil, "a userdata")
end)

-- ---------------------------------------------------------------- what require looks for

spec("modules of package.preload that are Lua functions travel when the job requires them", function()
  local base = 10
  package.preload["my.base"] = function(name) return { name = name, n = base } end
  package.preload.mine = function() return { n = require "my.base".n + 1 } end
  package.preload.unused = function() return coroutine.create(function() end) end
  local function run() return require "mine".n, require "my.base".name, package.preload["un" .. "used"] end
  T.results(T.job(run), 11, "my.base", nil)
  local pool = T.scoped(thread.pool { size = 1 })
  for _ = 1, 3 do T.results(pack(pool:submit(run):await()), 11, "my.base", nil) end
  base = 20
  for _ = 1, 2 do T.results(pack(pool:submit(run):await()), 21, "my.base", nil) end
  package.preload.mine = function() return { n = "new" } end
  T.results(pack(pool:submit(run):await()), "new", "my.base", nil)
  equal(T.values(function() return require("mi" .. "ne").n end, { globals = "all" }), "new", "with all of them")
  local co = coroutine.create(function() end)
  package.preload.mine = function() return co end
  local packed = T.job(function() return pcall(require, "mine") end)
  equal(packed[1], false, "one that cannot travel")
  T.contains(packed[2], "module 'mine' could not be sent: upvalue 'co': a coroutine", "its reason")
  equal(T.values(function() return "unused", require "string" ~= nil end), "unused", "one that is never loaded is not in the way")
  package.preload["my.base"], package.preload.mine, package.preload.unused = nil, nil, nil
end)

spec("modules that are in package.loaded alone travel when the job requires them", function()
  package.loaded["hand.made"] = { f = function() return 5 end }
  package.loaded.flag = true
  equal(T.values(function() return require "hand.made".f() end), 5, "a table")
  equal(T.values(function() return require "flag" end), true, "a module that returned nothing")
  package.loaded["hand.made"] = { co = coroutine.create(function() end) }
  local packed = T.job(function() return pcall(require, "hand.made") end)
  T.contains(packed[2], "module 'hand.made' could not be sent: field 'co': a coroutine", "one that cannot travel")
  package.loaded["hand.made"], package.loaded.flag = nil, nil
end)

spec("searchers that are Lua functions travel with jobs that require something", function()
  local searchers = package.searchers or package.loaders
  local sources = { virtual = "return { name = ... }" }
  local function search(name)
    local source = sources[name]
    return source and (loadstring or load)(source, "=virtual") or "\n\tno virtual module"
  end
  table.insert(searchers, 2, search)
  local count = #searchers
  T.results(T.job(function()
    local searchers = package.searchers or package.loaders
    return require "virtual".name, type(searchers[2]), #searchers
  end), "virtual", "function", count)
  local pool = T.scoped(thread.pool { size = 1 })
  for _ = 1, 3 do
    T.results(pack(pool:submit(function() return require "virtual".name, #(package.searchers or package.loaders) end):await()), "virtual", count)
  end
  equal(T.values(function() return #(package.searchers or package.loaders) end), count - 1, "in a job that requires nothing")
  sources.co = coroutine.create(function() end)
  local packed = T.job(function() return pcall(require, "virtual") end)
  T.contains(packed[2], "a searcher of the program could not be sent: upvalue 'sources' → field 'co': a coroutine", "one that cannot travel")
  table.remove(searchers, 2)
end)

T.finish()
