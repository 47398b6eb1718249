-- Tries to hide functions everywhere in a result.
-- must: values table

local function evil() while true do end end
return { evil, [evil] = evil, f = { g = evil }, io = print, m = string, G = _G }
