-- Tries to have the host recurse into a hundred thousand tables.
-- must: values table or encode

local t = {}
for _ = 1, 100000 do t = { t } end
return t
