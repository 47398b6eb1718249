-- Runs Lua's own test suite, each file as a job.
--
--   llib tests/official/run.lua FOLDER [FILE...]
--
-- FOLDER is `testes` of Lua's repository at the release that `llib -v` names, or `lua-5.x.y-tests` as it is published. Left out are the
-- files that start interpreters of their own or need gigabytes: all, main, heavy, big and verybig.

local thread = require("llib").thread

local folder, files = assert(arg[1], "which folder?"), {}
for i = 2, #arg do files[#files + 1] = arg[i] end
if #files == 0 then
  local left_out = { ["all.lua"] = true, ["main.lua"] = true, ["heavy.lua"] = true, ["big.lua"] = true, ["verybig.lua"] = true }
  for path in io.popen("cd '" .. folder .. "' && ls *.lua"):lines() do
    if not left_out[path] then files[#files + 1] = path end
  end
end

--- The file with the settings of the suite's user mode: portable, small, silent.
local function run(_, _, folder, file)
  _port, _soft, _nomsg, _U = true, true, true, true
  arg = { [0] = file, [-1] = "lua" }
  package.path = folder .. "/?.lua;" .. package.path
  dofile(folder .. "/" .. file)
end

local failed = 0
for _, file in ipairs(files) do
  local task = thread.async(run, { args = { folder, file }, name = file, timeout = 300000, stdout = "capture", stderr = "capture" })
  local ok, failure = task:result()
  print(file, ok and "ok" or tostring(failure))
  if not ok then
    failed = failed + 1
    print(failure.traceback or "")
  end
end
print(("%d files, %d failed"):format(#files, failed))
os.exit(failed == 0 and 0 or 1)
