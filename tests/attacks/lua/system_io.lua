-- Tries to reach files by io, under any of its names.
-- must: values contained

if io or package.loaded.io or _G["io"] then return "there is io" end
local ok = pcall(require, "io")
return ok and "required" or "contained"
