-- Tries to load bytecode with a header that seems right.
-- must: values contained

local header = "\27Lua\84\0\25\147\r\n\26\n\4\8\8" .. ("\0"):rep(200)
local pieces = { header:sub(1, 1), header:sub(2) }
local at = 0
local tries = {
  load(header), load(header, "=x", "b"), load(header, "=x", "bt"), load("\27"),
  load(function() at = at + 1 return pieces[at] end),
  load(function() at = at + 1 return pieces[at - 2] end, "x", "b"),
}
for i = 1, 6 do if type(tries[i]) == "function" then return "loaded " .. i end end
return "contained"
