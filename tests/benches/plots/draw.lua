-- Draws the plots of the documentation, and fills the numbers into its text, from what `peers.lua` has measured.
--
--   cargo bench -p llib-tests --bench peers -- --plots            measures, then does this
--   llib tests/benches/plots/draw.lua TARGET/peers.jsonl docs/    does this alone
--
-- The plots are `plots/*.svg` there. The numbers stand in `performance.md` between two lines of comment.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local json = dofile(here .. "json.lua")
local svg = dofile(here .. "svg.lua")

-- In the order of legends and columns. `fresh` and `warm` are the names of what they do there.
local PEERS = {
  { name = "llib", style = 1, title = "llib", fresh = "llib async", warm = "llib pool" },
  { name = "luv", style = 3, title = "luv threads", fresh = "luv new_thread", warm = "luv new_work" },
  { name = "python", style = 4, title = "Python multiprocessing", fresh = "Python Process", warm = "Python Pool" },
  { name = "node", style = 5, title = "Node worker threads", fresh = "Node Worker", warm = "Node postMessage" },
  { name = "floor", style = 6, title = "floor", fresh = "fork + exit + wait", warm = "futex, through sleep" },
}

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  return text
end

-- 3 digits, and a unit that keeps the number short.
local function short(value, units)
  local unit = 1
  while unit < #units and value >= units[unit][2] do
    value = value / units[unit][2]
    unit = unit + 1
  end
  local form = value >= 100 and "%.0f" or value >= 10 and "%.0f" or value >= 1 and "%.1f" or "%.2f"
  return (form:format(value):gsub("(%..-)0+$", "%1"):gsub("%.$", "")) .. " " .. units[unit][1]
end
local function time(us) return short(us, { { "µs", 1000 }, { "ms", 1000 }, { "s" } }) end
local function bytes(count) return short(count, { { "B", 1024 }, { "KiB", 1024 }, { "MiB", 1024 }, { "GiB" } }) end
local function rate(count) return (short(count, { { "", 1000 }, { "k", 1000 }, { "M" } }):gsub(" $", "")) end

