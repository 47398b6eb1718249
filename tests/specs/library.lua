-- docs/library/llib.lua, the annotations for editors, has what the real module has, and nothing else.

local llib = require "llib"
local thread = llib.thread
local here = arg[0]:match("^(.*/)") or "./"
local T = dofile(here .. "support.lua")
local spec, equal = T.spec, T.equal

local path = here .. "../../docs/library/llib.lua"

-- What the file says: by class the fields, operators and functions; by alias the words it lists. A function has its
-- parameters, and those with a @param.
local classes, aliases, functions = {}, {}, {}
do
  local class, alias, described, documented
  local variables = {}
  for line in io.lines(path) do
    local function on(pattern, act)
      local a, b, c = line:match(pattern)
      if a then act(a, b, c) end
    end
    on("^%-%-%- ", function() described = true end)
    on("^%-%-%-@class ([%w_.]+)", function(name)
      class = { fields = {}, operators = {}, functions = {} }
      classes[name] = class
    end)
    on("^%-%-%-@field ([%w_]+)%?? ", function(name) class.fields[name] = true end)
    on("^%-%-%-@operator (%w+)", function(name) class.operators[name] = true end)
    on("^%-%-%-@alias ([%w.]+)", function(name)
      alias = {}
      aliases[name] = alias
    end)
    on('^%-%-%-| "(%w+)"', function(word) alias[word] = true end)
    on("^local (%w+) = {}$", function(name) variables[name] = class end)
    on("^%-%-%-@param ([%w.]+)", function(name) documented = (documented or "") .. name .. ", " end)
    on("^function (%w+[.:][%w_]+)%((.-)%) end$", function(name, parameters)
      local owner, key = name:match("^(%w+)[.:]([%w_]+)$")
      variables[owner].functions[key] = true
      functions[#functions + 1] = {
        name = name,
        parameters = parameters,
        documented = (documented or ""):gsub(", $", ""):gsub("%?", ""),
        described = described,
      }
    end)
    if not line:find("^%-%-") then described, documented = nil, nil end
  end
end

