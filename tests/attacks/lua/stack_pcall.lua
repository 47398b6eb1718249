-- Tries to use up the stack by pcall within pcall.
-- must: values contained
-- with: { memory = "64M" }

local function f() return pcall(f) end
f()
return "contained"
