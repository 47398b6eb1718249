-- The process for the system's own costs (baseline/mod.rs says what it does), and looks at /proc.

local uv = require "luv"

local system = {}

-- Starts the process; nil if there is none to start: `cargo bench` names it.
function system.baseline(flag)
  return (system.start(os.getenv("LLIB_BENCH_BASELINE"), { flag }))
end

-- The same for a plain C loop of fork, exit and wait (fork_loop.c), which `cargo bench` compiles.
function system.fork_loop()
  return (system.start(os.getenv("LLIB_BENCH_FORK_LOOP")))
end

-- Starts a program that answers each line of words with a line of numbers. `args` are its arguments, `more` are variables
-- of its environment. Returns a function that asks it, one that ends it with the line `quit`, and its process id.
function system.start(program, args, more)
  if not program then return nil end
  local environment = uv.os_environ()
  for name, value in pairs(more or {}) do environment[name] = value end
  local pairs_of_it = {}
  for name, value in pairs(environment) do pairs_of_it[#pairs_of_it + 1] = name .. "=" .. value end
  local commands, answers = assert(uv.pipe()), assert(uv.pipe())
  local handle, pid = uv.spawn(
    program, { args = args, env = pairs_of_it, stdio = { commands.read, answers.write, 2 } }, function() end)
  -- Its ends are its own now; this end is read and written like any file.
  uv.fs_close(commands.read)
  uv.fs_close(answers.write)
  if not handle then error(("failed to run '%s': %s"):format(program, pid)) end
  local to = assert(io.open("/proc/self/fd/" .. commands.write, "w"))
  local from = assert(io.open("/proc/self/fd/" .. answers.read, "r"))
  uv.fs_close(commands.write)
  uv.fs_close(answers.read)
  to:setvbuf("line")
  local function ask(...)
    to:write(table.concat({ ... }, " "), "\n")
    local line = from:read("l") or error(("'%s' has ended"):format(program))
    local samples = {}
    for number in line:gmatch("%S+") do samples[#samples + 1] = tonumber(number) end
    return samples
  end
  local function stop()
    -- Closing alone would not do: programs that were started later have inherited that end.
    to:write("quit\n")
    to:close()
    from:read("a")
    from:close()
    while handle:is_active() do uv.run("once") end
  end
  return ask, stop, pid
end

local function read(path)
  local file = io.open(path)
  local text = file and file:read("a")
  if file then file:close() end
  return text
end

-- Proportional set size of a process in KiB: private pages, and its share of those it shares.
function system.pss(pid)
  local text = read(("/proc/%d/smaps_rollup"):format(pid))
  return text and tonumber(text:match("\nPss:%s*(%d+) kB"))
end

-- Processes that any of its threads started.
function system.children(pid)
  local children, folder = {}, ("/proc/%d/task"):format(pid)
  local threads = uv.fs_scandir(folder)
  while threads do
    local thread = uv.fs_scandir_next(threads)
    if not thread then break end
    for child in (read(folder .. "/" .. thread .. "/children") or ""):gmatch("%d+") do
      children[#children + 1] = tonumber(child)
    end
  end
  return children
end

-- A process and everything below it.
function system.family(pid)
  local family = { pid }
  local at = 1
  while family[at] do
    for _, child in ipairs(system.children(family[at])) do family[#family + 1] = child end
    at = at + 1
  end
  return family
end

-- Nanoseconds that a process has had a processor, in all of its threads (/proc/PID/task/TID/schedstat).
function system.busy(pid)
  local total, folder = 0, ("/proc/%d/task"):format(pid)
  local threads = uv.fs_scandir(folder)
  while threads do
    local thread = uv.fs_scandir_next(threads)
    if not thread then break end
    total = total + (tonumber((read(folder .. "/" .. thread .. "/schedstat") or "0"):match("%d+")) or 0)
  end
  return total
end

-- What runs this script, as a word for the shell.
function system.interpreter()
  local first = 0
  while arg[first - 1] do first = first - 1 end
  return "'" .. arg[first]:gsub("'", "'\\''") .. "'", arg[first]
end

return system
