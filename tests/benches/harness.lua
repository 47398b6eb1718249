-- What every benchmark begins and ends with: options, the clock, the module, the report.
--
--   local harness = dofile(here .. "harness.lua")
--   harness.measure("lock", function() harness.report:row { ... } end)
--   harness.finish()
--
-- Options on the command line: `--json` prints lines of JSON in place of tables; `--quick` takes a tenth of the
-- samples; other words are parts of the names of the measures to run. LLIB_BENCH_RESULTS names a file that
-- gets the lines of JSON as well.
--
-- The clock is luv's (CLOCK_MONOTONIC in nanoseconds), which is the peer of most measures, too.

local harness = {}
local script = arg[0]:match("([^/]*)$")
harness.here = arg[0]:match("^(.*/)") or "./"

local function needed(name, advice)
  local found, module = pcall(require, name)
  if found then return module end
  io.stderr:write(("%s: %s\n%s\n"):format(script, advice, module))
  os.exit(1)
end

harness.uv = needed("luv", "luv is missing, which is clock and peer here (Debian: apt install lua-luv)")
harness.llib = needed("llib", "the module is missing; put it on package.cpath")
local uv = harness.uv
local Report = dofile(harness.here .. "report.lua")
harness.report = Report.new()

harness.options = {}
local names = {}
for _, word in ipairs(arg) do
  if word:sub(1, 2) == "--" then harness.options[word] = true else names[#names + 1] = word end
end

-- How many samples to take where `count` are usual.
function harness.times(count)
  return harness.options["--quick"] and math.max(3, count // 10) or count
end

-- Whether a measure of this name was asked for.
function harness.wanted(name)
  if #names == 0 then return true end
  for _, part in ipairs(names) do
    if name:find(part, 1, true) then return true end
  end
  return false
end

-- Runs a measure, if it was asked for.
function harness.measure(name, run)
  if harness.wanted(name) then run() end
end

-- Nanoseconds that f takes.
function harness.time(f)
  local begun = uv.hrtime()
  f()
  return uv.hrtime() - begun
end

-- Appends the samples `more`.
function harness.add(samples, more)
  return table.move(more, 1, #more, #samples + 1, samples)
end

-- Takes turns: each of `parts` once a round, and each round begins with another one. A part returns one
-- sample or a table of them. Returns the samples of each part.
function harness.interleave(rounds, parts)
  local samples = {}
  for i = 1, #parts do samples[i] = {} end
  for round = 1, rounds do
    for turn = 1, #parts do
      local i = (round + turn) % #parts + 1
      local taken = parts[i]()
      harness.add(samples[i], type(taken) == "table" and taken or { taken })
    end
  end
  return table.unpack(samples)
end

harness.load_before = Report.load()

-- Prints the report, and writes it into the file that LLIB_BENCH_RESULTS names.
function harness.finish()
  local report = harness.report
  io.stderr:write("\n")
  if harness.options["--json"] then
    report:write(io.stdout)
  else
    print(("%s, luv %s; load average %.2f before, %.2f after; %d cores"):format(
      _VERSION, uv.version_string(), harness.load_before or 0, Report.load() or 0, harness.llib.thread.cores()))
    print()
    report:print()
  end
  local path = os.getenv("LLIB_BENCH_RESULTS")
  if path then
    local file = assert(io.open(path, "w"))
    report:write(file)
    file:close()
    if not harness.options["--json"] then print("\nalso as JSON in " .. path) end
  end
end

return harness