local function keys(t)
  local list = {}
  for key in pairs(t or {}) do list[#list + 1] = key end
  table.sort(list)
  return table.concat(list, " ")
end

-- The functions among a table's values.
local function functions_of(t)
  local found = {}
  for key, value in pairs(t) do if type(value) == "function" then found[key] = true end end
  return found
end

spec("the functions of the module are annotated, and no others", function()
  for _, name in ipairs { "thread", "crypto" } do
    equal(keys(classes["llib." .. name].functions), keys(functions_of(llib[name])), "llib." .. name)
  end
  -- Read as Lua it makes the tables that `require` returns.
  local annotated = dofile(path)
  annotated._VERSION = llib._VERSION
  equal(keys(annotated), keys(llib), "llib")
end)

-- The methods in an object's metatable. A buffer's `__index` is a function that keeps them as an upvalue.
local function methods(object)
  local index = debug.getmetatable(object).__index
  if type(index) == "function" then index = select(2, debug.getupvalue(index, 1)) end
  if not index then T.skip("this Lua does not show the upvalues of C functions") end
  return functions_of(T.type(index, "table", "the table of methods"))
end

for name, create in pairs {
  task = function() return T.scoped(thread.async(function() end)) end,
  buffer = function() return thread.buffer(0) end,
  mutex = thread.mutex,
  channel = thread.channel,
  hash = function() return llib.crypto.md5() end,
  pool = T.lua >= 5.4 and function() return T.scoped(thread.pool { size = 1 }) end or nil,
} do
  spec("the methods of a " .. name .. " are annotated, and no others", function()
    local object, class = create(), classes["llib." .. name]
    equal(keys(class.functions), keys(methods(object)), "the methods")
    for operator in pairs(class.operators) do
      T.type(debug.getmetatable(object)["__" .. operator], "function", "the operator " .. operator)
    end
  end)
end

spec("what a job finds in res is annotated, and nothing else", function()
  local found = T.values(function(res)
    local names = {}
    for key, value in pairs(res) do names[key] = type(value) end
    return names
  end)
  local annotated = {}
  for key in pairs(classes["llib.res"].functions) do annotated[key] = "function" end
  for key in pairs(classes["llib.res"].fields) do annotated[key] = key == "name" and "string" or "number" end
  T.same(found, annotated, "res")
end)

-- The names that a message lists.
local function known(message)
  local names = {}
  for name in message:match("known: (.-)%)"):gmatch("[%w_]+") do names[name] = true end
  return keys(names)
end

spec("the options of async are annotated, and no others", function()
  local _, problem = pcall(thread.async, function() end, { unheard = 1 })
  equal(keys(classes["llib.options"].fields), known(problem), "the options")
end)

spec("the options of pools are annotated, and no others", function()
  local _, problem = pcall(thread.pool, { unheard = 1 })
  equal(keys(classes["llib.pool_options"].fields), known(problem), "the options of pool")
  local pool = T.scoped(thread.pool { size = 1 })
  _, problem = pcall(pool.map, pool, function() end, {}, { unheard = 1 })
  equal(keys(classes["llib.map_options"].fields), known(problem), "the options of map")
  equal(keys(classes["llib.pool_stats"].fields), keys(pool:stats()), "what stats gives")
end)

spec("the grants of a sandbox are annotated, and no others", function()
  local _, problem = pcall(thread.async, function() end, { sandbox = { unheard = 1 } })
  if not problem:find("known: ") then T.skip("this build has no sandbox: " .. problem) end
  equal(keys(classes["llib.grants"].fields), known(problem), "the grants")
end)

spec("what a kernel and a sandbox enforce is annotated", function()
  local capabilities = thread.capabilities()
  for field in pairs(capabilities) do T.yes(classes["llib.capabilities"].fields[field], "capabilities has " .. field) end
  local ok, task = pcall(thread.async, function() end, { sandbox = true })
  if not ok then T.skip(task) end
  T.scoped(task)
  equal(keys(classes["llib.capabilities"].fields), keys(capabilities), "the capabilities")
  equal(keys(classes["llib.enforced"].fields), keys(task:sandbox()), "what is enforced")
end)

spec("the kinds of failures are those of the API page", function()
  local page = T.read(here .. "../../docs/api.md"):match("\n## Failures\n(.-)\n## ")
  local kinds = {}
  for kind in page:gmatch("\n| `(%w+)`") do kinds[kind] = true end
  T.yes(kinds.error and kinds.lost, "the page lists kinds")
  equal(keys(aliases["llib.kind"]), keys(kinds), "the kinds")
end)

spec("a failure has no fields but annotated ones", function()
  local met = {}
  for _, job in ipairs {
    { function() error({ 1 }) end },
    { "x = = 1" },
    { function() error({ coroutine.create(function() end) }) end },
    { function(_, rej) rej("no", 2) end },
    { function() os.exit(3) end },
    { function(res) os.execute("kill -SEGV " .. res.pid) end },
    { function() print "captured" while true do end end, { timeout = 50, stdout = "capture" } },
    { function() while true do end end, { cpu = 20 } },
    { function() local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end end, { memory = "8M" } },
    { function() return coroutine.create(function() end) end },
  } do
    local values = T.job(job[1], job[2])
    local failure = T.failure(values, T.type(values[2], "table", "the failure").kind)
    T.yes(aliases["llib.kind"][failure.kind], "the kind " .. tostring(failure.kind) .. " is annotated")
    for field in pairs(failure) do met[field] = true end
    for field in pairs(failure.usage) do T.yes(classes["llib.usage"].fields[field], "usage has " .. field) end
  end
  if T.lua >= 5.4 then
    local pool = T.scoped(thread.pool { size = 1 })
    local _, failure = pool:map(function() error("no") end, { 1 })
    for field in pairs(failure) do met[field] = true end
  end
  -- Only `pool:map` names an item.
  if T.lua < 5.4 then met.index = true end
  -- Only code that is not Lua gets as far as a system call that is denied.
  met.call = true
  equal(keys(met), keys(classes["llib.failure"].fields), "the fields")
end)

spec("every function is described, with its parameters in their order", function()
  T.yes(#functions > 40, "functions were found")
  for _, f in ipairs(functions) do
    T.yes(f.described, f.name .. " is described")
    equal(f.documented, f.parameters, "the parameters of " .. f.name)
  end
end)

T.finish()
