-- Tries to use up stack and time by handlers of errors within handlers.
-- must: cpu or values contained
-- with: { memory = "64M" }

local function deep() xpcall(deep, deep) error("x") end
pcall(deep)
return "contained"
