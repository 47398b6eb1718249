-- Tries to use up the stack of C by gsub within gsub.
-- must: error "overflow" or signal

local function f() return (("x"):gsub(".", f)) end
return f()
