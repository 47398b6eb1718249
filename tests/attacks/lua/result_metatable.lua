-- Tries to give back a table whose metatable loops wherever it is touched.
-- must: values table

local evil = function() while true do end end
return setmetatable({ 1 }, { __index = evil, __newindex = evil, __gc = evil, __len = evil, __eq = evil, __lt = evil, __call = evil,
  __tostring = evil, __name = evil, __pairs = evil, __close = evil, __concat = evil, __unm = evil, __mode = "kv" })
