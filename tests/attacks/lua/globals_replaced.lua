-- Tries to have llib meet globals that are not what they were.
-- must: values contained

local function evil() while true do end end
for _, name in ipairs { "tostring", "error", "pcall", "xpcall", "type", "next", "pairs", "select", "getmetatable", "setmetatable", "rawget", "require" } do
  _G[name] = evil
end
res, rej = evil, evil
return "contained"
