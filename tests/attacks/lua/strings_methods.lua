-- Tries to have llib meet functions of strings that are not what they were.
-- must: values contained

for name in pairs(string) do string[name] = function() while true do end end end
for name in pairs(table) do table[name] = string.rep end
return "contained"
