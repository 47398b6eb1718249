-- llib beside threads of luv, Python's multiprocessing, Node's worker threads, and what the system itself takes.
--
--   cargo bench -p llib-tests --bench peers [-- [--quick] [--plots] [NAME...]]
--
-- Peers take turns within one run, each in a process of its own (peers/README.md); one that is not installed is
-- left out. Medians are printed, and written as lines of JSON into the file that LLIB_BENCH_RESULTS names. With
-- `--plots` the plots of the documentation, and the numbers in its text, are made from that.

local harness = dofile((arg[0]:match("^(.*/)") or "./") .. "harness.lua")
local system = dofile(harness.here .. "system.lua")
local Report = dofile(harness.here .. "report.lua")
local uv, times = harness.uv, harness.times

local _, lua = system.interpreter()
local modules = ("package.cpath = [[%s]] package.path = [[%s]]"):format(package.cpath, package.path)

-- Name, program, arguments, and how much of a measure is enough for one that takes long.
local PEERS = {
  { name = "llib", program = lua, args = { "-e", modules, harness.here .. "peers/llib.lua" }, share = 1 },
  { name = "luv", program = lua, args = { "-e", modules, harness.here .. "peers/luv.lua" }, share = 1 },
  { name = "python", program = "python3", args = { harness.here .. "peers/python.py" }, share = 0.25 },
  { name = "node", program = "node", args = { harness.here .. "peers/node.js" }, share = 0.25 },
  { name = "floor", program = os.getenv("LLIB_BENCH_FLOOR"), args = {}, share = 1 },
}

-- The first line that a program prints.
local function command(line)
  local pipe = assert(io.popen(line))
  local text = pipe:read("l") or ""
  pipe:close()
  return text
end

