-- Tries to have require run a searcher of its own making; that is Lua and no more.
-- must: values contained

local list = package.searchers or package.loaders
list[#list + 1] = function(name) return function() return { name = name, io = io } end end
local got = require "anything"
if got.io then return "there is io" end
package.searchers, package.loaders = 5, 5
local ok = pcall(require, "other")
return (ok and "went on") or "contained"
