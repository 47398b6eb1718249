-- The sandbox: what a job has in it, what it has not, what comes back from it.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal

local MIB = 1048576
local can = thread.capabilities()

-- Runs source text in a sandbox and packs what await gives.
local function run(source, options, ...)
  options = options or {}
  if options.sandbox == nil then options.sandbox = true end
  options.args = options.args or T.pack(...)
  return T.job("local res, rej = ... local a, b = select(3, ...) " .. source, options)
end

local function values(source, options, ...) return T.returned(run(source, options, ...)) end

local function fails(kind, source, options) return T.failure(run(source, options), kind) end

-- ---------------------------------------------------------------- what is there

spec("capabilities tell what the kernel can enforce, without starting anything", function()
  local output = T.script [[
    local thread = require "llib".thread
    local can = thread.capabilities()
    for _, key in ipairs { "seccomp", "files", "truncate", "tcp", "devices", "scopes", "sandbox", "no_new_privs", "limits" } do
      assert(type(can[key]) == "boolean", key)
    end
    assert(can.landlock == false or (can.landlock >= 1 and can.landlock % 1 == 0))
    assert(type(can.kernel) == "string" and type(can.missing) == "table")
    assert(next(thread.stats()) == nil)
    print(can.files == (can.landlock ~= false and can.landlock >= 1))
  ]]
  equal(output, "true\n", "the script's output")
end)

spec("task:sandbox() reports what was enforced, and nil without a sandbox", function()
  local task = thread.async("return 1", { sandbox = true })
  local report = task:sandbox()
  equal(report.enforced, true, "enforced")
  for _, key in ipairs { "language", "limits", "descriptors", "environment", "no_new_privs", "seccomp" } do
    equal(report[key], true, key)
  end
  equal(report.landlock, can.landlock, "landlock")
  T.same(report.missing, {}, "missing")
  equal(task:await(), 1, "the value")
  local plain = thread.async("return 1")
  equal(plain:sandbox(), nil, "without a sandbox")
  plain:clean()
end)

spec("a sandboxed job computes, prints, and gives values back", function()
  local sum, text, list = values([[
    local t = {}
    for i = 1, 100 do t[i] = i end
    local sum = 0
    for _, n in ipairs(t) do sum = sum + n end
    return sum, ("x"):rep(3) .. a, { 1, { b = 2 } }
  ]], nil, "!")
  equal(sum, 5050, "the sum")
  equal(text, "xxx!", "the text")
  T.same(list, { 1, { b = 2 } }, "the table")
  local captured = thread.async("print('out', 1) return 7", { sandbox = true, stdout = "capture" })
  equal(captured:await(5000, true), 7, "the value")
  equal(captured:output(), "out\t1\n", "what it printed")
  captured:clean()
end)

spec("functions of the host run in a sandbox with their upvalues and globals", function()
  local base = 10
  local function add(_, _, n) return base + n, type(os.execute), type(io) end
  T.results(T.job(add, { sandbox = true, args = { 5 } }), 15, "nil", "nil")
end)

spec("a sandboxed job gives way to all others on the processor", function()
  local function nice(pid)
    local f = io.open("/proc/" .. pid .. "/stat")
    local stat = f:read("*a")
    f:close()
    -- proc(5): the name in parentheses is the second field, this one the nineteenth.
    return tonumber((stat:gsub("^.*%) " .. ("%S+ "):rep(16) .. "(%S+).*$", "%1")))
  end
  local own = nice("self")
  for _, case in ipairs { { {}, 10 }, { { env = { "HOME" } }, 10 }, { { read = { "/usr" }, exec = true }, 19 } } do
    local ready = thread.channel()
    local task = T.scoped(thread.async(function() ready:push(true) while true do end end, { sandbox = case[1] }))
    T.results(T.pack(ready:pop(5000)), true)
    equal(nice(task:pid()), math.min(19, own + case[2]))
  end
  local plain = T.scoped(thread.async(T.forever))
  equal(nice(T.wait(function() return plain:pid() end, "the job to run")), own)
end)

