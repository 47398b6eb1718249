-- The process for the system's own costs (baseline/mod.rs says what it does), and looks at /proc.

local uv = require "luv"

local system = {}

-- Starts the process; nil if there is none to start: `cargo bench` names it.
function system.baseline(flag)
  return system.start(os.getenv("LLIB_BENCH_BASELINE"), flag)
end

-- The same for a plain C loop of fork, exit and wait (fork_loop.c), which `cargo bench` compiles.
function system.fork_loop()
  return system.start(os.getenv("LLIB_BENCH_FORK_LOOP"))
end

-- Starts a program that answers each line of words with a line of numbers; returns a function that asks it.
function system.start(program, flag)
  if not program then return nil end
  local commands, answers = assert(uv.pipe()), assert(uv.pipe())
  assert(uv.spawn(program, { args = { flag }, stdio = { commands.read, answers.write, 2 } }, function() end))
  -- Its ends are its own now; this end is read and written like any file.
  uv.fs_close(commands.read)
  uv.fs_close(answers.write)
  local to = assert(io.open("/proc/self/fd/" .. commands.write, "w"))
  local from = assert(io.open("/proc/self/fd/" .. answers.read, "r"))
  uv.fs_close(commands.write)
  uv.fs_close(answers.read)
  to:setvbuf("line")
  return function(...)
    to:write(table.concat({ ... }, " "), "\n")
    local line = from:read("l") or error("the baseline process has ended")
    local samples = {}
    for number in line:gmatch("%d+") do samples[#samples + 1] = tonumber(number) end
    return samples
  end
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

function system.children(pid)
  local children = {}
  for child in (read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""):gmatch("%d+") do
    children[#children + 1] = tonumber(child)
  end
  return children
end

-- What runs this script, as a word for the shell.
function system.interpreter()
  local first = 0
  while arg[first - 1] do first = first - 1 end
  return "'" .. arg[first]:gsub("'", "'\\''") .. "'", arg[first]
end

return system
