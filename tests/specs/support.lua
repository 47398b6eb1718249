-- What the specs share: claims, expectations that explain themselves, and a look at the system.
--
--   local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
--   T.spec("two and two are four", function() T.equal(2 + 2, 4, "the sum") end)
--   T.finish()
--
-- A spec file runs alone, in any Lua that finds llib: `llib values.lua`, `luajit values.lua`.
-- With an argument it runs the claims alone that contain it. It prints a line for each claim that fails
-- and exits with 1 if there is one. SPEC_TIMES=1 in the environment shows how long each takes.

local llib = require "llib"
local thread = llib.thread

local T = {}

-- ---------------------------------------------------------------- every Lua

-- The version as a number. LuaJIT counts as 5.1, whose language it has.
T.lua = tonumber(_VERSION:match("%d+%.%d+"))

-- The largest integer that every number below it can be told from; twice as large as that for floats.
T.largest = math.maxinteger or 2 ^ 53

-- Whether a script can ask whether the collector runs.
T.asks_collector = pcall(collectgarbage, "isrunning")

T.pack = table.pack or function(...) return { n = select("#", ...), ... } end
T.unpack = table.unpack or unpack

-- As math.type; every number of a Lua without integers is a "number".
T.math_type = math.type or function(x) if type(x) == "number" then return "number" end end

-- The integer that a text stands for.
T.integer = math.tointeger and function(text) return math.tointeger(tonumber(text)) end or tonumber

-- As load(text, name, "bt", environment).
function T.load(text, name, environment)
  if T.lua >= 5.2 then return assert(environment and load(text, name, "bt", environment) or load(text, name)) end
  local f = assert(loadstring(text, name))
  return environment and setfenv(f, environment) or f
end

-- An object that calls `body` when it is collected. Before Lua 5.2 tables have no finalizers.
function T.finalizer(body)
  if newproxy then
    local object = newproxy(true)
    getmetatable(object).__gc = body
    return object
  end
  return setmetatable({}, { __gc = body })
end

local pack, unpack = T.pack, T.unpack
local passed, failed, skipped = 0, 0, 0
local temporary, scoped = {}, {}
local helper = debug.getinfo(1, "S").short_src

-- ---------------------------------------------------------------- claims

local SKIP = {}

-- `file:line` of the spec that is checking something just now.
local function position()
  local level = 2
  while true do
    local info = debug.getinfo(level, "Sl")
    if not info then return "?" end
    if info.short_src ~= helper and info.currentline > 0 then
      return info.short_src .. ":" .. info.currentline
    end
    level = level + 1
  end
end

local function explain(error)
  if type(error) == "table" and (error[SKIP] or error.position) then return error end
  return { position = position(), text = "raised: " .. tostring(error) }
end

function T.spec(claim, body)
  if arg[1] and not claim:find(arg[1], 1, true) then return end
  local began = os.getenv("SPEC_TIMES") and T.now()
  local ok, problem = xpcall(body, explain)
  while #scoped > 0 do
    local object = table.remove(scoped)
    if io.type(object) == "file" then object:close()
    elseif io.type(object) then -- It is closed.
    elseif tostring(object):find("^llib%.pool") then object:close(0)
    else object:clean() end
  end
  if began then print(("%6.2f s  %s"):format(T.now() - began, claim)) end
  if ok then
    passed = passed + 1
  elseif problem[SKIP] then
    skipped = skipped + 1
    print(("skipped: %s: %s"):format(claim, problem[SKIP]))
  else
    failed = failed + 1
    local text = problem.text:gsub("%s*\n%s*", " | ")
    print(("FAILED %s: %s: %s"):format(problem.position, claim, text))
  end
  io.stdout:flush()
end

