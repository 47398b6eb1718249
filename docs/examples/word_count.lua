-- Counts the words of many files, with a worker process for each core.
--
--   lua5.4 docs/examples/word_count.lua                 the licences that Debian comes with
--   lua5.4 docs/examples/word_count.lua README.md ...   other files

local thread = require("llib").thread

-- The licences are English text that every Debian machine has.
local files = arg[1] and arg or {}
if not arg[1] then
  for path in io.popen("find /usr/share/common-licenses -type f 2>/dev/null"):lines() do
    files[#files + 1] = path
  end
end
if #files == 0 then
  io.stderr:write("no text found; name some files: word_count.lua FILE...\n")
  os.exit(1)
end

-- The work: a queue that all workers take from. So a worker with a long file takes fewer, and nobody has to plan.
local queue = thread.channel()
for _, path in ipairs(files) do queue:push(path) end
queue:close()

--- What each worker does: counts the words of file after file until the queue is empty.
local function count()
  local words, lines = {}, 0
  for path in queue:iter() do
    for line in io.lines(path) do
      lines = lines + 1
      for word in line:lower():gmatch("%a+") do
        words[word] = (words[word] or 0) + 1
      end
    end
  end
  return words, lines
end

local workers = {}
for i = 1, thread.cores() do workers[i] = thread.async(count, { name = "counter " .. i }) end

-- Each result is a table of some thousand words. Added up they are the answer.
local totals, lines, all = {}, 0, 0
for _, worker in ipairs(workers) do
  local words, more = worker:await()
  if not words then error(more) end
  for word, times in pairs(words) do
    totals[word] = (totals[word] or 0) + times
    all = all + times
  end
  lines = lines + more
end

local ranking = {}
for word in pairs(totals) do ranking[#ranking + 1] = word end
table.sort(ranking, function(a, b)
  if totals[a] ~= totals[b] then return totals[a] > totals[b] end
  return a < b
end)

print(("%d files, %d lines, %d words, %d different ones"):format(#files, lines, all, #ranking))
for place = 1, math.min(10, #ranking) do
  local word = ranking[place]
  print(("%8d  %s"):format(totals[word], word))
end
