-- Jobs under Neovim's own loop (luv): their ends arrive as events, while the loop does other things.
package.cpath = os.getenv("LUA_CPATH")
local thread = require("llib").thread
local loop = vim.loop
local left, ticks = 20, 0

local timer = loop.new_timer()
timer:start(1, 1, function() ticks = ticks + 1 end)

local function finish()
  timer:close()
  io.stdout:write("ticks ", tostring(ticks > 0), "\n")
  vim.schedule(function() vim.cmd("qall!") end)
end

for i = 1, left do
  local task = thread.async(function(res, rej, n) return n * n end, { args = { i } })
  local poll = loop.new_poll(task:getfd())
  poll:start("r", function()
    poll:close()
    assert(task:await(0) == i * i)
    left = left - 1
    if left == 0 then finish() end
  end)
end

-- What jobs say in functions of the editor's own.
local task = thread.async(function(res, rej, lines) table.sort(lines) return lines end, { args = { { "b", "c", "a" } } })
vim.api.nvim_buf_set_lines(0, 0, -1, false, task:await(20000))
io.stdout:write(table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), ","), "\n")
