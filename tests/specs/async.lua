-- thread.async: what it takes, its options, and res and rej in the worker.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal
local pack, unpack, integer, finalizer = T.pack, T.unpack, T.integer, T.finalizer

-- ---------------------------------------------------------------- the function

spec("a function runs in a process of its own and its values come back", function()
  local pid, sum = T.values(function(res, rej, a, b) res(res.pid, a + b) end, { args = { 2, 3 } })
  equal(sum, 5, "the sum")
  T.no(pid == T.integer(T.shell("echo $PPID")), "the worker's pid is the host's")
end)

spec("async returns before the job has ended", function()
  local path = T.path()
  local task = thread.async(function()
    while not io.open(path) do require "llib".thread.sleep(1) end
    return "end"
  end)
  equal(task:status(), "running", "the status after async")
  T.write(path, "go")
  equal(task:await(), "end", "the value")
end)

spec("a string is Lua source whose ... is res, rej and the arguments", function()
  T.results(T.job("local res, rej, a, b = ... res(a, b, select('#', ...))", { args = { "x", 1.5 } }), "x", 1.5, 4)
  T.results(T.job("return 1, 2, 3"), 1, 2, 3)
  T.results(T.job("return (...) == res, select(2, ...) == rej"), true, true)
  T.results(T.job(""))
  local err = T.failure(T.job("local res, rej = ... rej('no')"), "rejected")
  equal(err.message, "no", "the message")
end)

spec("a syntax error in a string is the job's failure, with the chunk's name and line", function()
  local pool = T.scoped(thread.pool { size = 1 })
  local named = T.scoped(thread.pool { size = 1, name = "job" })
  local function check(err, ...)
    equal(T.failure(err, "error").syntax, true, "the failure's syntax")
    for _, text in ipairs { ... } do T.contains(err[2].message, text, "the message") end
    equal(err[2].value, err[2].message, "what was raised")
  end
  check(T.job("x = = 1"), '[string "x = = 1"]:1:', "near '='")
  check(T.job("\n\nfor", { name = "job" }), "job:3:", "near ", "<eof>")
  check(pack(pool:submit("x = = 1"):await()), '[string "x = = 1"]:1:', "near '='")
  check(pack(named:submit("\n\nfor"):await()), "job:3:", "near ", "<eof>")
  local err = pack(pool:map("x = = 1", { "a", "b", "c" }, { chunk = 2 }))
  check(err, '[string "x = = 1"]:1:')
  equal(err[2].index, 1, "the item")
  equal(pool:submit("return ..."):await(), nil, "a worker that has seen such a text")
  equal(T.failure(T.job("error('x = = 1')"), "error").syntax, nil, "any other error")
end)

spec("source text names globals, libraries' functions and modules of the script's own, also in words that it has not understood", function()
  _G.text_global, _G.text_table = 5, { text_global = 1 }
  string.text_shout = function(text) return text:upper() end
  package.preload["text-module.of-host"] = function() return { value = 7 } end
  local text = [[
    -- text_global alone
    return text_table.text_global, text_global, ("a"):text_shout(), require 'text-module.of-host'.value, other_global]]
  local pool = T.scoped(thread.pool { size = 1 })
  T.results(T.job(text), 1, 5, "A", 7, nil)
  T.results(pack(pool:submit(text):await()), 1, 5, "A", 7, nil)
  T.results(T.job("return text_global", { globals = "none" }), nil)
  T.results(T.job("return text_global ~= nil, text_table ~= nil", { globals = "all" }), true, true)
  _G.text_global, _G.text_table, string.text_shout, package.preload["text-module.of-host"] = nil, nil, nil, nil
end)

spec("source text is named after its first line, cut off as Lua does it", function()
  for _, text in ipairs { "return 1", "return 1\n", ("return --%s"):format(("x"):rep(300)), "return\n2", "" } do
    local chunk = debug.getinfo((loadstring or load)(text), "S").short_src
    local task = thread.async(text)
    equal(task:name(), chunk, "the task's name")
    task:await(5000)
  end
end)

spec("precompiled code is refused as an argument", function()
  local code = string.dump(function() return 1 end)
  T.raises_here(function() thread.async(code) end, "bad argument #1 to 'async' (", "expected, got")
  T.raises_here(function() thread.async("\27") end, "bad argument #1 to 'async' (", "expected, got")
end)