spec("source text is compiled in its worker, under the job's limits, and not here", function()
  local huge = "local x = { " .. ("1, "):rep(4000000) .. "}"
  local before = collectgarbage("count")
  local result = T.job(huge, { sandbox = true, memory = "16M", cpu = 2000 })
  T.failure(result, result[2].kind == "cpu" and "cpu" or "memory")
  T.yes(collectgarbage("count") - before < 30000, "the host has compiled nothing")
  for _, text in ipairs { "x = = 1", ("("):rep(300) .. "1", "while = 1 -- \0 '", ("a."):rep(100) } do
    equal(T.failure(T.job(text, { sandbox = true }), "error").syntax, true, text:sub(1, 20))
  end
end)

spec("source text in a sandbox gets no global of the host by naming it, unless it is told to", function()
  _G.host_secret, _G.host_table = "hunter2", { 1 }
  local text = "return host_secret, type(host_table)"
  T.results(T.job(text, { sandbox = true }), nil, "nil")
  T.results(T.job(text, { sandbox = true, globals = { "host_table" } }), nil, "table")
  T.results(T.job(text, { sandbox = true, globals = "named" }), "hunter2", "table")
  T.results(T.job(function() return host_secret, type(host_table) end, { sandbox = true }), "hunter2", "table")
  -- A job that starts another in its own sandbox has written that one itself.
  T.results(T.job([[
    inner_global = 5
    return require "llib".thread.async("return inner_global, host_secret"):await()
  ]], { sandbox = true }), 5, nil)
  _G.host_secret, _G.host_table = nil, nil
end)

spec("jobs one after the other and many at once all run sandboxed", function()
  for round = 1, 3 do
    local tasks = {}
    for i = 1, 30 do tasks[i] = thread.async("return select(3, ...), io == nil", { sandbox = true, args = { i } }) end
    for i = 1, 30 do
      local n, walled = tasks[i]:await(10000)
      equal(n, i, "the value")
      equal(walled, true, "no io")
    end
  end
end)

