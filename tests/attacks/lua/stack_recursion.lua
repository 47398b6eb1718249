-- Tries to use up the stack of Lua.
-- must: error "stack overflow" or memory
-- with: { memory = "64M" }

local function f() return 1 + f() end
return f()