spec("anything but a Lua function or a string is refused", function()
  T.bad_argument(function() thread.async(42) end, 1, "async", "function or string", "number")
  T.bad_argument(function() thread.async({}) end, 1, "async", "function or string", "table")
  T.bad_argument(function() thread.async(nil) end, 1, "async", "function or string", "nil")
  T.bad_argument(function() thread.async(true) end, 1, "async", "function or string", "boolean")
  T.bad_argument(function() thread.async(io.stdout) end, 1, "async", "function or string", "FILE*")
  T.bad_argument(function() thread.async(print) end, 1, "async", "Lua function", "a C function")
  T.bad_argument(function() thread.async(setmetatable({}, { __call = print })) end, 1, "async", "function or string", "table")
end)

spec("a missing function is no value, not nil", function()
  T.bad_argument(function() thread.async() end, 1, "async", "function or string", "no value")
end)

spec("a function with debug information keeps its source and line in the worker", function()
  local source, line, name = T.values(function()
    local info = debug.getinfo(1, "Sl")
    return info.short_src, info.currentline, debug.getlocal(1, 1)
  end)
  equal(source, debug.getinfo(1, "S").short_src, "the source")
  equal(line, debug.getinfo(1, "l").currentline - 4, "the line")
  T.type(name, "string", "the name of the first local")
end)

-- ---------------------------------------------------------------- options

spec("the options are a table or nothing", function()
  T.bad_argument(function() thread.async(T.forever, 5) end, 2, "async", "table", "number")
  T.bad_argument(function() thread.async(T.forever, "name") end, 2, "async", "table", "string")
  equal(T.values(function() return 1 end, nil), 1, "nil as options")
  equal(T.values(function() return 1 end, {}), 1, "no options")
end)

spec("an unknown option raises and lists the known ones", function()
  local problem = T.raises_here(function() thread.async(T.forever, { tiemout = 5 }) end,
    "bad argument #2 to 'async' (unknown option 'tiemout'")
  local known = {}
  for name in problem:match("known: (.*)%)%)$"):gmatch("[%w_]+") do known[name] = true end
  for _, name in ipairs { "args", "name", "timeout", "stdout", "stderr", "capture_limit", "globals", "nice" } do
    T.yes(known[name], "the option " .. name .. " in " .. problem)
  end
  T.raises_here(function() thread.async(T.forever, { "name" }) end, "bad argument #2 to 'async' (", "number")
  T.raises_here(function() thread.async(T.forever, { [true] = 1 }) end, "bad argument #2 to 'async' (", "boolean")
end)

local bad = {
  args = { 1, "x", true, print },
  name = { 1, {}, true },
  timeout = { 0, -1, 0 / 0, "100", {}, true },
  stdout = { "nul", 1, true, "", io.stdout },
  stderr = { "file", 2, {}, "Capture" },
  capture_limit = { -1, 1.5, "x", "64X", "", {}, "-1", 0x10000000000, "99999999999999999999G" },
  globals = { "some", 1, true, { 1 }, { "x", false } },
  nice = { -1, 20, 1.5, "5", {} },
}
for option, values in pairs(bad) do
  spec("option " .. option .. " refuses bad values, naming itself", function()
    for _, value in ipairs(values) do
      T.raises_here(function() thread.async(T.forever, { [option] = value }) end,
        "bad argument #2 to 'async' (", "option '" .. option .. "'")
    end
  end)
end

spec("a refused option, function or value starts no job", function()
  T.values(function() end)
  collectgarbage()
  T.jobs(0)
  pcall(thread.async, T.forever, { nice = 99 })
  pcall(thread.async, T.forever, { args = { coroutine.create(function() end) } })
  pcall(thread.async, "syntax error")
  T.jobs(0)
end)

spec("args passes values in order, and n counts nils", function()
  local function count(_, _, ...) return select("#", ...), ... end
  T.results(T.job(count, { args = { 1, "two", true } }), 3, 1, "two", true)
  T.results(T.job(count, { args = {} }), 0)
  T.results(T.job(count, { args = { n = 0, "ignored" } }), 0)
  T.results(T.job(count, { args = { n = 3 } }), 3, nil, nil, nil)
  T.results(T.job(count, { args = pack(nil, 2, nil, 4, nil) }), 5, nil, 2, nil, 4, nil)
  T.results(T.job(count, { args = { n = 1, "a", "b" } }), 1, "a")
end)

