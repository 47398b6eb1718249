-- Tries to change the metatable of all strings with raw access.
-- must: values contained

local meta = getmetatable("")
rawset(meta, "__index", function() return "evil" end)
rawset(meta, "__add", function() return "evil" end)
pcall(setmetatable, meta, nil)
pcall(setmetatable, "", {})
if ("x").evil or pcall(function() return "x" + {} end) then return "changed" end
return "contained"
