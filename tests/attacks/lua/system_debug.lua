-- Tries every function of debug but traceback.
-- must: values contained

for _, name in ipairs { "debug", "gethook", "getinfo", "getlocal", "getmetatable", "getregistry", "getupvalue", "getuservalue", "sethook",
  "setlocal", "setmetatable", "setupvalue", "setuservalue", "upvalueid", "upvaluejoin", "setcstacklimit" } do
  if debug[name] ~= nil then return "there is debug." .. name end
end
return "contained"
