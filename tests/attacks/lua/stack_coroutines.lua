-- Tries to use up the stack of C by coroutines within coroutines.
-- must: error "overflow" or memory or signal
-- with: { memory = "64M" }

local function f() return coroutine.wrap(f)() end
return f()