-- A task, pool or file that is cleaned or closed when the claim ends.
function T.scoped(object)
  scoped[#scoped + 1] = object
  return object
end

-- Ends a claim that cannot be checked here.
function T.skip(reason) error({ [SKIP] = reason }) end

-- The module, or the end of the claim where it is not installed.
function T.optional(name)
  local ok, module = pcall(require, name)
  if not ok then T.skip("the module " .. name .. " is not installed") end
  return module
end

function T.finish()
  for _, path in ipairs(temporary) do os.remove(path) end
  local line = ("%d passed, %d failed"):format(passed, failed)
  if skipped > 0 then line = line .. (", %d skipped"):format(skipped) end
  print(line)
  os.exit(failed == 0 and 0 or 1, true)
end

-- ---------------------------------------------------------------- expectations

function T.show(value)
  if type(value) == "string" then
    if #value > 400 then value = value:sub(1, 400) .. "..." end
    return (("%q"):format(value):gsub("\\\n", "\\n"))
  elseif T.math_type(value) == "float" then
    return ("%.17g (a float)"):format(value)
  elseif type(value) == "table" and not (getmetatable(value) or {}).__tostring then
    local parts = {}
    for key, field in pairs(value) do
      if #parts == 8 then parts[9] = "..." break end
      parts[#parts + 1] = tostring(key) .. " = " .. tostring(field)
    end
    return "{" .. table.concat(parts, ", ") .. "}"
  end
  return tostring(value)
end

function T.fail(text) error({ position = position(), text = text }) end

local function differs(what, expected, got)
  T.fail(("%s: expected %s, got %s"):format(what or "the value", expected, got))
end

-- The same value, also of the same number type; NaN equals NaN, and 0.0 is not -0.0.
function T.identical(a, b)
  if a ~= a then return b ~= b end
  if type(a) == "number" and type(b) == "number" then
    return a == b and T.math_type(a) == T.math_type(b) and (a ~= 0 or T.math_type(a) == "integer" or 1 / a == 1 / b)
  end
  return rawequal(a, b)
end

function T.equal(got, expected, what)
  if not T.identical(expected, got) then differs(what, T.show(expected), T.show(got)) end
end

function T.yes(value, what)
  if not value then differs(what, "something true", T.show(value)) end
end

function T.no(value, what)
  if value then differs(what, "nil or false", T.show(value)) end
end

function T.type(value, expected, what)
  local got = T.math_type(value) or type(value)
  -- Where there are no integers a number is what its value is.
  local suits = got == "number" and (expected == "float" or expected == "integer" and value % 1 == 0)
  if got ~= expected and type(value) ~= expected and not suits then
    differs(what, "a value of type " .. expected, T.show(value) .. " of type " .. got)
  end
  return value
end

function T.contains(text, part, what)
  if type(text) ~= "string" or not text:find(part, 1, true) then
    differs(what, "a text with " .. T.show(part), T.show(text))
  end
end

function T.matches(text, pattern, what)
  if type(text) ~= "string" or not text:find(pattern) then
    differs(what, "a text matching " .. T.show(pattern), T.show(text))
  end
end

-- Tables equal in depth, without metatables; `path` names the place of the first difference.
function T.same(got, expected, what)
  local met = {}
  local function compare(a, b, path)
    if type(a) == "table" and type(b) == "table" then
      if met[b] == a then return end
      met[b] = a
      for key, value in pairs(b) do compare(a[key], value, path .. "." .. tostring(key)) end
      for key, value in pairs(a) do
        if b[key] == nil then differs(path .. "." .. tostring(key), "nil", T.show(value)) end
      end
    elseif not T.identical(b, a) then
      differs(path, T.show(b), T.show(a))
    end
  end
  compare(got, expected, what or "the value")
end

-- The packed results are exactly these values.
function T.results(packed, ...)
  local expected = pack(...)
  if packed.n ~= expected.n then
    local first = packed[1] == nil and packed[2] ~= nil and " (" .. tostring(packed[2]) .. ")" or ""
    differs("the number of values", expected.n, tostring(packed.n) .. first)
  end
  for i = 1, expected.n do T.equal(packed[i], expected[i], "value " .. i) end
end

-- `body` raises a string that contains each of the other arguments; returns it.
function T.raises(body, ...)
  local ok, problem = pcall(body)
  if ok then differs("the call", "an error", "a return") end
  if type(problem) ~= "string" then differs("the error", "a string", T.show(problem)) end
  for _, part in ipairs { ... } do T.contains(problem, part, "the error") end
  return problem
end

-- `body` raises an error that starts with the line in this file where it was raised.
function T.raises_here(body, ...)
  local problem = T.raises(body, ...)
  local about = debug.getinfo(body, "S")
  local line = tonumber(problem:match("^" .. about.short_src:gsub("%p", "%%%0") .. ":(%d+): "))
  if not line or line < about.linedefined or line > about.lastlinedefined then
    local lines = ("%s:%d to %d"):format(about.short_src, about.linedefined, about.lastlinedefined)
    differs("the error's position", lines, T.show(problem))
  end
  return problem
end

-- `bad argument #POSITION to 'NAME' (EXPECTED expected, got GOT)`, with the script's position in front.
function T.bad_argument(body, number, name, expected, got)
  local form = ("bad argument #%d to '%s' (%s expected, got %s)"):format(number, name, expected, got)
  return T.raises_here(body, form)
end

-- What a call gave is `nil, err` with an err of this kind; returns err.
function T.failure(packed, kind)
  if packed[1] ~= nil then differs("the first value", "nil and a failure", T.show(packed[1])) end
  local err = packed[2]
  if type(err) ~= "table" then differs("the failure", "an object of kind " .. kind, T.show(err)) end
  T.equal(packed.n, 2, "the number of values")
  if err.kind ~= kind then differs("the failure's kind", kind, T.show(err.kind) .. " (" .. tostring(err) .. ")") end
  T.type(err.message, "string", "err.message")
  T.equal(tostring(err), kind .. ": " .. err.message, "tostring(err)")
  return err
end

-- The values that a job had, which did not fail.
function T.returned(packed)
  if packed.n == 2 and packed[1] == nil and type(packed[2]) == "table" and packed[2].kind then
    differs("the job", "values", tostring(packed[2]) .. "\n" .. tostring(packed[2].traceback))
  end
  return unpack(packed, 1, packed.n)
end

-- Waits until this many jobs are not freed yet.
function T.jobs(count)
  T.wait(function() return thread.stats().jobs == count end, "the number of jobs is " .. count)
end

-- Runs a job, at most 60 seconds, and packs what await gives.
function T.job(f, options)
  local task = thread.async(f, options)
  local packed = pack(task:await(60000))
  if task:status() ~= "cleaned" then
    task:clean()
    differs("the job", "an end within 60 s", "none")
  end
  return packed
end

-- As T.job, for jobs that have values.
function T.values(f, options) return T.returned(T.job(f, options)) end

-- ---------------------------------------------------------------- waiting, files, processes

-- Seconds, with a grain of 10 ms.
function T.now()
  local file = assert(io.open("/proc/uptime"))
  local seconds = file:read("*n")
  file:close()
  return seconds
end

-- Waits for `condition` to hold, at most 5 s; returns what it returned.
function T.wait(condition, what)
  local last = T.now() + 5
  while true do
    local value = condition()
    if value then return value end
    if T.now() > last then T.fail(("%s: did not happen within 5 s"):format(what)) end
    thread.sleep(1)
  end
end

-- The path of a file that does not exist yet and is removed at the end.
function T.path()
  local path = os.tmpname()
  os.remove(path)
  temporary[#temporary + 1] = path
  return path
end

-- The content, or nil where there is no such file.
function T.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

function T.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  file:close()
end

-- Waits for a whole line in a file, which some process is about to write.
function T.line(path)
  return T.wait(function() return (T.read(path) or ""):match("^([^\n]*)\n") end, "a line in " .. path)
end

-- Whether there is a process, also a dead one that nobody has reaped.
function T.exists(pid)
  T.type(pid, "integer", "the process id")
  return T.read("/proc/" .. pid .. "/stat") ~= nil
end

-- A field of /proc/PID/status.
function T.process(pid, field)
  return (T.read("/proc/" .. pid .. "/status") or ""):match("\n" .. field .. ":%s*([^\n]*)")
end

-- One letter: R, S, T, Z ...; nil for a process that is gone.
function T.state(pid) return (T.process(pid, "State") or ""):match("^%a") end

-- Waits for the end of a process. One whose parent is gone too may stay as a zombie until init looks.
function T.gone(pid, what)
  T.type(pid, "integer", "the process id")
  local function ended() return (T.state(pid) or "Z") == "Z" end
  T.wait(ended, (what or "the process") .. " " .. pid .. " is gone")
end

-- Output of a shell command, without the last line end.
function T.shell(command)
  local pipe = assert(io.popen(command, "r"))
  local output = pipe:read("*a")
  pipe:close()
  return (output:gsub("\n$", ""))
end

local interpreter

-- Runs Lua source as a script of its own in this interpreter; returns what it printed and its exit code (nil
-- and the signal's number where a signal ended it).
function T.script(source, ...)
  interpreter = interpreter or T.shell("readlink /proc/$PPID/exe")
  local path = T.path()
  T.write(path, source)
  local words = { interpreter, path, ... }
  for i, word in ipairs(words) do words[i] = "'" .. word:gsub("'", "'\\''") .. "'" end
  -- Lua before 5.2 does not tell how a pipe's command ended. The shell adds 128 to the number of a signal.
  local pipe = assert(io.popen("exec 2>&1; " .. table.concat(words, " ") .. "; echo \" $?\"", "r"))
  local output, status = pipe:read("*a"):match("^(.*) (%d+)\n$")
  pipe:close()
  status = T.integer(status)
  if status > 128 then return output, nil, status - 128 end
  return output, status
end

-- Blocks a job until it is killed; it can be interrupted everywhere.
-- Lua cannot poll, so another program does: it takes a copy of a descriptor of this process.
local poller = [[
import ctypes, os, select, sys
pid, fd, time = (int(word) for word in sys.argv[1:])
copy = ctypes.CDLL(None).syscall(438, os.pidfd_open(pid), fd, 0)
assert copy >= 0
poll = select.poll()
poll.register(copy, select.POLLIN)
print("readable" if any(event & select.POLLIN for _, event in poll.poll(time)) else "silent")
]]
local own

-- Whether a descriptor of this process polls readable within some milliseconds.
function T.readable(fd, time)
  own = own or T.integer(T.shell("echo $PPID"))
  local answer = T.shell(("python3 -c '%s' %d %d %d 2>/dev/null"):format(poller, own, fd, time or 0))
  if answer ~= "readable" and answer ~= "silent" then
    T.skip("there is no python3 that may copy this process's descriptors (pidfd_getfd)")
  end
  return answer == "readable"
end

function T.forever() require "llib".thread.sleep(600000) end

-- A task that never ends by itself, and has begun to run.
function T.endless(options)
  local path = T.path()
  local task = thread.async(function()
    local file = assert(io.open(path, "w"))
    file:write("running\n")
    file:close()
    require "llib".thread.sleep(600000)
  end, options)
  T.line(path)
  return task
end

return T
