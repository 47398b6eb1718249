-- Tries to start a job without walls.
-- must: values contained

local task = require "llib".thread.async([[
  for _, name in ipairs { "io", "dofile", "loadfile" } do if _G[name] then return name end end
  for _, name in ipairs { "execute", "exit", "getenv", "remove" } do if os[name] then return "os." .. name end end
  if debug.getinfo or package.loadlib or string.dump then return "debug" end
  return "contained"
]], { sandbox = false })
return task:await()
