-- A hundred jobs in an event loop, while a clock ticks: nothing that waits for a job stops the loop.
--
--   lua5.4 docs/examples/loops.lua luv          (or cqueues, or copas: whichever is installed)
--
-- The adapters stand in the folder `loops`, some twenty lines each: copy the one that you need.

local thread = require("llib").thread
local folder = arg[0]:match("^(.*/)") or "./"
local name = arg[1] or "luv"
local await = dofile(folder .. "loops/" .. name .. ".lua")

-- Each job ends when the clock has ticked for it: were the loop to stand still, so would the jobs.
local ticks = thread.channel()
local ticked, ended, sum = 0, 0, 0

local function tick()
  ticked = ticked + 1
  ticks:push(ticked)
end

local function job() return ticks:pop() end

--- Starts a job and waits for it, in a coroutine.
local function client()
  local value, problem = await(thread.async(job, { timeout = 60000 }))
  if not value then error(tostring(problem)) end
  ended, sum = ended + 1, sum + value
end

-- What each loop calls them: coroutines, a timer of 10 ms, and running until all jobs have ended.
local run = {}

function run.luv()
  local uv = require "luv"
  local clock = uv.new_timer()
  clock:start(10, 10, function()
    tick()
    if ended == 100 then clock:close() end
  end)
  for _ = 1, 100 do coroutine.wrap(client)() end
  uv.run()
end

function run.cqueues()
  local cqueues = require "cqueues"
  local loop = cqueues.new()
  loop:wrap(function()
    while ended < 100 do
      cqueues.sleep(0.01)
      tick()
    end
  end)
  for _ = 1, 100 do loop:wrap(client) end
  assert(loop:loop())
end

function run.copas()
  local copas = require "copas"
  for _ = 1, 100 do copas.addthread(client) end
  while ended < 100 do
    copas.step(0.01)
    tick()
  end
end

run[name]()
print(("%s: %d jobs ended with the sum %d while the clock ticked"):format(name, ended, sum))
