-- llib beside other ways to run Lua in parallel: what things cost, and what becomes of the program when a job goes wrong.
--
--   lua5.4 run.lua [--quick] [PEER...]
--
-- Each peer is a file of the folder `with`, whose head says what it needs; what is not installed is skipped, in words. The
-- module llib has to be on LUA_CPATH for Lua 5.4. Peers take turns, each time in an interpreter of their own, so that a busy
-- machine slows all of them down. Prints tables in Markdown.

local here = arg[0]:match("^(.*/)") or "./"

-- In the order of the tables. Some have no build for Lua 5.4.
local PEERS = {
  { name = "llib", lua = "lua5.4" },
  { name = "pool", lua = "lua5.4", title = "llib, pool" },
  { name = "sandbox", lua = "lua5.4", title = "llib, sandbox" },
  { name = "lanes", lua = "lua5.4" },
  { name = "effil", lua = "lua5.3" },
  { name = "llthreads2", lua = "lua5.4" },
  { name = "thread", lua = "lua5.4", title = "luv, thread" },
  { name = "work", lua = "lua5.4", title = "luv, work" },
  { name = "fork", lua = "lua5.3", title = "luaposix, fork" },
  { name = "popen", lua = "lua5.4", title = "io.popen" },
  { name = "bwrap", lua = "lua5.4" },
  { name = "docker", lua = "lua5.4" },
}

local COSTS = {
  { "first", "library and first job", "ms" },
  { "job", "a job, its result", "µs" },
  { "messages", "1,000 messages there and back", "ms" },
  { "string", "16 MiB string there and back", "ms" },
  { "memory", "memory of an idle worker", "KiB" },
}

local MISHAPS = {
  { "error", "an error" },
  { "exit", "`os.exit(3)`" },
  { "fault", "a segmentation fault" },
  { "loop", "an endless loop" },
  { "hang", "an endless loop in C" },
}

-- A library whose functions go wrong; it needs nothing of Lua.
local FAULTS = [[
int fault(void *L) { (void)L; *(volatile int *)0 = 1; return 0; }
int hang(void *L) { volatile int on = 1; (void)L; while (on) {} return 0; }
]]

local quick, wanted = false, {}
for _, word in ipairs(arg) do
  if word == "--quick" then quick = true else wanted[word] = true end
end

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- What a command prints, and its exit code; signals are 128 and their number, as the shell has it.
local function output_of(command)
  local pipe = assert(io.popen(command .. " 2>&1; echo \"$?\""))
  local text = pipe:read("a")
  pipe:close()
  local output, code = text:match("^(.-)(%d+)\n$")
  return output, tonumber(code)
end

local function compile_faults()
  local stem = os.tmpname()
  local source = assert(io.open(stem .. ".c", "w"))
  source:write(FAULTS)
  source:close()
  local output, code = output_of(("cc -shared -fPIC -o %s.so %s.c"):format(stem, stem))
  os.remove(stem .. ".c")
  os.remove(stem)
  assert(code == 0, output)
  return stem .. ".so"
end

local faults = compile_faults()

-- What it prints, and whether it came to its end; else its exit code as well.
local function measure(peer, what, seconds)
  local output, code = output_of(("timeout -s KILL %d %s %s %s %s %s"):format(
    seconds, peer.lua, quoted(here .. "measure.lua"), peer.name, what, quoted(faults)))
  return output, output:find("alive\n", 1, true) ~= nil, code
end

local present = {}
for _, peer in ipairs(PEERS) do
  if next(wanted) == nil or wanted[peer.name] then
    local output, alive = measure(peer, "version", 20)
    if alive then
      peer.version = output:match("[^\n]*")
      present[#present + 1] = peer
    else
      local reason = output:match("[^\n]*") or ""
      io.stderr:write(("skipped: %s does not run here: %s\n"):format(peer.title or peer.name, reason))
    end
  end
end

local function row(cells) print("| " .. table.concat(cells, " | ") .. " |") end

local function head(first, columns)
  local cells, line = { first }, { "---" }
  for _, column in ipairs(columns) do
    cells[#cells + 1] = column[2] .. (column[3] and ", " .. column[3] or "")
    line[#line + 1] = "---"
  end
  row(cells)
  row(line)
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function shown(value)
  if not value then return "—" end
  return (value < 10 and "%.2f" or value < 100 and "%.1f" or "%.0f"):format(value)
end

-- samples[peer][measure] = list
local samples = {}
for _, peer in ipairs(present) do samples[peer] = {} end
for round = 1, quick and 1 or 5 do
  for _, cost in ipairs(COSTS) do
    for turn = 1, #present do
      local peer = present[(round + turn) % #present + 1]
      local output, alive, code = measure(peer, cost[1], 120)
      local value = alive and tonumber(output:match("^[%d.]+"))
      if value then
        local list = samples[peer][cost[1]] or {}
        list[#list + 1] = value
        samples[peer][cost[1]] = list
      elseif not output:find("^none") then
        io.stderr:write(("%s, %s: exit code %d: %s\n"):format(peer.name, cost[1], code, output))
      end
    end
  end
end

head("", COSTS)
for _, peer in ipairs(present) do
  local cells = { peer.title or peer.name }
  for _, cost in ipairs(COSTS) do
    local list = samples[peer][cost[1]]
    cells[#cells + 1] = shown(list and median(list))
  end
  row(cells)
end

print()
head("", MISHAPS)
for _, peer in ipairs(present) do
  local cells = { peer.title or peer.name }
  for _, mishap in ipairs(MISHAPS) do
    local output, alive, code = measure(peer, mishap[1], 15)
    local told, after = output:match("told: ([^\n]*)"), output:match("after: ([^\n]*)")
    if alive then
      cells[#cells + 1] = table.concat({ told, after }, "; ")
    elseif code == 137 then
      cells[#cells + 1] = "**the program hangs**"
    elseif code > 128 and code <= 128 + 64 then
      cells[#cells + 1] = ("**the program dies** of signal %d"):format(code - 128)
    else
      cells[#cells + 1] = ("**the program ends** with exit code %d"):format(code)
    end
  end
  row(cells)
end

print()
for _, peer in ipairs(present) do print(("%s: %s, %s"):format(peer.title or peer.name, peer.version, peer.lua)) end
print(("load: %s"):format(io.open("/proc/loadavg"):read("l")))
os.remove(faults)