spec("args may hold many values", function()
  local many = {}
  for i = 1, 3000 do many[i] = i end
  local n, last = T.values(function(_, _, ...) return select("#", ...), (select(-1, ...)) end, { args = many })
  equal(n, 3000, "the number of arguments")
  equal(last, 3000, "the last argument")
  T.raises_here(function() thread.async(T.forever, { args = { n = 0x10000000000 } }) end, "'args'", "too many")
  T.raises_here(function() thread.async(T.forever, { args = { n = -1 } }) end, "args")
end)

spec("the options table is left as it is", function()
  local options = { args = { 1, n = 2 }, name = "kept", nice = 0 }
  T.job(function() end, options)
  T.same(options, { args = { 1, n = 2 }, name = "kept", nice = 0 }, "the options")
end)

spec("name is the job's name; the default is where the function stands", function()
  local task = T.scoped(thread.async(function() return res.name end, { name = "my job" }))
  equal(task:name(), "my job", "task:name()")
  equal(task:await(), "my job", "res.name")
  local line = debug.getinfo(1, "l").currentline + 1
  local other = T.scoped(thread.async(function() return res.name end))
  equal(other:name(), debug.getinfo(1, "S").short_src .. ":" .. line, "the default name")
  equal(other:await(), other:name(), "res.name by default")
  local text = T.scoped(thread.async("return res.name"))
  equal(text:name(), '[string "return res.name"]', "the default name of a string")
  equal(text:await(), text:name(), "res.name of a string")
end)

spec("name is shown in the process title and in errors", function()
  local title = T.values(function()
    local file = io.open("/proc/self/comm")
    return file:read()
  end, { name = "painter" })
  T.contains(title, "painter", "the process title")
  local task = thread.async(function() end, { name = "painter" })
  task:clean()
  T.raises_here(function() task:await() end, "painter")
  local err = T.failure(T.job(function() error "x" end, { name = "painter" }), "error")
  equal(err.name, "painter", "err.name")
end)

spec("a name may hold any text", function()
  for _, name in ipairs { "", "späti %s %d \n", ("x"):rep(100000), "a\0b" } do
    local task = T.scoped(thread.async(function() return res.name end, { name = name }))
    equal(task:name(), name, "task:name()")
    equal(task:await(), name, "res.name")
  end
end)

spec("timeout kills the job with kind deadline", function()
  local task = thread.async(function() while true do end end, { timeout = 30 })
  local pid = task:pid()
  local err = T.failure(pack(task:await(5000)), "deadline")
  equal(err.limit, 30.0, "err.limit")
  equal(err.signal, "KILL", "err.signal")
  equal(err.pid, pid, "err.pid")
  T.contains(err.message, "30 ms", "the message")
  T.yes(err.usage.wall >= 30, "the wall time is at least the limit, it is " .. err.usage.wall)
  T.no(T.exists(pid), "the process exists")
end)

spec("timeout has a grain of milliseconds and below, and a job that is in time is not touched", function()
  local err = T.failure(T.job(T.forever, { timeout = 0.5 }), "deadline")
  equal(err.limit, 0.5, "err.limit")
  equal(T.values(function() return "in time" end, { timeout = 60000 }), "in time", "the value")
  equal(T.values(function() return "in time" end, { timeout = math.huge }), "in time", "the value")
end)

spec("a result in time stays, also when it is fetched after the timeout", function()
  local task = thread.async(function() return "kept" end, { timeout = 400 })
  T.wait(function() return task:status() == "done" end, "the job's end")
  local pid = task:pid()
  T.gone(pid, "past its timeout, the stalled worker")
  equal(task:status(), "done", "the status")
  equal(task:await(), "kept", "the value")
end)

