-- Failures: every kind that a job can have here, and what err carries.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal
local pack, unpack = T.pack, T.unpack

local source = debug.getinfo(1, "S").short_src

local function await(task, ...) return pack(task:await(...)) end

-- What every failure of a job has.
local function common(err, task_pid)
  T.type(err.pid, "integer", "err.pid")
  if task_pid then equal(err.pid, task_pid, "err.pid") end
  for _, field in ipairs { "wall", "user", "system", "maxrss" } do
    T.type(err.usage[field], "number", "err.usage." .. field)
  end
  T.yes(err.usage.maxrss > 0, "err.usage.maxrss of a process that was there: " .. err.usage.maxrss)
  T.type(err.name, "string", "err.name")
end

-- ---------------------------------------------------------------- error

spec("an uncaught error fails the job with its message, and a traceback with the script's lines", function()
  local line = debug.getinfo(1, "l").currentline + 1
  local function inner() error("broken") end
  local function outer() inner() return 1 end
  local err = T.failure(T.job(function() outer() return 1 end), "error")
  equal(err.message, ("%s:%d: broken"):format(source, line), "the message")
  T.contains(err.traceback, "stack traceback:", "the traceback")
  for offset = 0, 2 do
    T.contains(err.traceback, ("%s:%d:"):format(source, line + offset), "the traceback")
  end
  equal(err.value, err.message, "err.value")
  T.same(err.values, { err.message, n = 1 }, "err.values")
  equal(err.signal, nil, "err.signal")
  equal(err.code, nil, "err.code")
  common(err)
end)

spec("errors of Lua itself and of C functions have the script's position", function()
  local err = T.failure(T.job(function() local t = nil return t.x end), "error")
  T.matches(err.message, "^" .. source:gsub("%p", "%%%0") .. ":%d+: attempt to index .*nil value", "the message")
  err = T.failure(T.job(function() string.rep() end), "error")
  T.matches(err.message, "^" .. source:gsub("%p", "%%%0") .. ":%d+: bad argument #1 to 'rep'", "the message")
  err = T.failure(T.job("local x = 1\nerror('here')", { name = "chunk" }), "error")
  equal(err.message, "chunk:2: here", "the message of a string job")
  T.contains(err.traceback, "chunk:2:", "the traceback of a string job")
end)

spec("the traceback of an error in a coroutine that passes it on is there", function()
  local err = T.failure(T.job(function() coroutine.wrap(function() error("deep", 0) end)() end), "error")
  T.contains(err.message, "deep", "the message")
  T.contains(err.traceback, source, "the traceback")
end)

spec("error(table) comes back as err.value, a copy", function()
  local err = T.failure(T.job(function() error({ code = 42, list = { 1, 2 } }) end), "error")
  T.same(err.value, { code = 42, list = { 1, 2 } }, "err.value")
  T.same(err.values, { { code = 42, list = { 1, 2 } }, n = 1 }, "err.values")
  T.contains(err.message, "table", "the message says what it is")
  T.contains(err.traceback, source, "the traceback")
end)

spec("an error object with __tostring gives the message, and stays an object", function()
  local err = T.failure(T.job(function()
    error(setmetatable({ code = 7 }, { __tostring = function(e) return "code " .. e.code end }))
  end), "error")
  equal(err.message, "code 7", "the message")
  equal(err.value.code, 7, "err.value.code")
  equal(tostring(err.value), "code 7", "tostring(err.value)")
end)

spec("errors of every type come back", function()
  for _, value in ipairs { 42, 1.5, true, "text\0with\255bytes", "" } do
    local err = T.failure(T.job(function() error(value, 0) end), "error")
    equal(err.value, value, "err.value")
    if type(value) == "string" then equal(err.message, value, "err.message") end
  end
  local err = T.failure(T.job(function() error() end), "error")
  equal(err.value, nil, "err.value of error()")
  T.contains(err.message, "nil", "the message of error()")
  err = T.failure(T.job(function() error(function() return 5 end) end), "error")
  equal(err.value(), 5, "a function as err.value")
end)

