-- Tries to use up the stack of C by sort within sort.
-- must: error "overflow"

local function f() table.sort({ 1, 2, 3 }, f) end
return f()
