-- Tries to fill the stack of Lua with arguments.
-- must: error "too many" or memory or cpu or error "stack overflow"

local t = {}
local function f(...) return f(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...) end
return f()