spec("an error object that cannot travel leaves message and traceback", function()
  local err = T.failure(T.job(function() error(coroutine.create(function() end)) end), "error")
  T.contains(err.message, "thread", "the message")
  T.contains(err.traceback, source, "the traceback")
  equal(err.value, nil, "err.value")
  err = T.failure(T.job(function()
    error(setmetatable({ file = io.stdin, bad = coroutine.create(function() end) }, { __tostring = function() return "own text" end }))
  end), "error")
  equal(err.message, "own text", "the message")
end)

spec("a __tostring that fails, or gives no string, costs the message and nothing else", function()
  for _, bad in ipairs { function() error "inner" end, function() return 1 end, function() error({}) end,
    function(self) error(self) end } do
    local err = T.failure(T.job(function() error(setmetatable({}, { __tostring = bad })) end), "error")
    T.type(err.message, "string", "the message")
  end
end)

spec("a stack overflow is an error", function()
  local err = T.failure(T.job(function() local function f() return 1 + f() end return f() end), "error")
  T.contains(err.message, "stack overflow", "the message")
  err = T.failure(T.job(function() return (("("):rep(300) .. "x" .. (")"):rep(300)):gsub(".", function() error("e", 0) end) end), "error")
  equal(err.message, "e", "the message")
  err = T.failure(T.job(function() return string.rep("x", -1):find(("("):rep(300)) end), "error")
  T.type(err.message, "string", "the message")
end)

-- ---------------------------------------------------------------- rejected

spec("rej gives its values and the first one's text", function()
  local err = T.failure(T.job(function(_, rej) rej(1, 2, 3) end), "rejected")
  equal(err.value, 1, "err.value")
  T.same(err.values, { 1, 2, 3, n = 3 }, "err.values")
  equal(err.message, "1", "the message")
  common(err)
  err = T.failure(T.job(function(_, rej) rej("why", nil, nil) end), "rejected")
  T.same(err.values, { "why", n = 3 }, "err.values with nils")
  equal(err.message, "why", "the message")
  err = T.failure(T.job(function(_, rej) rej({ a = 1 }) end), "rejected")
  T.same(err.value, { a = 1 }, "err.value")
end)

spec("rej(nil) and rej() are rejections", function()
  local err = T.failure(T.job(function(_, rej) rej(nil) end), "rejected")
  equal(err.value, nil, "err.value")
  T.same(err.values, { n = 1 }, "err.values")
  equal(err.message, "nil", "the message")
  err = T.failure(T.job(function(_, rej) rej() end), "rejected")
  equal(err.value, nil, "err.value")
  T.type(err.message, "string", "the message")
  T.no(err.values and err.values.n ~= 0, "err.values of rej()")
end)

spec("rej of what cannot travel is a rejection without it", function()
  local err = T.failure(T.job(function(_, rej) rej(coroutine.create(function() end)) end), "rejected")
  T.contains(err.message, "thread", "the message")
  equal(err.value, nil, "err.value")
end)

spec("rej is a rejection whatever __tostring does, and no pcall catches it", function()
  for _, bad in ipairs { function() error "inner" end, function() return 1 end, function(self) error(self) end } do
    local err = T.failure(T.job(function(_, rej)
      local object = setmetatable({ code = 3 }, { __tostring = bad })
      pcall(rej, object)
      return "ran on"
    end), "rejected")
    equal(err.value.code, 3, "err.value")
    T.type(err.message, "string", "the message")
  end
  local err = T.failure(T.job(function(_, rej)
    rej(setmetatable({}, { __tostring = function() return "own text" end }))
  end), "rejected")
  equal(err.message, "own text", "the message")
end)

spec("errors and rejections may be large and many", function()
  local big = ("0123456789abcdef"):rep(0x40000)
  local err = T.failure(T.job(function() error(big, 0) end), "error")
  T.yes(err.message == big, "a message of 4 MiB is the same")
  T.yes(err.value == big, "a value of 4 MiB is the same")
  err = T.failure(T.job(function(_, rej)
    local t = {}
    for i = 1, 3000 do t[i] = i end
    rej(unpack(t))
  end), "rejected")
  equal(err.values.n, 3000, "err.values.n")
  equal(err.values[3000], 3000, "the last value")
end)

-- ---------------------------------------------------------------- exit, signal

