-- Tries to use up the stack by errors in the handler of errors.
-- must: values contained
-- with: { memory = "64M", cpu = 2000 }

local function handler(e) error(e) end
xpcall(error, handler, "x")
return "contained"
