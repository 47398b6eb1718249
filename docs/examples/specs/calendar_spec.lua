-- A spec that finds a bug.

local function is_leap(year)
  return year % 4 == 0
end

describe("a leap year", function()
  it("comes every four years", function()
    assert.is_true(is_leap(2024))
    assert.is_false(is_leap(2023))
  end)

  it("does not come at the turn of most centuries", function()
    assert.is_false(is_leap(1900))
  end)
end)
