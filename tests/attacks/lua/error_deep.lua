-- Tries to end in the middle of a very long stack.
-- must: error "end" or error "overflow"
-- with: { memory = "64M" }

local function f(n) if n == 0 then error("the end") end return f(n - 1) + 1 end
return f(20000)
