-- A spec that passes.

local function new_stack()
  local items = {}
  return {
    push = function(value) items[#items + 1] = value end,
    pop = function() return table.remove(items) or error("the stack is empty") end,
    size = function() return #items end,
    items = items,
  }
end

describe("a stack", function()
  local stack

  before_each(function() stack = new_stack() end)

  it("is empty at first", function()
    assert.equal(0, stack.size())
  end)

  it("gives back what came last", function()
    stack.push("a")
    stack.push("b")
    assert.equal("b", stack.pop())
    assert.same({ "a" }, stack.items)
  end)

  it("is a new one for each test", function()
    assert.is_true(stack.size() == 0)
  end)

  describe("that is empty", function()
    it("has nothing to pop", function()
      assert.has_error(function() stack.pop() end)
    end)
  end)
end)