-- Ticks at the powers of ten from low to high.
local function decades(low, high, text)
  local ticks, value = {}, low
  while value <= high * 1.001 do
    ticks[#ticks + 1] = { value, text(value) }
    value = value * 10
  end
  return ticks
end

local function axis(label, low, high, text)
  return { label = label, min = low, max = high, log = true, ticks = decades(low, high, text) }
end

local function draw(measured, docs)
  local rows, machine = {}, nil
  for line in read(measured):gmatch("[^\n]+") do
    local row = json(line)
    if row.measure == "machine" then machine = row else rows[#rows + 1] = row end
  end
  -- The row of a measure; with `x`, of that place.
  local function find(measure, peer, x)
    for _, row in ipairs(rows) do
      if row.measure == measure and row.peer == peer and (not x or row.x == x) then return row end
    end
  end
  local function each(measure, peer, f)
    local points = {}
    for _, row in ipairs(rows) do
      if row.measure == measure and row.peer == peer then points[#points + 1] = { row.x, f(row) } end
    end
    return points
  end

  for _, kind in ipairs { "fresh", "warm" } do
    local series = {}
    for _, peer in ipairs(PEERS) do
      local row = find(kind, peer.name)
      if row then
        local points = {}
        for i, value in ipairs(row.percentiles) do points[i] = { value, i } end
        series[#series + 1] = { name = peer[kind], style = peer.style, points = points }
      end
    end
    local title = kind == "fresh" and "A job in a worker of its own: start, result, end; arrivals 1 ms apart"
      or "A job by a worker that is there already, one after the other"
    local low, high = table.unpack(kind == "fresh" and { 10, 1e6 } or { 1, 1e4 })
    local percent = {}
    for value = 0, 100, 25 do percent[#percent + 1] = { value, ("%d %%"):format(value) } end
    write(docs .. "plots/latency-" .. kind .. ".svg", svg.lines {
      title = title, x = axis("time from the call to the result", low, high, time),
      y = { label = "share of jobs that took at most this long", min = 0, max = 100, ticks = percent }, series = series,
    })
  end

  local function speed(row) return 1e6 / row.median end
  local series = {}
  local function add(name, style, points)
    if #points > 0 then series[#series + 1] = { name = name, style = style, points = points, marks = true } end
  end
  add("llib map", 2, each("map", "llib", speed))
  for _, peer in ipairs(PEERS) do
    if peer.name ~= "floor" then
      add(peer.name == "llib" and "llib submit" or peer.name == "python" and "Python apply_async" or peer.warm, peer.style,
        each("batch", peer.name, speed))
    end
  end
  add("Python map", 6, each("map", "python", speed))
  local workers = {}
  for count = 1, 8 do workers[count] = { count, tostring(count) } end
  write(docs .. "plots/throughput.svg", svg.lines {
    title = ("Jobs a second that return their argument, on %d cores"):format(machine.cores),
    x = { label = "workers", min = 1, max = 8, ticks = workers }, y = axis("jobs a second", 1e3, 1e7, rate), series = series,
  })

  series = {}
  local function median(row) return row.median end
  add("llib pool", 1, each("payload", "llib", median))
  add("llib async", 2, each("carry", "llib", median))
  for _, peer in ipairs(PEERS) do
    if peer.name ~= "llib" then
      add(peer.name == "floor" and "one memcpy" or peer.warm, peer.style, each("payload", peer.name, median))
    end
  end
  local sizes = {}
  for _, power in ipairs { 3, 6, 9, 12, 15, 18, 21, 24, 26 } do sizes[#sizes + 1] = { 2 ^ power, bytes(2 ^ power) } end
  write(docs .. "plots/payload.svg", svg.lines {
    title = "A string there and back",
    x = { label = "its length", min = 8, max = 2 ^ 26, log = true, ticks = sizes },
    y = axis("time from the call to the result", 0.1, 1e6, time), series = series,
  })

  local bars = {}
  for _, peer in ipairs(PEERS) do
    local row = find("memory", peer.name)
    if row then
      local name = peer.name == "floor" and "forked C program" or peer.warm:gsub(" new_work", " thread"):gsub(" postMessage", " Worker")
      bars[#bars + 1] = { name = name, style = peer.style, value = row.median, text = bytes(row.median * 1024) }
    end
  end
  local ticks = {}
  for mib = 0, 8, 2 do ticks[#ticks + 1] = { mib * 1024, ("%d MiB"):format(mib) } end
  write(docs .. "plots/memory.svg", svg.bars {
    title = "Memory that one more idle worker takes",
    x = { label = "proportional set size", min = 0, max = 8192, ticks = ticks }, bars = bars,
  })

  -- The table.
  local text = {}
  local function line(...) text[#text + 1] = string.format(...) end
  line("One run on %d cores of %s, %s, %s; Lua %s with luv %s, Python %s, Node %s; load average %.1f before and %.1f after.%s",
    machine.cores, machine.cpu, machine.kernel:match("^%a+ %d+%.%d+"), machine.arch, (_VERSION:gsub("Lua ", "")), machine.luv,
    machine.versions.python or "not there", machine.versions.node or "not there",
    machine.load_before, machine.load_after, machine.quick and " Few samples." or "")
  line("")
  local head, rule = "| medians of one run |", "|---|"
  for _, peer in ipairs(PEERS) do head, rule = head .. " " .. peer.title .. " |", rule .. "---|" end
  line("%s\n%s", head, rule)
  local function row(name, measure, show, x, floor)
    local cells = "| " .. name .. " |"
    for _, peer in ipairs(PEERS) do
      local found = find(measure, peer.name, x) or peer.name == "floor" and floor
      cells = cells .. " " .. (found and (found.shown or show(found.median)) or "") .. " |"
    end
    line("%s", cells)
  end
  local function per_second(us) return rate(1e6 / us) .. "/s" end
  local spin = find("spin", "floor")
  row("a worker of its own for each job, arrivals 1 ms apart", "fresh", time)
  row("a worker that is there already, one job after the other", "warm", time, nil)
  row("the same, arrivals 1 ms apart", "warm, arrivals 1 ms apart", time)
  row("jobs handed over one by one, 2 workers", "batch", per_second, 2)
  row("the same as a `map`", "map", per_second, 2)
  for _, size in ipairs { 4096, 32768, 262144, 2097152, 16777216, 67108864 } do
    row(bytes(size) .. " there and back", "payload", time, size)
  end
  row("memory of one more worker", "memory", function(kib) return bytes(kib * 1024) end)
  row("CPU time of 100 idle workers, a second", "idle", function(us) return us < 1 and "0" or time(us) end)
  line("")
  line("The floor: fork + exit + wait of a small C program; a futex there and back through sleep%s; one memcpy; a forked C program.",
    spin and (" (" .. time(spin.median) .. " where both look without sleeping)") or "")
  line("")
  line("| goal | measured | |\n|---|---|---|")
  local function goal(what, measured, met) line("| %s | %s | %s |", what, measured, met and "met" or "**missed**") end
  local warm, warm_luv = find("warm", "llib"), find("warm", "luv")
  if warm and warm_luv then
    local ratio = warm.median / warm_luv.median
    goal("`submit` + `await`: at most 0.25 of luv's `new_work`", ("%.2f; by the first tenths %.2f"):format(
      ratio, warm.p10 / warm_luv.p10), ratio <= 0.25)
  end
  local map, batch, idle = find("map", "llib", 2), find("batch", "llib", 2), find("idle", "llib")
  if map then goal("`map` of 20,000 items: at most 3 µs each", ("%.2f µs"):format(map.median), map.median <= 3) end
  if batch then
    goal("sustained, 2 workers: at least 300,000 jobs a second", per_second(batch.median), batch.median <= 1e6 / 3e5)
  end
  if idle then
    goal("100 idle workers: no CPU time", ("%.3f %% of a core"):format(idle.median / 1e4), idle.median < 1000)
  end
  local page = read(docs .. "performance.md")
  local first, last = "<!-- measured by tests/benches/peers.lua -->\n", "<!-- end -->\n"
  local from, to = page:find(first, 1, true), page:find(last, 1, true)
  assert(from and to, "performance.md has no place for the numbers")
  write(docs .. "performance.md", page:sub(1, from - 1) .. first .. "\n" .. table.concat(text, "\n") .. "\n\n" .. page:sub(to))
  print("drawn: " .. docs .. "plots/*.svg")
end

-- Called by the benchmark, or with arguments of the command line.
if arg[1] and arg[1]:find("%.jsonl$") then draw(arg[1], (arg[2] or "docs"):gsub("([^/])$", "%1/")) end
return draw
