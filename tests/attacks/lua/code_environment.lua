-- Tries to reach what was taken away by an environment of its own.
-- must: values contained

local text, environment = "return io, os.execute, debug.getregistry, require", setmetatable({}, { __index = _G })
local f = setfenv and setfenv(loadstring(text), environment) or load(text, "x", "t", environment)
local io, execute, registry = f()
if io or execute or registry then return "reached" end
return "contained"
