-- A spec that takes its process with it.

describe("a faulty C module", function()
  it("loads", function()
    assert(true)
  end)

  it("crashes", function()
    os.execute("kill -SEGV " .. res.pid) -- dies as a process does that follows a wild pointer
  end)

  it("is never tested further", function()
    assert.is_nil("reached")
  end)
end)
