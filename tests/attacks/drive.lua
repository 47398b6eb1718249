-- Runs attacks, one after the other in this one host, and says how each ended and whether anything else was harmed.
--
--   drive.lua FILE...   (environment: SCRATCH, a directory; ATTACKS_LIBRARY, where attack.so of the native ones lies)
--
-- The first lines of an attack say what it tries and how it must end:
--
--   -- Tries to fill the heap with tables.
--   -- must: memory                        a kind of failure
--   -- must: denied openat                 the sandbox ended it for this system call; several: denied open openat
--   -- must: error "part of the message"
--   -- must: values contained              its first value, as text or by its type
--   -- must: cpu or error "overflow"       one of these
--   -- with: { timeout = 200 }             options of async, in place of the usual ones
--
-- A line a file comes out: `held NAME: HOW`, or `HOLE NAME: WHAT`.

local thread = require "llib".thread

local scratch = os.getenv "SCRATCH"
local library = os.getenv "ATTACKS_LIBRARY"
if library then package.cpath = library .. "/?.so;" .. package.cpath end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function status(pid, field)
  local file = io.open("/proc/" .. pid .. "/status")
  if not file then return nil end
  local text = file:read("*a") or ""
  file:close()
  return text:match(field .. ":%s*(%S+)")
end

-- ---------------------------------------------------------------- what must stay unharmed

local secret = scratch .. "/secret"
do
  local file = assert(io.open(secret, "w"))
  file:write("swordfish")
  file:close()
end
local own = thread.buffer({ text = "the host's own" })
local mutex = thread.mutex()
local victim = thread.async("local res = ... res:autoclose() while true do require 'llib'.thread.sleep(5) end", { name = "victim" })
local zygote = thread.stats().zygote
local host = tonumber(status("self", "Pid"))
local guard = tonumber(status(zygote, "PPid"))
collectgarbage()
local memory_before = tonumber(status("self", "VmRSS"))

-- Jobs that are over when an attack begins, with secrets in all that a job has.
local stem = "hunter-" .. "4711"
for round = 1, 3 do
  for _, sandbox in ipairs { false, true, { env = { "ATTACKS_SECRET" } } } do
    local function tenant(source, options)
      options.sandbox, options.name, options.stdout, options.stderr = sandbox, stem .. " name", "capture", "capture"
      local task = thread.async(source, options)
      task:await()
      task:clean()
    end
    tenant("local text = select(3, ...) print(text) return text", { args = { (stem .. " argument "):rep(100) } })
    tenant("error(select(3, ...))", { args = { stem .. " error" } })
    tenant("local own = '" .. stem .. " source' return #own", {})
  end
end

-- Objects that an attack is given to spoil.
local function gifts()
  local locked = thread.mutex()
  locked:lock()
  local buffer, channel = thread.buffer((stem .. " buffer "):rep(20)), thread.channel(4)
  buffer:set((stem .. " value "):rep(20))
  buffer:set(1)
  channel:push((stem .. " item "):rep(20))
  channel:pop()
  return {
    buffer = buffer, channel = channel, mutex = thread.mutex(), empty = thread.channel(1), locked = locked,
    ready = thread.channel(1), mapped = thread.channel(1), secret = secret, host = host, zygote = zygote, guard = guard, victim = victim:pid(),
  }
end

-- What is wrong with the rest of the world; nil: nothing.
local function harm(given)
  if thread.stats().zygote ~= zygote then return "there is another zygote" end
  if tonumber(status(zygote, "PPid")) ~= guard then return "there is another guard" end
  if victim:status() ~= "running" then return "another job is " .. victim:status() end
  if read(secret) ~= "swordfish" then return "a file was changed" end
  if own:get().text ~= "the host's own" then return "a buffer of the host was changed" end
  if not mutex:lock(2000) then return "a mutex of the host is held" end
  mutex:unlock()
  if given then
    if not given.mutex:lock(2000) then return "the mutex that it was given is held after its end" end
    if not pcall(given.buffer.set, given.buffer, "mine") or given.buffer:get() ~= "mine" then
      return "the buffer that it was given cannot be used after its end"
    end
  end
  for i = 1, 5000 do
    if thread.stats().jobs == 1 then break end
    if i == 5000 then return (thread.stats().jobs - 1) .. " jobs live on" end
    thread.sleep(1)
  end
  collectgarbage()
  local grown = tonumber(status("self", "VmRSS")) - memory_before
  if grown > 100 * 1024 then return "the host has grown by " .. grown .. " KiB" end
end

