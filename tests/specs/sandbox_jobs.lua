-- Jobs that sandboxed jobs start: in the same sandbox or a narrower one, with what their starter has to give, and no longer than it.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal

local MIB = 1048576

-- Runs source text in a sandbox, with `thread` at hand and further arguments as `a, b, c`.
local function run(source, options, ...)
  options = options or {}
  if options.sandbox == nil then options.sandbox = true end
  options.args = T.pack(...)
  return T.job("local res, rej, a, b, c = ... local thread = require 'llib'.thread " .. source, options)
end

local function values(source, options, ...) return T.returned(run(source, options, ...)) end

-- Both ways into a sandbox: a spare that waits behind walls, and one that raises its own.
local function both(body)
  body(true)
  body({ env = { "LANG" } })
end

-- ---------------------------------------------------------------- what they are

spec("a sandboxed job starts others, which are sandboxed as it is", function()
  both(function(sandbox)
    local pid, own, sum, io, execute, enforced = values([[
      local task = thread.async(function(res, rej, x, y)
        res(res.pid, x + y, io, os.execute, require "llib".thread.self().id == res.id)
      end, { args = { 40, 2 } })
      local enforced, own = task:sandbox().enforced, task:pid()
      local pid, sum, io, execute, same = task:await(10000)
      assert(same)
      return pid, own, sum, io, execute, enforced
    ]], { sandbox = sandbox })
    equal(pid, own, "its process")
    equal(sum, 42, "its value")
    equal(io, nil, "io")
    equal(execute, nil, "os.execute")
    equal(enforced, true, "all of it")
  end)
end)

