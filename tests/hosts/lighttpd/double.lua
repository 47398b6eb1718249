package.cpath = "@MODULE@;" .. package.cpath
local thread = require("llib").thread
local number = tonumber(lighty.r.req_attr["uri.query"]:match("n=(%d+)"))
local function double(n) return n * 2 end
local task = thread.async(function(res, rej, n) return double(n) end, { args = { number } })
local value, problem = task:await(20000)
lighty.content = { tostring(value or problem) }
return 200