spec("libraries have what is listed and nothing else", function()
  local names = values [[
    local names = {}
    for name, value in pairs(_G) do
      if type(value) == "table" and name ~= "_G" and name ~= "res" then
        for field in pairs(value) do names[#names + 1] = name .. "." .. tostring(field) end
      else
        names[#names + 1] = name
      end
    end
    table.sort(names)
    return names
  ]]
  local found = {}
  for _, name in ipairs(names) do found[name] = true end
  for _, name in ipairs { "string.format", "table.concat", "math.random", utf8 and "utf8.char" or "table.insert", "coroutine.wrap", "os.time",
    "os.clock", "os.date", "debug.traceback", "load", "pcall", "print", "require", "package.loaded" } do
    T.yes(found[name], name .. " is there")
  end
  for name in pairs(found) do
    for _, never in ipairs { "^io", "^os%.e", "^os%.re", "^os%.tm", "^os%.s", "^os%.getenv", "^debug%.[^t]", "dump", "^dofile",
      "^loadfile", "loadlib", "cpath", "searchpath" } do
      T.no(name:find(never), name .. " must not be there")
    end
  end
  T.results(run "return package.loaded.io, package.loaded.os == os, next(package.searchers or package.loaders, 2), debug.getregistry", nil, true, nil, nil)
end)

spec("bytecode never loads, text does", function()
  local code = string.dump(function() return 1 end)
  local function refused(source)
    local value, problem = values(source, nil, code)
    equal(value, nil, "the function")
    T.contains(problem, "attempt to load", "the error")
  end
  refused "return load(function() local piece = a a = nil return piece end)"
  equal(values "local n = 0 return load(function() n = n + 1 return ({ 'return', ' 6', ' * 7' })[n] end)()", 42, "text in pieces")
  if loadstring then
    refused "return loadstring(a)"
    equal(values "return loadstring('return 6 * 7')()", 42, "text")
  end
  if T.lua >= 5.2 or jit then
    refused "return load(a)"
    refused "return load(a, 'x', 'b')"
    refused "return load(a, 'x', 'bt')"
    local value, problem = values "return load('return 1', 'x', 'b')"
    equal(value, nil, "text where bytecode was asked for")
    T.contains(problem, "attempt to load", "the error")
    equal(values "return load('return 6 * 7')()", 42, "text")
    equal(values "return load('return x', 'x', 't', { x = 8 })()", 8, "an environment")
  end
  if T.lua >= 5.2 then
    equal(values "return pcall(load('return x', 'x', 't', nil))", false, "an environment that is nil")
  end
  local task_error = T.raises(function() thread.async(code, { sandbox = true }) end, "source text expected")
  T.contains(task_error, "precompiled", "the error")
end)

spec("the metatable of strings is read-only", function()
  local err = fails("error", "getmetatable('').__index = {}")
  T.contains(err.message, "the string metatable is read-only in a sandbox", "the message")
  fails("error", "getmetatable('').__add = function() end")
  fails("error", "setmetatable(getmetatable(''), {})")
  equal(values "return getmetatable('').__index == string", true, "reading it")
  equal(values "return ('x'):upper()", "X", "methods of strings")
end)

spec("require finds nothing but what was granted", function()
  local ok, problem = values "return pcall(require, 'lfs')"
  equal(ok, false, "pcall")
  T.contains(problem, "the sandbox grants no such module", "the error")
  equal(values "return require 'string' == string", true, "a library that is there")
  equal(values "return type(require 'llib'.thread.sleep)", "function", "llib")
  local _, io_problem = values "return pcall(require, 'io')"
  T.contains(io_problem, "module 'io' not found", "the error")
end)

spec("libs grants modules by name: text that is on the path, C libraries where they are", function()
  local path = T.path()
  os.execute("mkdir -p " .. path)
  T.write(path .. "/granted.lua", "local name, where = ... return { name = name, io = io, twice = function(n) return 2 * n end }")
  local before = package.path
  package.path = path .. "/?.lua;" .. before
  local function restore(...) package.path = before return ... end
  local name, has_io, twice = restore(values("local m = require 'granted' return m.name, m.io, m.twice(21)",
    { sandbox = { libs = { "granted" } } }))
  equal(name, "granted", "the module's name")
  equal(has_io, nil, "a granted module runs inside the walls")
  equal(twice, 42, "its function")
  local err = fails("error", "return 1", { sandbox = { libs = { "nowhere_to_be_found" } } })
  T.contains(err.message, "the module 'nowhere_to_be_found', which 'libs' grants, is not found", "the message")
  os.execute("rm -r " .. path)
  local cjson = package.searchpath and package.searchpath("cjson", package.cpath)
  if cjson then
    equal(values("return require 'cjson'.encode { 1, 2 }", { sandbox = { libs = { "cjson" } } }), "[1,2]", "a C library")
  end
end)

spec("the environment is empty but for what is granted", function()
  equal(values "return os.getenv", nil, "os.getenv without variables")
  local home, path, all = values("return os.getenv 'HOME', os.getenv 'PATH', os.getenv 'TZ'", { sandbox = { env = { "HOME", "NOT_SET" } } })
  equal(home, os.getenv "HOME", "a granted variable")
  equal(path, nil, "another one")
  equal(all, nil, "one that llib sets itself")
end)

spec("dates and times are the host's", function()
  local now, hour = values "return os.time(), os.date('%H')"
  T.yes(math.abs(now - os.time()) <= 2, "the time")
  T.yes(hour == os.date("%H") or os.date("%M") == "00", "the hour, in the host's time zone: " .. hour)
  equal(values "return type(os.clock())", "number", "the clock")
end)

-- ---------------------------------------------------------------- limits

spec("a sandbox has limits without being asked", function()
  local err = fails("memory", "local t = {} for i = 1, math.huge do t[i] = { i } end")
  equal(err.limit, 64 * MIB, "memory")
  err = fails("cpu", "while true do end", { cpu = 60 })
  equal(err.limit, 60.0, "cpu")
  err = fails("deadline", "require 'llib'.thread.sleep(1e9)", { timeout = 50 })
  equal(err.limit, 50.0, "timeout")
  local limits = values("return io.open('/proc/self/limits'):read('*a')", { sandbox = { read = { "/proc" } } })
  equal(limits:match("Max open files%s+(%d+%s+%d+)"):gsub("%s+", " "), "16 16", "files")
  equal(limits:match("Max cpu time%s+(%d+%s+%d+)"):gsub("%s+", " "), "12 12", "cpu, in seconds")
  equal(limits:match("Max core file size%s+(%d+)"), "0", "core files")
end)

spec("limits that are given count in a sandbox, tighter and wider", function()
  local err = fails("memory", "return ('x'):rep(8388608)", { memory = "4M" })
  equal(err.limit, 4 * MIB, "memory")
  equal(values("return #('x'):rep(104857600)", { memory = "400M" }), 100 * MIB, "more than usual")
  T.failure(run("return ('a'):rep(300):find(('.-'):rep(4) .. 'b')", { cpu = 40 }), "cpu")
  fails("cpu", "while true do pcall(function() while true do end end) end", { cpu = 40 })
end)

spec("memory errors can be caught in a sandbox, also of blocks that grow", function()
  local ok, problem, kept = values [[
    local t = {}
    local ok, problem = pcall(function() for i = 1, math.huge do t[i] = i end end)
    local kept = #t
    t = nil
    return ok, problem, kept
  ]]
  equal(ok, false, "pcall")
  equal(problem, "not enough memory", "the error")
  T.yes(kept >= MIB, "entries that fit: " .. kept)
end)

-- ---------------------------------------------------------------- results

spec("results of any size up to the limit come back, larger ones are a failure", function()
  for _, size in ipairs { 0, 1000, 8000, 9000, 65000, 66000, MIB, 20 * MIB } do
    equal(#values("return ('x'):rep(a)", nil, size), size, "the size")
  end
  local rows = values "local t = {} for i = 1, 20000 do t[i] = { i, tostring(i) } end return t"
  equal(#rows, 20000, "rows")
  equal(rows[20000][2], "20000", "the last one")
  local err = fails("encode", "return ('x'):rep(68157440)", { memory = "256M" })
  T.contains(err.message, "cannot send more than 67108864 bytes", "the message")
  err = fails("encode", "return ('x'):rep(2097152)", { result_limit = "1M" })
  T.contains(err.message, "1048576", "the message")
  equal(#values("return ('x'):rep(104857600)", { memory = "400M", result_limit = "200M" }), 100 * MIB, "a higher limit")
  err = T.failure(T.job("return ('x'):rep(2097152)", { result_limit = "1M" }), "encode")
  T.contains(err.message, "1048576", "the limit holds without a sandbox too")
end)

spec("arguments of any size go in", function()
  for _, size in ipairs { 10, 60000, 70000, 10 * MIB } do
    equal(values("return #a", nil, ("x"):rep(size)), size, "the size")
  end
end)

spec("functions come back without effect, and say so when they are called", function()
  local f, same, c, g = values "local x = 1 local function f() return x end return f, f, print, _G"
  equal(type(f), "table", "type")
  equal(tostring(f), "inert function from a sandboxed job", "tostring")
  T.yes(rawequal(f, same), "the same one twice")
  equal(tostring(c), "inert C function print from a sandboxed job", "a C function")
  equal(tostring(g), "inert globals table from a sandboxed job", "the globals")
  T.raises_here(function() f() end, "inert function from a sandboxed job cannot be called", "functions = true")
  local back = values("return a, tostring(a)", nil, f)
  equal(tostring(back), "inert function from a sandboxed job", "sent on and back")
  local nested = values "local up = { 1 } local function inner() return up end return { f = function() return inner, up end, 5 }"
  equal(nested[1], 5, "what stands beside a function")
  equal(tostring(nested.f), "inert function from a sandboxed job", "a function in a table")
end)

spec("functions = true takes functions as code", function()
  local f = values("local x = 40 return function(n) return x + n end", { functions = true })
  equal(f(2), 42, "the function")
end)

spec("metatables are left out unless they are asked for", function()
  local source = "return setmetatable({ 1 }, { __index = { field = 2 }, __name = 'thing' })"
  local plain = values(source)
  equal(plain[1], 1, "the table")
  equal(getmetatable(plain), nil, "the metatable")
  local kept = values(source, { metatables = true })
  equal(kept.field, 2, "a field by the metatable")
  local trap = values("return setmetatable({}, { __index = function() return 1 end })", { metatables = true })
  equal(trap.x, nil, "a field by a function without effect")
  local both = values("return setmetatable({}, { __index = function() return 1 end })", { metatables = true, functions = true })
  equal(both.x, 1, "a field by a function that was taken")
end)

spec("error objects become text in the job", function()
  local err = fails("error", "error(setmetatable({ 7 }, { __tostring = function(e) return 'seven ' .. e[1] end }))")
  equal(err.message, "seven 7", "the message")
  equal(err.value[1], 7, "the value")
  equal(getmetatable(err.value), nil, "its metatable")
  err = fails("cpu", "error(setmetatable({}, { __tostring = function() while true do end end }))", { cpu = 50 })
  err = fails("error", "error(print)")
  equal(tostring(err.value), "inert C function print from a sandboxed job", "the value")
  err = fails("rejected", "rej('no', function() end)")
  equal(err.message, "no", "the message")
end)

-- ---------------------------------------------------------------- grants

local function with_directory(f)
  local path = T.path()
  os.execute("mkdir -p " .. path .. "/below")
  T.write(path .. "/file", "content")
  T.write(path .. "/below/deep", "deep")
  local ok, problem = pcall(f, path)
  os.execute("rm -r " .. path)
  if not ok then error(problem, 0) end
end

spec("without grants no file can be opened, not even with the C library's help", function()
  equal(values "return io", nil, "io")
  equal(values "return loadfile or dofile", nil, "loaders of files")
end)

spec("read lets files below be read, and nothing else", function()
  with_directory(function(path)
    local grant = { sandbox = { read = { path } } }
    local text, deep = values("return io.open(a .. '/file'):read('*a'), io.open(a .. '/below/deep'):read('*a')", grant, path)
    equal(text, "content", "a file")
    equal(deep, "deep", "a file below")
    local function refused(source)
      local value, problem = values(source, { sandbox = { read = { path } } }, path)
      equal(value, nil, "the value")
      T.contains(problem, "Permission denied", "the error")
    end
    refused "return io.open('/etc/passwd')"
    refused "return io.open('/proc/self/environ')"
    refused "return io.open(a .. '/../../etc/passwd')"
    refused "return io.open(a .. '/file', 'w')"
    refused "return io.open(a .. '/file', 'a')"
    refused "return io.open(a .. '/new', 'w')"
    equal(T.read(path .. "/file"), "content", "the file")
    T.write(path .. "/module.lua", "return { n = 11 }")
    local n = values("package.path = a .. '/?.lua' return require 'module'.n", { sandbox = { read = { path } } }, path)
    equal(n, 11, "a module on a granted path")
    T.write(path .. "/code.lua", string.dump(function() return 1 end))
    local _, problem = values("package.path = a .. '/?.lua' return pcall(require, 'code')", { sandbox = { read = { path } } }, path)
    T.contains(problem, "attempt to load", "bytecode on a granted path")
    for _, call in ipairs { "loadfile(a .. '/code.lua')", "pcall(dofile, a .. '/code.lua')" } do
      problem = select(2, values("return " .. call, { sandbox = { read = { path } } }, path))
      T.contains(problem, "attempt to load", call)
    end
    T.write(path .. "/shell.lua", "#!/usr/bin/lua\nreturn 5")
    equal(values("return dofile(a .. '/shell.lua')", { sandbox = { read = { path } } }, path), 5, "text behind a line for the shell")
    T.write(path .. "/behind.lua", "#\n" .. string.dump(function() return 1 end))
    equal(values("return loadfile(a .. '/behind.lua')", { sandbox = { read = { path } } }, path), nil, "bytecode behind one")
    equal(values("return os.remove, os.rename, io.popen", { sandbox = { read = { path } } }, path), nil, "writing functions")
  end)
end)

spec("a single file can be granted", function()
  with_directory(function(path)
    local text, problem = values("return io.open(a .. '/file'):read('*a'), select(2, io.open(a .. '/below/deep'))",
      { sandbox = { read = { path .. "/file" } } }, path)
    equal(text, "content", "the file")
    T.contains(problem, "Permission denied", "the one beside it")
  end)
end)

spec("write lets files below be made, written, renamed and removed", function()
  with_directory(function(path)
    local text = values([[
      local file = assert(io.open(a .. "/new", "w"))
      assert(file:write("one two"))
      assert(file:seek("set", 4))
      assert(file:write("six"))
      file:close()
      assert(os.rename(a .. "/new", a .. "/below/moved"))
      local text = io.open(a .. "/below/moved"):read("*a")
      assert(os.remove(a .. "/below/moved"))
      assert(os.remove(a .. "/file"))
      return text
    ]], { sandbox = { write = { path } } }, path)
    equal(text, "one six", "the text")
    equal(T.read(path .. "/file"), nil, "the removed file")
    local value, problem = values("return io.open('/tmp/llib-not-granted', 'w')", { sandbox = { write = { path } } })
    equal(value, nil, "a file elsewhere")
    T.contains(problem, "Permission denied", "the error")
  end)
end)

spec("files and fsize limit what is written", function()
  with_directory(function(path)
    local ok, problem = values("local f = io.open(a .. '/new', 'w') f:setvbuf('no') return f:write(('x'):rep(5000))",
      { sandbox = { write = { path } }, fsize = 1000 }, path)
    equal(ok, nil, "write")
    T.contains(problem, "File too large", "the error")
    local count = values("local t = {} while true do local f = io.open(a .. '/file') if not f then return #t end t[#t + 1] = f end",
      { sandbox = { read = { path } } }, path)
    equal(count, 12, "files that can be open beside the four")
  end)
end)

spec("exec lets programs run that can be read, inside the walls", function()
  if not can.scopes then T.skip("the kernel has no scopes") end
  local system = { "/usr", "/bin", "/lib", "/lib64", "/etc" }
  local grant = function() return { sandbox = { exec = true, read = system }, timeout = 20000 } end
  equal(values("return io.popen('echo hello'):read('*l')", grant()), "hello", "a program's output")
  local exit = "return os.execute('exit 3')"
  if T.lua >= 5.2 then
    equal(select(3, values(exit, grant())), 3, "its exit code")
  else
    equal(values(exit, grant()), 3 * 256, "its wait status")
  end
  local listing = values("return io.popen('ls /root /home 2>&1; cat /proc/1/environ 2>&1; kill -0 ' .. a .. ' 2>&1'):read('*a')",
    grant(), T.process("self", "PPid"))
  T.contains(listing, "Permission denied", "outside of the granted paths")
  T.contains(listing, "not permitted", "signals to the outside")
  equal(values("return io.popen('env | grep -v ^_= | grep -v ^PWD= | grep -v ^SHLVL= | grep -v ^OLDPWD=', 'r'):read('*a')", grant()):match("HOME"), nil, "its environment")
end)

-- ---------------------------------------------------------------- misuse

spec("wrong grants raise at once and say what is wrong", function()
  local function refused(sandbox, ...)
    T.raises_here(function() thread.async("return 1", { sandbox = sandbox }) end, "bad argument #2 to 'async'", ...)
  end
  refused(1, "option 'sandbox' expects a boolean or a table, got number")
  refused({ reed = {} }, "option 'sandbox' has no field 'reed' (known: read, write, net, env, libs, exec, jobs, best_effort)")
  refused({ read = "/tmp" }, "'read' expects a table of paths, got string")
  refused({ read = { 1 } }, "'read' expects a table of paths, and entry 1 is none")
  refused({ read = { "/nowhere/at/all" } }, "'read' cannot grant '/nowhere/at/all': No such file or directory")
  refused({ net = 1 }, "'net' expects a boolean, got number")
  refused({ jobs = 65 }, "option 'sandbox': 'jobs' expects an integer from 0 to 64, got 65")
  refused({ jobs = "4" }, "'jobs' expects an integer from 0 to 64, got '4'")
  refused({ libs = { "io" } }, "'libs' cannot grant 'io': it comes with 'read' or 'write'")
  refused({ libs = { "debug" } }, "'libs' cannot grant 'debug'")
  T.raises_here(function() thread.async("return 1", { functions = 1 }) end, "option 'functions' expects a boolean, got 1")
  equal(T.values("return 1", { sandbox = false }), 1, "sandbox = false is none")
end)

spec("closing, killing and pausing work on sandboxed jobs", function()
  local task = thread.async("local res = ... res:autoclose() while true do end", { sandbox = true })
  task:close(2000)
  T.failure(T.pack(task:await(5000)), "closed")
  task = thread.async("require 'llib'.thread.sleep(1e9)", { sandbox = true })
  task:pause()
  equal(task:status(), "paused", "status")
  task:resume()
  local pid = task:pid()
  task:kill()
  T.no(T.exists(pid), "its process")
  T.failure(T.pack(task:await(5000)), "killed")
  task = thread.async("return 5", { sandbox = true })
  T.type(task:getfd(), "integer", "a descriptor")
  equal(task:await(), 5, "the value")
end)

T.finish()
