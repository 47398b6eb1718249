-- Runs busted-style specs in parallel, each file in a process of its own. A file that crashes or hangs is one
-- failure, and the others do not notice.
--
--   lua5.4 docs/examples/tests.lua                      the specs beside this file: one has a bug, one crashes
--   lua5.4 docs/examples/tests.lua my_spec.lua ...      other files

local thread = require("llib").thread

local files = arg[1] and arg or {}
if not arg[1] then
  local folder = (arg[0]:match("^(.*/)") or "./") .. "specs"
  for path in io.popen("find '" .. folder .. "' -name '*_spec.lua' | sort"):lines() do
    files[#files + 1] = path
  end
end

-- Every test reports here as soon as it is over, so a crash loses none that ran before it.
local reports = thread.channel()

--- What each worker does with its file. It has a process for itself, so it may define globals as it likes.
local function run(_, _, file)
  local names, setups = {}, {}

  function describe(name, body)
    local depth = #setups
    names[#names + 1] = name
    body()
    names[#names] = nil
    for i = #setups, depth + 1, -1 do setups[i] = nil end
  end

  function before_each(body) setups[#setups + 1] = body end

  function it(name, body)
    names[#names + 1] = name
    local ok, problem = pcall(function()
      for _, setup in ipairs(setups) do setup() end
      body()
    end)
    reports:push { file = file, test = table.concat(names, " "), problem = not ok and tostring(problem) or nil }
    names[#names] = nil
  end

  local function same(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then return a == b end
    for key, value in pairs(a) do if not same(value, b[key]) then return false end end
    for key in pairs(b) do if a[key] == nil then return false end end
    return true
  end

  -- Level 3 is the line of the test that asserts.
  local function check(holds, form, ...)
    if not holds then error(form:format(...), 3) end
  end

  assert = setmetatable({
    equal = function(a, b) check(a == b, "expected %s, got %s", tostring(a), tostring(b)) end,
    same = function(a, b) check(same(a, b), "the tables differ") end,
    is_true = function(a) check(a == true, "expected true, got %s", tostring(a)) end,
    is_false = function(a) check(a == false, "expected false, got %s", tostring(a)) end,
    is_nil = function(a) check(a == nil, "expected nil, got %s", tostring(a)) end,
    has_error = function(body) check(not pcall(body), "expected an error") end,
  }, { __call = function(_, value, message)
    check(value, "%s", message or "assertion failed!")
    return value
  end })

  dofile(file)
end

local jobs = {}
for i, file in ipairs(files) do
  jobs[i] = thread.async(run, { name = file:match("[^/]+$"), args = { file }, timeout = 30000 })
end

local crashes = {}
for i, file in ipairs(files) do
  local _, problem = jobs[i]:await()
  if problem then crashes[file] = tostring(problem) end
end
reports:close()

local passed, failures = {}, {}
for report in reports:iter() do
  if report.problem then
    failures[#failures + 1] = ("%s: %s"):format(report.test, report.problem)
  else
    passed[report.file] = (passed[report.file] or 0) + 1
  end
end

local total = 0
for _, file in ipairs(files) do
  local count = passed[file] or 0
  total = total + count
  print(("%s  %d passed%s"):format(file:match("[^/]+$"), count, crashes[file] and ", then it ended" or ""))
  if crashes[file] then failures[#failures + 1] = ("%s: %s"):format(file:match("[^/]+$"), crashes[file]) end
end
for _, failure in ipairs(failures) do print("FAILED " .. failure) end
print(("%d passed, %d failed"):format(total, #failures))
os.exit(#failures == 0 and 0 or 1, true)