spec("tasks in a sandbox are tasks as anywhere", function()
  local got = values [[
    local got = {}
    local function add(...) got[#got + 1] = table.concat({ ... }, " ") end
    local task = thread.async("return 1, nil, 3", { name = "inner" })
    add(task:name(), task:status() ~= "failed" and "fine", tostring(task):match("^llib.task: inner"))
    add(select("#", task:await(10000, true)), task:await(10000), task:status())
    add(tostring(pcall(task.await, task)))
    local slow = thread.async("require 'llib'.thread.sleep(1e6)")
    local _, err = slow:await(1)
    add(err.kind, slow:status())
    slow:pause()
    add(slow:status())
    slow:resume()
    add(slow:status())
    local pid = slow:pid()
    slow:kill()
    _, err = slow:await()
    add(err.kind, err.signal, tostring(err.pid == pid))
    slow = thread.async("local res = ... res:autoclose() while true do end")
    slow:close()
    add(select(2, slow:await()).kind)
    slow = thread.async("while true do end")
    slow:close(1)
    add(select(2, slow:await()).kind)
    slow = thread.async("while true do end")
    slow:kill("WINCH", 1)
    add(select(2, slow:await()).kind)
    slow = thread.async("while true do end", { timeout = 20 })
    _, err = slow:await()
    add(err.kind, err.limit)
    slow = thread.async("while true do end", { cpu = 20 })
    _, err = slow:await()
    add(err.kind, err.limit, tostring(err.usage.user + err.usage.system >= 20 and err.usage.maxrss > 0))
    slow = thread.async("while true do end")
    slow:await(1, false)
    add(slow:status())
    slow:clean()
    add(tostring(select(2, thread.async("error('wrong', 0)"):await())))
    add(tostring(select(2, thread.async("local _, rej = ... rej('no', 7)"):await()).values[2]))
    add(tostring(select(2, thread.async("return coroutine.create(function() end)"):await()).kind))
    add(select(2, thread.async("local t = {} while true do t[#t + 1] = ('x'):rep(65536) .. #t end"):await()).kind)
    return table.concat(got, "\n")
  ]]
  equal(got, table.concat({
    "inner fine llib.task: inner", "3 1 cleaned", "false", "timeout running", "paused", "running", "killed KILL true", "closed", "closed",
    "killed", "deadline " .. (T.lua < 5.3 and "20" or "20.0"), "cpu " .. (T.lua < 5.3 and "20" or "20.0") .. " true", "cleaned",
    "error: wrong", "7", "encode", "memory",
  }, "\n"), "what they did")
end)

spec("a job's own jobs have what it was granted, and no more", function()
  local folder = T.path()
  T.shell("mkdir -p " .. folder .. "/inside")
  T.write(folder .. "/inside/text", "words")
  local sandbox = { read = { folder } }
  local source = [[
    local read = "local file = io and io.open(select(3, ...)) return file and file:read('*a') or 'nothing'"
    local function read_with(sandbox) return (thread.async(read, { sandbox = sandbox, args = { a .. "/inside/text" } }):await()) end
    return read_with(nil), read_with(false), read_with({ read = { a .. "/inside" } }), read_with({}), read_with(true)
  ]]
  local same, unwalled, narrower, none, plain = values(source, { sandbox = sandbox }, folder)
  equal(same, "words", "by default")
  equal(unwalled, "words", "a sandbox is not left by saying false")
  equal(narrower, "words", "with a narrower grant")
  equal(none, "nothing", "without grants")
  equal(plain, "nothing", "with none")
  local problem = values("return select(2, pcall(thread.async, 'return 1', { sandbox = { read = { '/etc' } } }))", { sandbox = sandbox })
  T.contains(problem, "option 'sandbox': 'read' cannot grant '/etc', which this job's own sandbox does not", "the error")
end)

spec("a narrower path that leads out of the sandbox is refused", function()
  local folder, secret = T.path(), T.path()
  T.shell("mkdir -p " .. folder .. " " .. secret)
  T.write(secret .. "/text", "swordfish")
  T.shell("ln -s " .. secret .. " " .. folder .. "/door")
  local direct, narrower, twice = values([[
    local source = "local file, problem = io.open(select(3, ...)) return file and file:read('*a') or problem"
    local options = { sandbox = { read = { a .. "/door" } }, args = { a .. "/door/text" } }
    local _, narrower = thread.async(source, options):await()
    local _, twice = thread.async(function(_, _, source, options)
      return require "llib".thread.async(source, options):await()
    end, { args = { source, options } }):await()
    return select(2, io.open(a .. "/door/text")), tostring(narrower), tostring(twice)
  ]], { sandbox = { read = { folder } } }, folder)
  T.contains(direct, "Permission denied", "the job itself")
  T.contains(narrower, "cannot grant '" .. folder .. "/door': it leads through a symbolic link", "its job")
  T.contains(twice, "it leads through a symbolic link", "its job's job")
end)

spec("what is put in the place of a granted path is not granted", function()
  local folder, secret = T.path(), T.path()
  T.shell("mkdir -p " .. folder .. "/data " .. secret)
  T.write(secret .. "/text", "swordfish")
  T.shell("ln -s " .. secret .. " " .. folder .. "/door")
  local got = values([[
    assert(os.rename(a .. "/data", a .. "/away"))
    assert(os.rename(a .. "/door", a .. "/data"))
    return thread.async("local file, problem = io.open(select(3, ...)) return file and file:read('*a') or problem",
      { args = { a .. "/data/text" } }):await()
  ]], { sandbox = { write = { folder }, read = { folder .. "/data" } } }, folder)
  T.contains(got, "Permission denied", "what it could read")
end)

spec("granted modules go on as the very files that they were", function()
  local folder = T.path()
  T.shell("mkdir -p " .. folder)
  T.write(folder .. "/words.lua", "#!/usr/bin/lua\nreturn { word = 'first', where = debug.traceback('', 1):match('words.lua:%d') }")
  local source = ("package.path = %q .. '/?.lua;' .. package.path\n"):format(folder) .. [[
    local thread = require "llib".thread
    local sandbox = { libs = { "words" }, write = { %q } }
    print(thread.async(function(_, _, folder)
      local thread = require "llib".thread
      local source = "local words = require 'words' return words.word, words.where"
      local word, where = thread.async(source):await()
      local file = io.open(folder .. "/words.lua", "w")
      file:write("return { word = 'second' }")
      file:close()
      local _, changed = thread.async(source):await()
      local none = thread.async("return pcall(require, 'words')", { sandbox = {} }):await()
      return word, where, tostring(changed), tostring(none)
    end, { sandbox = sandbox, args = { %q } }):await())
  ]]
  local word, where, changed, none = T.script(source:format(folder, folder)):match("^(.-)\t(.-)\t(.-)\t(.-)\n$")
  equal(word, "first", "the module's value")
  equal(where, "words.lua:2", "where it is")
  T.contains(changed, "the module 'words', which 'libs' grants, has been changed since the job began", "once it was changed")
  equal(none, "false", "in a narrower sandbox")
end)

spec("granted C libraries go on", function()
  T.optional "cjson"
  local text, other = values([[
    local source = "return require 'cjson'.encode({ 1, 2 })"
    local inner = thread.async(function(_, _, source) return require "llib".thread.async(source):await() end, { args = { source } }):await()
    return thread.async(source):await(), inner
  ]], { sandbox = { libs = { "cjson" } } })
  equal(text, "[1,2]", "in a job")
  equal(other, "[1,2]", "in a job's job")
  local folder = T.path()
  T.shell("mkdir -p " .. folder)
  local problem, own = values([[
    local source = "return require 'cjson'.encode({ 1, 2 })"
    local inner = { sandbox = { libs = { "cjson" } } }
    local _, problem = thread.async(function(_, _, source, inner) return require "llib".thread.async(source, inner):await() end,
      { args = { source, inner }, sandbox = {} }):await()
    return tostring(select(2, thread.async(source, inner):await())), require "cjson".encode({ 3 })
  ]], { sandbox = { libs = { "cjson" }, write = { folder } } })
  T.contains(problem, "the module 'cjson', which 'libs' grants, is a C library: jobs of a sandboxed job that may write files have none", "where files may be written")
  equal(own, "[3]", "in the job itself")
end)

spec("variables and modules go on as they were granted", function()
  local lang, missing, module = values([[
    local source = "local ok, cjson = pcall(require, 'calendar') return os.getenv and os.getenv('PATH'), os.getenv and os.getenv('HOME'), ok"
    local path, home, ok = thread.async(source):await()
    local none = thread.async(source, { sandbox = {} }):await()
    return path, none, tostring(home)
  ]], { sandbox = { env = { "PATH" } } })
  equal(lang, os.getenv "PATH", "the variable")
  equal(missing, nil, "in a narrower sandbox")
  equal(module, "nil", "what was not granted")
end)

spec("jobs of jobs of jobs are in the sandbox of the first", function()
  local source = [[
    local res, rej, n, source = ...
    if n == 0 then return io == nil and "bottom" end
    return require "llib".thread.async(source, { args = { n - 1, source } }):await(10000)
  ]]
  both(function(sandbox)
    equal(values("return thread.async(a, { args = { 3, a } }):await(10000)", { sandbox = sandbox }, source), "bottom", "the value")
  end)
end)

-- ---------------------------------------------------------------- what they share

spec("four at once by default, or as many as were granted", function()
  local source = [[
    local tasks, problem, ok = {}
    for i = 1, 70 do
      ok, tasks[i] = pcall(thread.async, "require 'llib'.thread.sleep(1e6)")
      if not ok then problem = tasks[i] tasks[i] = nil break end
    end
    local count = #tasks
    for i = 1, count do tasks[i]:clean() end
    return count, problem, thread.async("return 'again'"):await(10000)
  ]]
  local count, problem, again = values(source)
  equal(count, 4, "by default")
  T.contains(problem, "too many jobs at once: this sandboxed job may have 4 that are not cleaned yet", "the error")
  equal(again, "again", "once they are gone")
  for _, jobs in ipairs { 1, 7 } do
    equal(values(source, { sandbox = { jobs = jobs }, memory = 256 * MIB }), jobs, "as many as were granted")
  end
  problem = values("return select(2, pcall(thread.async, 'return 1'))", { sandbox = { jobs = 0 } })
  T.contains(problem, "the sandbox of this job lets it start no others (jobs = 0)", "the error")
end)

spec("many jobs one after the other need no more room than one", function()
  both(function(sandbox)
    equal(values([[
      local sum = 0
      for i = 1, 60 do sum = sum + thread.async("return select(3, ...)", { args = { i } }):await(10000) end
      return sum
    ]], { sandbox = sandbox }), 1830, "the sum")
  end)
end)

spec("memory and CPU time of all jobs together are once more their starter's", function()
  local shares, refused, other, small = values([[
    local task = thread.async("local t = {} while true do t[#t + 1] = ('x'):rep(65536) .. #t end")
    local _, err = task:await()
    local big = thread.async("require 'llib'.thread.sleep(1e6)", { memory = "8M" })
    big:pid()
    local _, refused = thread.async("return 1", { memory = 1 }):await()
    big:clean()
    local other = thread.async("return 'fine'", { memory = "8M" }):await()
    local _, time = thread.async("return 1", { cpu = 1e9 }):await()
    return err.limit, tostring(refused), other, tostring(time)
  ]], { memory = "8M", sandbox = { jobs = 2 } })
  equal(shares, 4 * MIB, "the share of each")
  T.contains(refused, "denied: not started: the sandbox has less memory left for jobs", "too much memory")
  equal(other, "fine", "what was set aside comes back")
  T.contains(small, "denied: not started: the sandbox has less CPU time left for jobs", "too much time")
end)

spec("CPU time that jobs have used is gone for those that follow", function()
  local used, count = values([[
    local used = 0
    for count = 1, 1000 do
      local _, err = thread.async("while true do end"):await()
      if err.kind == "denied" then return used, count end
      used = used + err.usage.user + err.usage.system
    end
  ]], { cpu = 400 })
  T.yes(used < 600, "used " .. used .. " ms")
  T.yes(count > 4, count .. " jobs")
end)

spec("a job that waits for what another leaves can be killed and closed", function()
  local kinds = values([[
    local kinds = {}
    for _, how in ipairs { "kill", "close", "run" } do
      -- A process that takes some time to go.
      local big = thread.async("t = {} for i = 1, 40 do t[i] = ('x'):rep(1e6) .. i end return 1", { memory = "60M" })
      big:await(20000)
      local task = thread.async("local clock = os.clock() while select(3, ...) ~= 'run' and os.clock() - clock < 5 do end return 'value'",
        { memory = "50M", cpu = 4000, args = { how } })
      if how == "kill" then task:kill() elseif how == "close" then task:close(1) end
      local value, err = task:await(20000)
      kinds[#kinds + 1] = value or err.kind
    end
    return table.concat(kinds, " ")
  ]], { memory = "64M", sandbox = { jobs = 2 } })
  equal(kinds, "killed closed value", "how they ended")
end)

spec("a job that has failed stays so, whatever is asked of it", function()
  local got = values([[
    local got = {}
    local task = thread.async("error('first', 0)")
    while task:status() == "running" do thread.sleep(1) end
    task:kill()
    task:close(1)
    task:kill("WINCH", 1)
    got[1] = task:status()
    local other = thread.async("require 'llib'.thread.sleep(100) return 'other'")
    got[2] = tostring(select(2, task:await()))
    got[3] = other:await()
    local died = thread.async("local t = {} while true do t[#t + 1] = ('x'):rep(65536) .. #t end", { cpu = 1 })
    died:await(10000, true)
    died:kill()
    died:close(1)
    got[4] = select(2, died:await()).kind
    got[5] = thread.async("require 'llib'.thread.sleep(100) return 'last'"):await()
    return table.concat(got, " ")
  ]])
  equal(got, "failed error: first other cpu last", "what became of them")
end)

spec("nobody gives its jobs more than it has", function()
  local memory, cpu, most = values([[
    return thread.async([=[
      local thread = require "llib".thread
      local _, memory = thread.async("return 1", { memory = "9M" }):await()
      local _, cpu = thread.async("return 1", { cpu = 1001 }):await()
      local _, most = thread.async("while true do end"):await()
      return memory.kind, cpu.kind, most.limit
    ]=], { memory = "8M", cpu = 300 }):await()
  ]])
  equal(memory, "denied", "more memory")
  equal(cpu, "denied", "more CPU time")
  T.yes(most <= 300, "without a wish: " .. tostring(most))
end)

spec("jobs of jobs count for the first one", function()
  local problem = values([[
    local ready = b
    local task = thread.async([=[
      local ready = select(3, ...)
      local inner = require "llib".thread.async("require 'llib'.thread.sleep(1e6)")
      inner:pid()
      ready:push(true)
      require "llib".thread.sleep(1e6)
    ]=], { args = { ready } })
    ready:pop()
    local _, err = thread.async("return 1"):await()
    return tostring(err)
  ]], { sandbox = { jobs = 2 } }, nil, thread.channel())
  T.contains(problem, "denied: not started: the sandbox has as many jobs as it may have at once, those of its jobs included", "the third")
end)

spec("objects that a job was given it can hand on, and get back", function()
  local buffer, channel = thread.buffer({ n = 0 }), thread.channel()
  local same, last = values([[
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = thread.async(function(_, _, buffer, channel)
        buffer:mod(function(v) v.n = v.n + 1 return v end)
        channel:push("from within")
        return buffer
      end, { args = { a, b } })
    end
    local same = true
    for i = 1, 3 do same = same and tasks[i]:await(10000) == a end
    return a.n, b:pop(1000)
  ]], nil, buffer, channel)
  equal(same, 3, "what was counted")
  equal(last, "from within", "what was sent")
  equal(buffer.n, 3, "what the host sees")
  equal(#channel, 2, "and what is left")
end)

-- ---------------------------------------------------------------- what comes and goes

spec("long arguments and results travel up to the share of the limit", function()
  local length, problem, kind = values([[
    local text = ("x"):rep(a)
    local back = thread.async("return select(3, ...)", { args = { text } }):await(20000)
    local ok, problem = pcall(thread.async, "return 1", { args = { text .. text .. text } })
    local _, err = thread.async("return ('x'):rep(select(3, ...))", { args = { a * 3 }, memory = "32M" }):await(20000)
    return back == text and #back, problem, err.kind
  ]], { result_limit = "16M", memory = "128M" }, 2 * MIB)
  equal(length, 2 * MIB, "what came back")
  T.contains(problem, "and in this sandbox there is room for", "what is too long")
  equal(kind, "encode", "a result that is")
end)

spec("functions that a job gets from its own are without use, and metatables come when asked for", function()
  local called, text, without, with = values [[
    local source = "return function() return 1 end, setmetatable({}, { __index = { field = 2 } })"
    local f, t = thread.async(source):await()
    local _, u = thread.async(source, { metatables = true }):await()
    return pcall(f), tostring(f), tostring(t.field), tostring(u.field)
  ]]
  equal(called, false, "a call")
  T.contains(text, "inert function", "what it is")
  equal(without, "nil", "without metatables")
  equal(with, "2", "with them")
end)

spec("what jobs print goes where their starter prints", function()
  local source = [[
    thread.async("print('inner') io = nil"):await()
    thread.async("print('silent')", { stdout = "null" }):await()
    print("outer")
  ]]
  local task = T.scoped(thread.async("local thread = require 'llib'.thread " .. source, { sandbox = true, stdout = "capture" }))
  task:await(10000, true)
  equal((task:output()), "inner\nouter\n", "what was captured")
  equal(T.script [[
    local thread = require "llib".thread
    local task = thread.async([=[
      io.stdout:close()
      require "llib".thread.sleep(50)
      return require "llib".thread.async("print('inner') return 'done'"):await(10000)
    ]=], { sandbox = { read = { "/usr" } }, stdout = "capture" })
    print(task:await(10000))
  ]], "done\n", "what the host prints when a job has closed what is captured")
  local printed = T.script(([[
    local thread = require "llib".thread
    for _, stdout in ipairs { "inherit", "null" } do
      assert(not select(2, thread.async(%q, { sandbox = true, stdout = stdout }):await(10000)))
    end
  ]]):format("local thread = require 'llib'.thread " .. source))
  equal(printed, "inner\nouter\n", "what was inherited, once")
end)

spec("what cannot be in a sandbox raises in words", function()
  local function refused(source, part) T.contains(values("return select(2, pcall(" .. source .. "))"), part, source) end
  refused("thread.async, 'return 1', { stdout = 'capture' }", "option 'stdout': a sandboxed job cannot capture what its own jobs print")
  refused("thread.async, 'return 1', { functions = true }", "option 'functions': a sandboxed job takes no functions from its own jobs")
  refused("thread.async, 'return 1', { sandbox = { read = { 'here' } } }", "takes absolute paths, got 'here'")
  refused("thread.async, 'return 1', { sandbox = { libs = { 'cjson' } } }", "'libs' cannot grant 'cjson'")
  refused("thread.async, 'return 1', { sandbox = { exec = true } }", "'exec' cannot grant that")
  refused("thread.pool, { size = 1 }", "a sandboxed job has no pools and preloads nothing")
  refused("thread.preload, 'cjson'", "a sandboxed job has no pools and preloads nothing")
  refused("(function() local t = thread.async('return 1') return t:getfd() end)", "failed to make a descriptor: a sandboxed job can open none")
end)

-- ---------------------------------------------------------------- their end

spec("a job's jobs end with it", function()
  for _, how in ipairs { "return", "error", "kill", "cpu" } do
    local pids, go = thread.channel(), thread.channel()
    local task = T.scoped(thread.async([[
      local _, _, pids, how, go = ...
      local thread = require "llib".thread
      local inner = thread.async([=[
        local pids = select(3, ...)
        local inner = require "llib".thread.async("while true do end")
        pids:push(inner:pid())
        while true do end
      ]=], { args = { pids } })
      pids:push(inner:pid())
      pids:push("ready")
      while how == "kill" do thread.sleep(1000) end
      while how == "cpu" do end
      go:pop()
      if how == "error" then error "wrong" end
    ]], { sandbox = true, args = { pids, how, go }, cpu = 2000 }))
    local found = {}
    while #found < 3 do found[#found + 1] = pids:pop(10000) or T.fail "nothing came" end
    if how == "kill" then
      task:kill()
      for _, pid in ipairs(found) do T.no(pid ~= "ready" and T.exists(pid), "after the kill the process " .. tostring(pid)) end
    end
    go:push(true)
    task:await(20000, true)
    -- Also while the task is kept.
    for _, pid in ipairs(found) do
      if pid ~= "ready" then T.gone(pid, how) end
    end
    task:clean()
  end
end)

spec("tasks that are forgotten run on, and give their places back", function()
  local count = values([[
    local sum = 0
    for i = 1, 12 do
      -- The last three may not be quite at their end.
      while not pcall(thread.async, "select(3, ...):push(select(4, ...))", { args = { a, i } }) do thread.sleep(1) end
      if i % 3 == 0 then
        collectgarbage()
        for _ = 1, 3 do sum = sum + a:pop(10000) end
      end
    end
    return sum
  ]], nil, thread.channel())
  equal(count, 78, "the sum of what they sent")
end)

-- How many objects there are too many once `body` has been called so often, each time with an object that is cleaned then.
-- One may be: who is killed between the two steps of taking a handle out of a message leaves it counted.
local function left(count, body)
  local one = thread.buffer("here")
  local tree = T.read("/proc/self/maps"):match("/dev/shm/(llib%-tree%-%x+)")
  local function objects() collectgarbage() return tonumber((T.shell("ls /dev/shm | grep -c " .. tree .. "[.]"))) end
  T.wait(function() return thread.stats().jobs == 0 end, "earlier jobs to be gone")
  local before = objects()
  for i = 1, count do
    local gift = thread.buffer("gift")
    body(gift, i)
    gift:clean()
  end
  T.wait(function() return thread.stats().jobs == 0 and objects() <= before + 1 end, "the objects to end")
  equal(one:get(), "here", "another one")
end

spec("a killed job's messages to its jobs keep no object alive", function()
  local ready = thread.channel()
  left(6, function(gift)
    local task = T.scoped(thread.async([[
      local _, _, gift, ready = ...
      local thread = require "llib".thread
      local tasks = {}
      for i = 1, 4 do tasks[i] = thread.async("require 'llib'.thread.sleep(5) return (select(3, ...))", { args = { gift } }) end
      tasks[1]:await(10000, true)
      ready:push(true)
      thread.sleep(1e6)
    ]], { sandbox = true, args = { gift, ready } }))
    ready:pop(10000)
    task:clean()
  end)
end)

spec("jobs that are asked for in the last moment leave no object behind", function()
  left(20, function(gift)
    values("for i = 1, 3 do thread.async('return (select(3, ...))', { args = { a } }) end return 1", nil, gift)
  end)
end)

spec("a job can wait for a channel, a lock and its jobs at the same time as they work", function()
  local sum = values([[
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = thread.async([=[
        local _, _, work, done = ...
        for item in work:iter() do done:push(item * item) end
      ]=], { args = { a, b } })
    end
    for i = 1, 50 do a:push(i) end
    a:close()
    local sum = 0
    for _ = 1, 50 do sum = sum + b:pop(10000) end
    for i = 1, 4 do tasks[i]:await(10000) end
    return sum
  ]], nil, thread.channel(), thread.channel())
  equal(sum, 42925, "the sum of squares")
end)

T.finish()