spec("nice lowers the priority of the worker", function()
  local function priority()
    local file = io.open("/proc/self/stat")
    local fields = {}
    for field in file:read("*a"):match("%) (.*)"):gmatch("%S+") do fields[#fields + 1] = field end
    file:close()
    return integer(fields[17])
  end
  local own = priority()
  equal(T.values(priority), own, "the default")
  equal(T.values(priority, { nice = 0 }), own, "nice = 0")
  equal(T.values(priority, { nice = 7 }), math.min(19, own + 7), "nice = 7")
  equal(T.values(priority, { nice = 19 }), 19, "nice = 19")
  equal(T.values(priority, { nice = 3.0 }), math.min(19, own + 3), "nice = 3.0")
end)

-- ---------------------------------------------------------------- output

local function both()
  io.stdout:write("to stdout\n")
  io.stderr:write("to stderr\n")
  print("printed", 1)
  os.execute("echo from a child")
  return "value"
end

spec("capture keeps what the job and its children print, each stream for itself", function()
  local task = thread.async(both, { stdout = "capture", stderr = "capture" })
  equal(task:await(5000, true), "value", "the value")
  local out, err = task:output()
  equal(out, "to stdout\nprinted\t1\nfrom a child\n", "the captured stdout")
  equal(err, "to stderr\n", "the captured stderr")
  task:clean()
end)

spec("captured output is there while the job runs", function()
  local task = thread.async(function()
    io.write("begun") io.flush()
    require "llib".thread.sleep(600000)
  end, { stdout = "capture" })
  T.wait(function() return task:output() == "begun" end, "the output of a running job")
  equal(select("#", task:output()), 2, "the number of values of output()")
  equal(select(2, task:output()), nil, "stderr, which is not captured")
  task:clean()
end)

spec("capture_limit bounds each stream, whatever the job prints, and the job is not blocked", function()
  for _, limit in ipairs { 1000, "1K", 0 } do
    local bytes = limit == "1K" and 1024 or limit
    local task = thread.async(function()
      for _ = 1, 3000 do io.write(("x"):rep(100)) end
      io.stderr:write("error")
      return "printed"
    end, { stdout = "capture", stderr = "capture", capture_limit = limit })
    equal(task:await(5000, true), "printed", "the value")
    local out, err = task:output()
    T.type(out, "string", "the output")
    equal(#out, bytes, "the length of the output with a limit of " .. limit)
    equal(err, ("error"):sub(1, bytes), "stderr, which has a limit of its own")
    task:clean()
  end
end)

spec("without a limit given, a mebibyte is kept", function()
  local task = thread.async(function() io.write(("x"):rep(0x300000)) end, { stdout = "capture" })
  T.results(pack(task:await(5000, true)))
  equal(#task:output(), 0x100000, "the length of the output")
  task:clean()
end)

spec("captured output is any bytes", function()
  local bytes = {}
  for i = 0, 255 do bytes[i + 1] = string.char(i) end
  bytes = table.concat(bytes)
  local task = T.scoped(thread.async(function() io.write(bytes) end, { stdout = "capture" }))
  task:await(5000, true)
  equal(task:output(), bytes, "the output")
end)

spec("a failure carries what was captured", function()
  local err = T.failure(T.job(function() print("last words") error "x" end, { stdout = "capture" }), "error")
  T.same(err.output, { stdout = "last words\n" }, "err.output")
  err = T.failure(T.job(function()
    io.stderr:write("dying") io.stderr:flush()
    os.execute("kill -SEGV $PPID")
  end, { stderr = "capture" }), "signal")
  T.same(err.output, { stderr = "dying" }, "err.output")
  err = T.failure(T.job(function() print("bye") os.exit(2) end, { stdout = "capture" }), "exit")
  T.same(err.output, { stdout = "bye\n" }, "err.output of a job that exits")
  err = T.failure(T.job(function() error "x" end), "error")
  equal(err.output, nil, "err.output without capture")
end)

spec("without capture there is no output", function()
  local task = thread.async(function() return 1 end)
  task:await(5000, true)
  T.results(pack(task:output()), nil, nil)
  task:clean()
  T.raises_here(function() task:output() end, "has been cleaned")
end)

spec("output is inherited by default, and goes nowhere with null", function()
  local output, code = T.script [[
    local thread = require "llib".thread
    local function say() io.write("job out\n") io.stderr:write("job err\n") os.execute("echo child out") return 1 end
    assert(thread.async(say):await() == 1)
    assert(thread.async(say, {stdout = "inherit", stderr = "inherit"}):await() == 1)
    assert(thread.async(say, {stdout = "null"}):await() == 1)
    assert(thread.async(say, {stderr = "null"}):await() == 1)
    assert(thread.async(say, {stdout = "null", stderr = "null"}):await() == 1)
    assert(thread.async(say, {stdout = "capture", stderr = "null"}):await() == 1)
  ]]
  equal(code, 0, "the exit code")
  local out, err, child = 0, 0, 0
  for line in output:gmatch("[^\n]+") do
    if line == "job out" then out = out + 1
    elseif line == "job err" then err = err + 1
    elseif line == "child out" then child = child + 1
    else T.fail("an unexpected line of output: " .. T.show(line)) end
  end
  equal(out, 3, "lines on stdout")
  equal(child, 3, "lines of children on stdout")
  equal(err, 3, "lines on stderr")
end)

spec("what a job has written but not flushed is out before its result is", function()
  local path = T.path()
  T.job(function() io.output(path) io.write("unflushed") res(1) end)
  equal(T.read(path), "unflushed", "the file's content")
end)

-- ---------------------------------------------------------------- globals

spec("globals that a function names travel with it; others do not", function()
  named_by_job, not_named = { 1, 2 }, "here"
  local got, other = T.values(function() return named_by_job[2], _G["not_" .. "named"] end)
  equal(got, 2, "a global that the function names")
  equal(other, nil, "a global that it does not name")
  named_by_job, not_named = nil, nil
end)

spec("globals named by functions that are sent along travel as well", function()
  function global_helper(n) return n + global_offset end
  global_offset = 10
  local upvalue = function() return global_helper(1) end
  equal(T.values(function() return upvalue() end), 11, "a global of a global of an upvalue")
  global_helper, global_offset = nil, nil
end)

spec("globals = 'none' sends none, 'all' sends all, a table adds names", function()
  g_named, g_other, g_third = 1, 2, 3
  local function look() return g_named, _G["g_" .. "other"], _G["g_" .. "third"] end
  T.results(T.job(look), 1, nil, nil)
  T.results(T.job(look, { globals = "named" }), 1, nil, nil)
  T.results(T.job(look, { globals = "none" }), nil, nil, nil)
  T.results(T.job(look, { globals = "all" }), 1, 2, 3)
  T.results(T.job(look, { globals = { "g_other" } }), 1, 2, nil)
  T.results(T.job(look, { globals = { "g_other", "g_third", "not_there" } }), 1, 2, 3)
  T.results(T.job(look, { globals = {} }), 1, nil, nil)
  g_named, g_other, g_third = nil, nil, nil
end)

spec("a string job gets the globals that it names", function()
  g_for_text = "seen"
  equal(T.values("return g_for_text"), "seen", "the global")
  equal(T.values("return g_for_text", { globals = "none" }), nil, "the global with globals = 'none'")
  g_for_text = nil
end)

spec("a job's globals are its own: nothing comes back, nothing stays for the next job", function()
  g_mine = "host"
  T.job(function() g_mine = "job" g_leak = 1 string.leak = 1 end)
  equal(g_mine, "host", "the host's global")
  equal(g_leak, nil, "a global set by a job")
  for _ = 1, 5 do
    local leak, field = T.values(function() return _G["g_" .. "leak"], string["le" .. "ak"] end)
    equal(leak, nil, "a global set by another job")
    equal(field, nil, "a field set by another job")
  end
  g_mine = nil
end)

spec("a replaced library function travels where it is named", function()
  local original = tostring
  function tostring(value) return "<" .. original(value) .. ">" end
  local packed = T.job(function() return tostring(5) end)
  tostring = original
  T.results(packed, "<5>")
end)

-- ---------------------------------------------------------------- res and rej

spec("res sends any number of values", function()
  T.results(T.job(function(res) res() end))
  T.results(T.job(function(res) res(nil) end), nil)
  T.results(T.job(function(res) res(nil, nil, nil) end), nil, nil, nil)
  T.results(T.job(function(res) res(1, nil, "x", nil) end), 1, nil, "x", nil)
end)

spec("return counts as res, and a function that just ends sends nothing", function()
  T.results(T.job(function() return 1, nil end), 1, nil)
  T.results(T.job(function() return end))
  T.results(T.job(function() end))
end)

spec("nothing after res runs, and no pcall catches it", function()
  local path = T.path()
  local function mark(where)
    local file = assert(io.open(path, "a"))
    file:write(where, "\n")
    file:close()
  end
  local ways = {
    plain = function(res) res(1) mark "after res" end,
    pcall = function(res) pcall(res, 1) mark "after pcall" end,
    xpcall = function(res) xpcall(function() res(1) end, function() mark "handler" end) mark "after xpcall" end,
    coroutine = function(res)
      local co = coroutine.create(function() pcall(function() res(1) end) mark "after res in a coroutine" end)
      coroutine.resume(co)
      mark "after the coroutine"
    end,
    close = T.lua >= 5.4 and T.load([[
      local mark = ...
      return function(res)
        local guard <close> = setmetatable({}, { __close = function() mark "closed" end })
        res(1)
      end
    ]])(mark) or nil,
    sort = function(res) table.sort({ 3, 2, 1 }, function() res(1) end) mark "after sort" end,
    metamethod = function(res) local t = setmetatable({}, { __index = function() res(1) end }) mark(t.x) end,
    gc = function(res)
      finalizer(function() res(1) end)
      collectgarbage()
      collectgarbage()
      mark "after gc"
    end,
    gsub = function(res) string.gsub("x", "x", function() res(1) end) mark "after gsub" end,
  }
  for name, way in pairs(ways) do
    local task = thread.async(way)
    T.results(pack(task:await(5000, true)), 1)
    T.yes(T.exists(task:pid()), "the worker of " .. name .. " stays until it is cleaned")
    local pid = task:pid()
    task:clean()
    T.gone(pid, "the worker of a cleaned task")
  end
  equal(T.read(path), nil, "what ran after res")
end)

spec("rej ends the job in the same way", function()
  local path = T.path()
  local task = thread.async(function(_, rej)
    pcall(rej, "no")
    coroutine.wrap(rej)("again")
    io.open(path, "w"):close()
  end)
  local err = T.failure(pack(task:await(5000, true)), "rejected")
  equal(err.message, "no", "the message")
  local pid = task:pid()
  task:clean()
  T.gone(pid)
  equal(T.read(path), nil, "what ran after rej")
  err = T.failure(T.job(function(_, rej) coroutine.wrap(function() pcall(rej, "inner") end)() end), "rejected")
  equal(err.message, "inner", "the message of a rej in a coroutine")
end)

spec("only the first of res and rej counts", function()
  T.results(T.job(function(res, rej) res("first") rej("second") end), "first")
  T.failure(T.job(function(res, rej) rej("first") res("second") end), "rejected")
end)

spec("res carries pid, id and name", function()
  local task = thread.async(function(res) return res.pid, res.id, res.name end, { name = "info" })
  local pid, id = task:pid(), task:id()
  T.results(pack(task:await(5000)), pid, id, "info")
  local real = T.values(function(res)
    local file = io.open("/proc/self/stat")
    return file:read("*n") == res.pid
  end)
  equal(real, true, "res.pid is the worker's process id")
end)

spec("in a worker the globals res and rej are the two values, and self gives the info", function()
  T.results(T.job(function(a, b) return a == res, b == rej, require "llib".thread.self() == res end), true, true, true)
  local task = thread.async(function() local me = thread.self() return me.pid, me.id, me.name end)
  local pid, id, name = task:pid(), task:id(), task:name()
  T.results(pack(task:await(5000)), pid, id, name)
  equal(T.values(function() local function deep() res("from below") end deep() end), "from below", "global res")
end)

spec("a script's own globals res and rej win", function()
  rawset(_G, "res", "mine")
  rawset(_G, "rej", { 7 })
  local packed = T.job(function(a) a(res, rej[1], thread.self() == a) end)
  rawset(_G, "res", nil)
  rawset(_G, "rej", nil)
  T.results(packed, "mine", 7, true)
end)

spec("testclose returns when nobody asked to close", function()
  equal(T.values(function(res) res:testclose() res:autoclose() res:testclose() return "ran on" end), "ran on", "value")
end)

T.finish()
