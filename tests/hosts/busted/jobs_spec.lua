-- Tests of users, in busted's environment: each file and block has globals of its own there.
local thread = require("llib").thread

local factor = 2
local function double(n) return n * factor end

describe("jobs in busted", function()
  local buffer

  before_each(function() buffer = thread.buffer(0) end)

  it("run functions with upvalues", function()
    local task = thread.async(function(res, rej, n) return double(n) end, { args = { 21 } })
    assert.are.equal(42, task:await(20000))
  end)

  it("share objects", function()
    local tasks = {}
    for i = 1, 4 do tasks[i] = thread.async(function() buffer:mod(function(n) return n + 1 end) end) end
    for i = 1, 4 do tasks[i]:await(20000) end
    assert.are.equal(4, buffer:get())
  end)

  it("fail as tests expect it", function()
    local value, problem = thread.async(function() error("oops") end):await(20000)
    assert.is_nil(value)
    assert.are.equal("error", problem.kind)
    assert.has_error(function() thread.async(1) end)
  end)

  it("use libraries", function()
    local sum = thread.pool({ size = 2 })
    local total = 0
    for _, n in ipairs(sum:map(function(n) return n * n end, { 1, 2, 3 })) do total = total + n end
    sum:close()
    assert.are.equal(14, total)
  end)
end)
