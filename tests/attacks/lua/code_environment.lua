-- Tries to reach what was taken away by an environment of its own.
-- must: values contained

local f = load("return io, os.execute, debug.getregistry, require", "x", "t", setmetatable({}, { __index = _G }))
local io, execute, registry = f()
if io or execute or registry then return "reached" end
return "contained"
