-- Looks at what this program and its supervisors hold: memory, descriptors, processes, files in shared memory.

local thread = require("llib").thread

local watch = {}

local function lines(path)
  local file = io.open(path)
  if not file then return function() end end
  local text = file:read("*a") or ""
  file:close()
  return text:gmatch("[^\n]+")
end

local function output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  return text
end

-- Resident memory in KiB: pages of its own, and pages of shared memory.
local function resident(pid)
  local own, shared = 0, 0
  for line in lines(("/proc/%d/status"):format(pid)) do
    own = tonumber(line:match("^RssAnon:%s*(%d+)")) or own
    shared = tonumber(line:match("^RssShmem:%s*(%d+)")) or shared
  end
  return own, shared
end

local function descriptors(pid)
  return tonumber(output(("ls /proc/%d/fd | wc -l"):format(pid)))
end

-- Names of the processes right below another one.
function watch.children(pid)
  local names = {}
  for line in lines(("/proc/%d/task/%d/children"):format(pid, pid)) do
    for child in line:gmatch("%d+") do
      -- It may have ended in between.
      for name in lines(("/proc/%s/comm"):format(child)) do names[#names + 1] = name end
    end
  end
  return names
end

-- Files of this program's sessions in shared memory, and the KiB that they take up.
function watch.files()
  local sessions, files, kib = {}, {}, 0
  for line in lines("/proc/self/maps") do
    local session = line:match("/dev/shm/(llib%-[%w%-]-%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x)")
    if session then sessions[session] = true end
  end
  for session in pairs(sessions) do
    for blocks, name in output(("stat -c '%%b %%n' /dev/shm/%s* 2>/dev/null"):format(session)):gmatch("(%d+) ([^\n]+)") do
      files[#files + 1] = name
      kib = kib + blocks / 2
    end
  end
  table.sort(files)
  return files, kib
end

-- This process's id: of all of /proc, `self` alone tells it.
local own = tonumber(output("echo $PPID"))

-- One look at everything, by name.
function watch.look()
  collectgarbage()
  collectgarbage()
  local stats = thread.stats()
  local sample = {}
  sample["host, own KiB"], sample["host, shared KiB"] = resident(own)
  sample["zygote, own KiB"], sample["zygote, shared KiB"] = resident(stats.zygote)
  sample["host, descriptors"] = descriptors(own)
  sample["zygote, descriptors"] = descriptors(stats.zygote)
  local files, kib = watch.files()
  sample["files in /dev/shm"], sample["/dev/shm, KiB"] = #files, kib
  sample["processes"] = #watch.children(stats.zygote)
  return sample
end

-- What may differ between two times of an even run, beside a tenth. Own memory comes in pages of allocators; how many
-- processes and files there are changes with every job; the memory of a pool is 5 MiB long and used bit by bit.
local SLACK = {
  ["own KiB"] = 1536, ["shared KiB"] = 6144, ["shm, KiB"] = 6144, descriptors = 4, ["dev/shm"] = 64, processes = 40,
}

local function slack(name)
  for ending, value in pairs(SLACK) do
    if name:sub(-#ending) == ending then return value end
  end
end

-- Compares the last third of the samples with the first, by medians. Returns lines to print, and the names of what has grown.
function watch.compare(samples)
  local report, grown, names = {}, {}, {}
  for name in pairs(samples[1]) do names[#names + 1] = name end
  table.sort(names)
  local third = math.floor(#samples / 3)
  local function median(first, last, name)
    local values = {}
    for i = first, last do values[#values + 1] = samples[i][name] end
    table.sort(values)
    return values[math.ceil(#values / 2)]
  end
  for _, name in ipairs(names) do
    local before, after = median(1, third, name), median(#samples - third + 1, #samples, name)
    report[#report + 1] = ("  %-20s %10.0f %10.0f"):format(name, before, after)
    if after > before * 1.1 + slack(name) then grown[#grown + 1] = name end
  end
  return report, grown
end

return watch