-- Jobs beside an attack, in and out of a sandbox: each has to give the right value.
local function bystanders()
  local tasks = {}
  for i = 1, 2 do
    tasks[i] = thread.async("local n = select(3, ...) require 'llib'.thread.sleep(20) return n * 2", { args = { i }, sandbox = i == 2 })
  end
  return function()
    for i = 1, 2 do
      local value, err = tasks[i]:await(20000)
      if value ~= i * 2 then return "a job beside it gave " .. tostring(value or err) end
    end
  end
end

-- ---------------------------------------------------------------- how an attack ends

-- A value as text; one with a metatable may raise instead.
local function text_of(value)
  local fine, text = pcall(tostring, value)
  return fine and tostring(text) or "a value that cannot be shown"
end

local function describe(values)
  local value, err = values[1], values[2]
  if value == nil and type(err) == "table" and err.kind then
    return ("%s (%s)"):format(err.kind, tostring(err.message):sub(1, 200)), err
  end
  return "values " .. text_of(value):sub(1, 200)
end

local function meets(must, values, err)
  local kind, rest = must:match("^(%S+)%s*(.-)$")
  if kind == "values" then return not err and (text_of(values[1]) == rest or type(values[1]) == rest) end
  if not err or err.kind ~= kind then return false end
  if kind == "denied" and rest ~= "" then return (" " .. rest .. " "):find(" " .. tostring(err.call) .. " ", 1, true) ~= nil end
  if kind == "error" then return tostring(err.message):find(rest:match('^"(.*)"$'), 1, true) ~= nil end
  return true
end

-- What a host does with values, which must not run anything of the attack's.
local function handle(values)
  for i = 1, math.min(values.n, 100) do
    local value = values[i]
    pcall(function() return tostring(value), value == values[1] end)
    if type(value) == "table" then
      pcall(function() return value.field, #value, value[1] end)
      pcall(function() for k, v in pairs(value) do tostring(k) tostring(v) end end)
    end
  end
end

local function pack(...) return { n = select("#", ...), ... } end

local function run(path)
  local name = path:match("([^/]+)%.%w+$")
  local text = read(path)
  local must = text:match("[-/]+ must: ([^\n]+)")
  if not must then return name, "says not how it must end" end
  local options = { sandbox = true, memory = "16M", cpu = 300, timeout = 5000, stdout = "null", stderr = "null", result_limit = "8M", name = name }
  local with = text:match("[-/]+ with: ([^\n]+)")
  for key, value in pairs(with and (loadstring or load)("return " .. with)() or {}) do options[key] = value end
  local source, given = text, nil
  if path:find("%.c$") then
    source = ("local world = select(3, ...) world.ready:push(true) world.maps = world.mapped:pop() return require 'attack'(%q, world)")
      :format(name)
    if options.sandbox == true then options.sandbox = {} end
    options.sandbox.libs = { "attack" }
  end
  if source:find("select(3", 1, true) then
    given = gifts()
    options.args = { given }
  end
  local check = bystanders()
  local started, task = pcall(thread.async, source, options)
  if not started then return name, "did not start: " .. tostring(task) end
  local pid, blind = task:pid(), false
  if path:find("%.c$") and given.ready:pop(10000) then
    -- Nothing tells a native attack where its memory lies but this.
    local maps = io.open("/proc/" .. pid .. "/maps")
    local text = maps and maps:read("*a")
    blind = not text
    given.mapped:push(text or "")
    if maps then maps:close() end
  end
  local values = pack(task:await(15000))
  local how, err = describe(values)
  local met = false
  for one in (must .. " or "):gmatch("(.-) or ") do met = met or meets(one, values, err) end
  -- Where the host may not look into its workers' memory, see proc(5), these have nothing to go on.
  met = met or blind and (values[1] == "no mailbox" or values[1] == "nothing is shared")
  handle(values)
  values, err = nil, nil
  pcall(task.clean, task)
  if not met then return name, ("ended by %s, not by %s"):format(how, must) end
  for i = 1, 3000 do
    if not status(pid, "Pid") then break end
    if i == 3000 then return name, "its process lives on" end
    thread.sleep(1)
  end
  local problem = check() or harm(given)
  if problem then return name, ("%s; it ended by %s"):format(problem, how) end
  return name, nil, how
end

for _, path in ipairs(arg) do
  local fine, name, problem, how = pcall(run, path)
  if not fine then name, problem = path, "the host's call raised: " .. tostring(name) end
  local words = (problem and ("HOLE %s: %s"):format(name, problem) or ("held %s: %s"):format(name, how)):gsub("[%c\128-\255]", "?")
  print(words)
  io.stdout:flush()
end
victim:close(1000)
local _, err = victim:await(5000)
print("the victim: " .. tostring(err and err.kind))
io.stdout:flush()
-- Its processes are looked at until the input ends.
io.read("*l")
