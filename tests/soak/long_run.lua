-- The long run: a great many jobs, of which some crash, exit, fail, hang or get killed. Each has to end as it
-- should, and at the end nothing may be left and memory may not have grown.
--
--   llib tests/soak/long_run.lua [--pool=1000000] [--fresh=50000] [--workers=32] [--limit=300] [--seed=1] [--samples=60]
--
-- `--pool` jobs run in the workers of a pool, and `--fresh` in a process of their own each. `--limit` is the pool's limit of time
-- in ms. Where the machine is so busy that a job that does next to nothing needs longer, the run fails without guilt
-- of llib's; where a job that another process is to kill is past its limit before that one gets there, it is counted apart.
--
-- Prints a line for each sample, then a table of what was held in the first third of the time and in the last
-- one, then the verdict. The exit code is 0 if all is well, 1 if not.

local here = arg[0]:match("^(.*/)") or "./"
local thread = require("llib").thread
local watch = dofile(here .. "watch.lua")
local cases = dofile(here .. "cases.lua")

local options = { pool = 1000000, fresh = 50000, workers = 32, limit = 300, seed = 1, samples = 60 }
for _, word in ipairs(arg) do
  local name, value = word:match("^%-%-(%l+)=(%d+)$")
  if not (name and options[name]) then
    io.stderr:write(("long_run.lua: there is no option '%s'\n"):format(word))
    os.exit(2)
  end
  options[name] = tonumber(value)
end
math.randomseed(options.seed)

local begun = os.time()
local problems, unnamed = {}, 0
local function problem(...)
  if #problems < 20 then problems[#problems + 1] = string.format(...) else unnamed = unnamed + 1 end
end

-- Runs `count` jobs, of which at most `window` are under way. `start(case, n)` starts one; `limit` is the limit of time of
-- each, if all have one. Returns how many were started, by case, and how many of them were late.
local function run(what, count, window, limit, start)
  local started, right, late, samples = {}, {}, {}, {}
  for _, case in ipairs(cases) do started[case.name], right[case.name], late[case.name] = 0, 0, 0 end

  local function finish(job)
    local case, n, task = job.case, job.n, job.task
    if case.act then case.act(task) end
    local verdict
    if case.patience then
      verdict = cases.judge(case, n, limit, task:await(case.patience, false))
    else
      verdict = cases.judge(case, n, limit, task:await())
    end
    if verdict == "right" then
      right[case.name] = right[case.name] + 1
    elseif verdict == "late" then
      late[case.name] = late[case.name] + 1
    else
      problem("%s job %d (%s): %s", what, n, case.name, verdict)
    end
  end

  -- First in, first out; those that will be past their limit have a queue of their own, so as not to keep the rest.
  local function queue(length)
    local jobs, first, last = {}, 1, 0
    return function(job)
      if job then
        last = last + 1
        jobs[last] = job
      end
      if last >= first and (not job or last - first >= length) then
        local oldest = jobs[first]
        jobs[first] = nil
        first = first + 1
        finish(oldest)
        return true
      end
    end
  end
  local usual, limited = queue(window), queue(math.floor(options.workers / 2))

  local step = math.max(1, math.floor(count / options.samples))
  for n = 1, count do
    local case = cases.pick(math.random(1000))
    started[case.name] = started[case.name] + 1
    local push = case.limited and limited or usual
    push({ case = case, n = n, task = start(case, n) })
    if n % step == 0 then
      local sample = watch.look()
      -- The first ones are taken while everything grows to the size that it needs.
      if n > count / 10 then samples[#samples + 1] = sample end
      print(("%s %d: host %d + %d KiB, %d descriptors; zygote %d KiB, %d descriptors; %d processes, /dev/shm %d KiB"):format(
        what, n, sample["host, own KiB"], sample["host, shared KiB"], sample["host, descriptors"],
        sample["zygote, own KiB"], sample["zygote, descriptors"], sample["processes"], sample["/dev/shm, KiB"]))
      io.stdout:flush()
    end
  end
  while usual() do end
  while limited() do end

  local total = 0
  print(("\n%-20s %10s %10s %10s"):format(what .. " jobs", "started", "right", "late"))
  for _, case in ipairs(cases) do
    local name = case.name
    total = total + right[name] + late[name]
    print(("  %-18s %10d %10d %10d"):format(name, started[name], right[name], late[name]))
  end
  if total ~= count then problem("%d of %d %s jobs did not end as they should", count - total, count, what) end

  print(("\n%-22s %10s %10s"):format(what .. " jobs, medians", "1st third", "3rd third"))
  local report, grown = watch.compare(samples)
  print(table.concat(report, "\n") .. "\n")
  for _, name in ipairs(grown) do problem("%s jobs: %s has grown", what, name) end
  return started
end

-- Calls `condition` until it is true, for at most 10 seconds.
local function settled(condition)
  for _ = 1, 1000 do
    if condition() then return true end
    thread.sleep(10)
  end
  return false
end

-- Whether no job is left, and below the zygote none but spares.
local function calm()
  local stats = thread.stats()
  if stats.jobs > 0 then return false end
  for _, name in ipairs(watch.children(stats.zygote)) do
    -- A spare has the zygote's name until it has its own.
    if name ~= "llib-worker" and name ~= "llib-zygote" then return false end
  end
  return true
end

local function expect_calm(what)
  collectgarbage()
  collectgarbage()
  if not settled(calm) then
    problem("after the %s jobs: %d jobs are left, processes: %s", what, thread.stats().jobs,
      table.concat(watch.children(thread.stats().zygote), ", "))
  end
end

assert(thread.async(function() return 1 end):await() == 1)
local files_before = watch.files()

if options.pool > 0 then
  local pool = thread.pool { size = options.workers, timeout = options.limit }
  local started = run("pool", options.pool, 256, options.limit, function(case, n)
    return pool:submit(case.run, n, case.given and case.given(n))
  end)
  local stats = pool:stats()
  local done = 0
  for _, case in ipairs(cases) do
    if case.right then done = done + started[case.name] end
  end
  -- Jobs that were killed before a worker had them count as failed, too.
  if stats.done ~= done or stats.failed ~= options.pool - done or stats.queued + stats.running > 0 then
    problem("the pool counts %d done, %d failed, %d queued, %d running; done should be %d", stats.done, stats.failed,
      stats.queued, stats.running, done)
  end
  if not pool:close() then problem("the pool had to kill jobs to close") end
  pool = nil
  expect_calm("pool")
end

if options.fresh > 0 then
  -- The functions of the cases go as upvalues.
  local wrapped = {}
  for _, case in ipairs(cases) do
    local run_case = case.run
    wrapped[case] = function(_, _, ...) return run_case(...) end
  end
  run("fresh", options.fresh, 48, nil, function(case, n)
    return thread.async(wrapped[case], {
      args = { n, case.given and case.given(n) }, timeout = case.limited and options.limit or nil,
    })
  end)
  expect_calm("fresh")
end

local files_after = watch.files()
for _, name in ipairs(files_after) do
  -- Mailboxes are kept for the next job in their slot.
  if name:find("pool", 1, true) then problem("%s is left", name) end
end

for _, text in ipairs(problems) do print("  " .. text) end
if unnamed > 0 then print(("  and %d more"):format(unnamed)) end
print(("%s: %d pool jobs and %d fresh jobs in %d s, %d files in /dev/shm before and %d after"):format(
  #problems == 0 and "all is well" or "FAILED", options.pool, options.fresh, os.time() - begun, #files_before, #files_after))
os.exit(#problems == 0 and 0 or 1)