spec("os.exit without a result is kind exit, with the code", function()
  for given, code in pairs { [0] = 0, [3] = 3, [255] = 255, [256] = 0 } do
    local err = T.failure(T.job(function() os.exit(given) end), "exit")
    equal(err.code, code, "err.code of os.exit(" .. given .. ")")
    equal(err.signal, nil, "err.signal")
    common(err)
  end
  equal(T.failure(T.job(function() os.exit() end), "exit").code, 0, "err.code of os.exit()")
  if T.lua >= 5.2 then
    equal(T.failure(T.job(function() os.exit(true) end), "exit").code, 0, "err.code of os.exit(true)")
    equal(T.failure(T.job(function() os.exit(false) end), "exit").code, 1, "err.code of os.exit(false)")
  end
  equal(T.failure(T.job(function() os.exit(4, true) end), "exit").code, 4, "err.code of os.exit(4, true)")
  T.contains(T.failure(T.job(function() os.exit(77) end), "exit").message, "77", "the message")
end)

spec("os.exit cannot be caught, and works in coroutines", function()
  equal(T.failure(T.job(function() pcall(os.exit, 5) return 1 end), "exit").code, 5, "err.code")
  equal(T.failure(T.job(function() coroutine.wrap(function() os.exit(6) end)() return 1 end), "exit").code, 6, "err.code")
end)

spec("os.exit that closes the state runs finalizers, and one that calls res counts", function()
  if T.lua < 5.2 then T.skip("os.exit closes no state before Lua 5.2") end
  local path = T.path()
  local err = T.failure(T.job(function()
    keep = setmetatable({}, { __gc = function() io.open(path, "w"):close() end })
    os.exit(4, true)
  end), "exit")
  equal(err.code, 4, "err.code")
  T.yes(T.read(path), "the finalizer ran")
end)

spec("a death by a signal that nobody here sent is kind signal", function()
  for _, name in ipairs { "SEGV", "ABRT", "BUS", "KILL", "TERM", "HUP", "ALRM", "USR1" } do
    local err = T.failure(T.job(function() os.execute("kill -" .. name .. " $PPID") while true do end end), "signal")
    equal(err.signal, name, "err.signal")
    equal(err.code, nil, "err.code")
    T.contains(err.message, "SIG" .. name, "the message")
    common(err)
  end
end)

spec("a real crash of the interpreter is kind signal, and the host goes on", function()
  if _VERSION ~= "Lua 5.4" then T.skip("the broken code is made for Lua 5.4") end
  local err = T.failure(T.job(function()
    -- Instructions of 4 bytes: `loadi 0 12345` becomes `closure 0 1000`, where there is no inner function.
    local code = string.dump(function() local a = 12345 return a end)
    local from, to = string.pack("<I4", 2551971841), string.pack("<I4", 32768079)
    local at = assert(code:find(from, 1, true))
    return load(code:sub(1, at - 1) .. to .. code:sub(at + 4), "broken", "b")()
  end), "signal")
  equal(err.signal, "SEGV", "err.signal")
  common(err)
  equal(T.values(function() return "goes on" end), "goes on", "the next job")
end)

spec("the signal of task:kill is told apart from the job's own", function()
  local task = T.endless()
  os.execute("kill -TERM " .. task:pid())
  equal(T.failure(await(task, 5000), "signal").signal, "TERM", "err.signal of a stranger's signal")
  task = T.endless()
  task:kill("TERM")
  equal(T.failure(await(task, 5000), "killed").signal, "TERM", "err.signal of task:kill")
  task = T.endless()
  task:kill("CHLD")
  os.execute("kill -TERM " .. task:pid())
  equal(T.failure(await(task, 5000), "signal").signal, "TERM", "err.signal after a harmless task:kill")
end)

spec("every failure has its process, also of jobs that end before anybody looks", function()
  for round = 1, 5 do
    local tasks = {}
    for i = 1, 30 do
      tasks[i] = thread.async(function(res, rej) rej(res.pid) end, round == 5 and { stdout = "capture" } or nil)
    end
    for i = 1, 30 do
      local err = T.failure(await(tasks[i], 5000), "rejected")
      equal(err.pid, err.value, "err.pid")
      T.yes(err.usage.maxrss > 0, "err.usage.maxrss: " .. err.usage.maxrss)
    end
  end
end)