local installed = {}
for _, peer in ipairs(PEERS) do
  local is_known = peer.program == lua or peer.name == "floor"
  if peer.program and not is_known then
    peer.version = command(peer.program .. " --version 2>/dev/null </dev/null"):match("%d+%.%d+%.%d+")
  end
  if peer.program and (is_known or peer.version) then
    installed[#installed + 1] = peer
  else
    io.stderr:write(("peers.lua: %s is missing, and left out\n"):format(peer.name))
  end
end

-- Starts the peers, or those that are `wanted`, with so many workers, and has those started too. Each has `ask(...)` from
-- then on.
local function start(workers, wanted)
  for _, peer in ipairs(installed) do
    peer.ask = nil
    if not wanted or wanted[peer.name] then
      local args = table.move(peer.args, 1, #peer.args, 1, {})
      args[#args + 1] = tostring(workers)
      peer.ask, peer.stop, peer.pid = system.start(peer.program, args, { UV_THREADPOOL_SIZE = tostring(workers) })
      for _ = 1, workers * 4 do peer.ask("warm", 1, 0) end
    end
  end
end

local function stop()
  for _, peer in ipairs(installed) do
    if peer.ask then peer.stop() end
  end
end

local records = {}

-- Keeps samples: `x` is what they are plotted over.
local function record(measure, peer, unit, samples, x)
  if #samples == 0 then return end
  local row = Report.describe(samples, unit)
  row.measure, row.peer, row.unit, row.x = measure, peer.name, unit, x
  local sorted = table.move(samples, 1, #samples, 1, {})
  table.sort(sorted)
  if not x then
    row.percentiles = {}
    for i = 1, 100 do row.percentiles[i] = Report.quantile(sorted, i / 100) / 1000 end
  end
  records[#records + 1] = row
end

-- Rounds in which each peer takes `count` samples of a command.
local function rounds(measure, number, count, command, argument, x)
  local samples = {}
  for round = 1, times(number) do
    for turn = 1, #installed do
      local i = (round + turn) % #installed + 1
      local peer = installed[i]
      if peer.ask then
        local enough = math.max(1, math.floor(count * peer.share))
        -- What another one's turn has put to sleep or out of the caches is not this one's.
        if count > 1 and argument == 0 then peer.ask(command, math.min(20, enough), 0) end
        samples[i] = harness.add(samples[i] or {}, peer.ask(command, enough, argument))
      end
    end
  end
  for i, peer in ipairs(installed) do
    if samples[i] then record(measure, peer, "us", samples[i], x) end
  end
  io.stderr:write(".")
end

harness.measure("latency", function()
  start(2)
  rounds("fresh", 40, 10, "fresh", 1000)
  rounds("warm", 40, 50, "warm", 0)
  rounds("warm, arrivals 1 ms apart", 40, 10, "warm", 1000)
  rounds("spin", 40, 50, "spin", 0)
  stop()
end)

harness.measure("throughput", function()
  for workers = 1, 8 do
    start(workers)
    for _, command in ipairs { "batch", "map" } do
      for i, peer in ipairs(installed) do
        local jobs = math.floor(20000 * peer.share)
        local samples = {}
        for round = 1, times(9) do
          local taken = peer.ask(command, jobs)[1]
          if taken then samples[round] = taken / jobs end
        end
        record(command, installed[i], "us", samples, workers)
      end
    end
    io.stderr:write(".")
    stop()
  end
end)

harness.measure("payload", function()
  start(2)
  for _, size in ipairs { 8, 64, 512, 4096, 32768, 262144, 2097152, 16777216, 67108864 } do
    local number = size <= 262144 and 20 or size <= 2097152 and 10 or 4
    local count = size <= 32768 and 20 or 4
    for _, command in ipairs { "payload", "carry" } do rounds(command, number, count, command, size, size) end
  end
  stop()
end)

local function pss(peer)
  local total = 0
  for _, pid in ipairs(system.family(peer.pid)) do total = total + (system.pss(pid) or 0) end
  return total
end

-- What eight workers take more than one, by seven.
harness.measure("memory", function()
  local WORKERS = 8
  local one = {}
  for _, workers in ipairs { 1, WORKERS } do
    start(workers)
    uv.sleep(500)
    for i, peer in ipairs(installed) do
      if workers == 1 then
        one[i] = pss(peer)
      else
        record("memory", peer, "KiB", { (pss(peer) - one[i]) / (WORKERS - 1) }, 0)
      end
    end
    stop()
  end
end)

-- CPU time of a hundred workers that have nothing to do, and of whoever looks after them. A hundred of Node's take
-- most of a GiB, and are left out.
harness.measure("idle", function()
  local SECONDS = 5
  start(100, { llib = true, luv = true, python = true, floor = true })
  uv.sleep(2000)
  for _, peer in ipairs(installed) do
    if peer.ask then
      -- Of those who are there now: a spare may go meanwhile, and takes its time with it.
      local before = {}
      for _, pid in ipairs(system.family(peer.pid)) do before[pid] = system.busy(pid) end
      uv.sleep(SECONDS * 1000)
      local busy = 0
      for pid, time in pairs(before) do busy = busy + math.max(0, system.busy(pid) - time) end
      record("idle", peer, "us", { busy / SECONDS }, 0)
    end
  end
  stop()
end)

local versions = {}
for _, peer in ipairs(installed) do versions[peer.name] = peer.version end
local about = {
  measure = "machine", cores = harness.llib.thread.cores(), kernel = command("uname -sr"), arch = command("uname -m"),
  cpu = command("sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1"),
  load_before = harness.load_before, load_after = Report.load(), versions = versions, luv = uv.version_string(),
  quick = harness.options["--quick"] and true or false,
}

io.stderr:write("\n")
local lines = { Report.json(about) }
for i, row in ipairs(records) do lines[i + 1] = Report.json(row) end
local text = table.concat(lines, "\n") .. "\n"
if harness.options["--json"] then
  io.write(text)
else
  print(("%s; load average %.2f before, %.2f after; %d cores; medians:"):format(
    about.kernel, about.load_before or 0, about.load_after or 0, about.cores))
  for _, row in ipairs(records) do
    print(("%-28s %10s  %-8s %14.2f %-4s of %d"):format(row.measure, row.x or "", row.peer, row.median, row.unit, row.n))
  end
end
local path = os.getenv("LLIB_BENCH_RESULTS")
if path then
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  if harness.options["--plots"] then
    dofile(harness.here .. "plots/draw.lua")(path, harness.here .. "../../docs/")
  end
end
