-- Judges the programs of strangers: each gets every test in a sandbox of its own, and a verdict.
--
--   lua5.4 docs/examples/judge.lua                 the submissions beside this file
--   lua5.4 docs/examples/judge.lua mine.lua ...    other files
--
-- The task: a program gets a number n and returns how many primes are below n.

local thread = require("llib").thread

local tests = { { n = 10, answer = 4 }, { n = 1, answer = 0 }, { n = 1000, answer = 168 }, { n = 50000, answer = 5133 } }

-- No files, no network, no programs, no way out; and no more than this of anything.
local limits = { sandbox = true, cpu = 500, memory = "16M", timeout = 60000, stdout = "null" }

local files = arg[1] and arg or {}
if not arg[1] then
  local folder = (arg[0]:match("^(.*/)") or "./") .. "submissions"
  for path in io.popen("find '" .. folder .. "' -name '*.lua' | sort"):lines() do files[#files + 1] = path end
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

--- What runs in the sandbox: the program, with the number as its argument.
local function run(_, _, text, name, n)
  return assert((loadstring or load)(text, "=" .. name))(n)
end

local function start(path, test)
  local name = path:match("[^/]+$")
  local options = { name = name, args = { read(path), name, test.n } }
  for key, value in pairs(limits) do options[key] = value end
  return thread.async(run, options)
end

local words = {
  cpu = "too slow",
  deadline = "too slow",
  memory = "too much memory",
  error = "error",
  denied = "denied", -- it tried a system call that no program needs
}

--- The verdict on one program, from its jobs, and what there is to say about it.
local function judge(jobs)
  for i, test in ipairs(tests) do
    -- A stranger may answer with anything, also with nil and what looks like a failure.
    local ok, answer = jobs[i]:result()
    if not ok then
      return words[answer.kind] or answer.kind, ("test %d: %s"):format(i, answer.message)
    elseif answer ~= test.answer then
      return "wrong", ("test %d: n = %d"):format(i, test.n)
    end
  end
  return "accepted", #tests .. " tests"
end

-- All programs with all tests at once: they cannot disturb each other.
local running = {}
for i, path in ipairs(files) do
  running[i] = {}
  for k, test in ipairs(tests) do running[i][k] = start(path, test) end
end
for i, path in ipairs(files) do
  print(("%-14s %-16s %s"):format(path:match("[^/]+$"), judge(running[i])))
  for _, job in ipairs(running[i]) do job:clean() end
end