-- ---------------------------------------------------------------- the others

spec("a timeout of await is a failure of its own, without the job's facts", function()
  local task = T.scoped(T.endless())
  local err = T.failure(await(task, 1), "timeout")
  equal(err.value, nil, "err.value")
  equal(err.traceback, nil, "err.traceback")
end)

spec("deadline, killed and closed carry pid and usage", function()
  local task = T.endless({ timeout = 500 })
  local pid = task:pid()
  local err = T.failure(await(task, 5000), "deadline")
  equal(err.limit, 500.0, "err.limit")
  common(err, pid)
  task = T.endless()
  pid = task:pid()
  task:kill()
  common(T.failure(await(task, 5000), "killed"), pid)
  task = T.endless()
  pid = task:pid()
  task:close()
  common(T.failure(await(task, 5000), "closed"), pid)
end)

spec("a result that cannot be copied is kind encode, with its path", function()
  local err = T.failure(T.job(function() return 1, { list = { 5, { co = coroutine.create(function() end) } } } end), "encode")
  T.contains(err.message, "result 2", "the message")
  T.contains(err.message, "field 'list' → index 2 → field 'co'", "the message")
  common(err)
  err = T.failure(T.job(function(res) res(io.open("/dev/null")) end), "encode")
  T.contains(err.message, "result 1: userdata 'FILE*' has no __clone", "the message")
  err = T.failure(T.job(function()
    local co = coroutine.create(function() end)
    return function() return co end
  end), "encode")
  T.contains(err.message, "upvalue 'co'", "the message")
end)

spec("captured output comes with every kind", function()
  for kind, job in pairs {
    error = function() print "x" error "e" end,
    rejected = function() print "x" rej() end,
    exit = function() print "x" os.exit(1) end,
    signal = function() print "x" io.flush() os.execute("kill -ABRT $PPID") end,
    encode = function() print "x" return coroutine.create(function() end) end,
    deadline = function() print "x" io.flush() require "llib".thread.sleep(600000) end,
  } do
    local err = T.failure(T.job(job, { stdout = "capture", timeout = kind == "deadline" and 500 or nil }), kind)
    T.same(err.output, { stdout = "x\n" }, "err.output of kind " .. kind)
  end
end)

spec("err says as a text what it is", function()
  local err = T.failure(T.job(function() error("broken", 0) end), "error")
  equal(tostring(err), "error: broken", "tostring(err)")
  if T.lua >= 5.2 then equal(("%s"):format(err), "error: broken", "err in a format") end
  local ok, problem = pcall(error, err)
  equal(problem, err, "err thrown again")
  equal(ok, false, "the call")
end)

spec("failures travel between processes as what they are", function()
  local err = T.failure(T.job(function() error({ code = 1 }) end), "error")
  local kind, message, text, value = T.values(function(_, _, e) return e.kind, e.message, tostring(e), e.value.code end,
    { args = { err } })
  equal(kind, "error", "err.kind in a worker")
  equal(message, err.message, "err.message in a worker")
  equal(text, tostring(err), "tostring(err) in a worker")
  equal(value, 1, "err.value in a worker")
  local inner = T.values(function()
    local _, e = thread.async(function() os.exit(9) end):await()
    return e
  end)
  equal(inner.kind, "exit", "the kind of a failure from a nested job")
  equal(inner.code, 9, "its code")
  equal(tostring(inner), "exit: " .. inner.message, "its text")
  equal(getmetatable(inner), getmetatable(err), "the metatable of failures")
  local outer = T.failure(T.job(function()
    local _, e = thread.async(function() os.exit(9) end):await()
    error(e)
  end), "error")
  equal(outer.value.kind, "exit", "err.value of a failure that was thrown")
  equal(outer.message, "exit: " .. outer.value.message, "its message")
end)

spec("a job that replies with nil and a table is no failure", function()
  local packed = T.job(function() return nil, { kind = "error", message = "mine" } end)
  equal(packed.n, 2, "the number of values")
  equal(getmetatable(packed[2]), nil, "the metatable of the job's own table")
  local task = thread.async(function() return nil, { kind = "error" } end)
  task:await(5000, true)
  equal(task:status(), "done", "the status")
  task:clean()
end)

T.finish()
