-- Tries to loop in an __index that every access of a global meets.
-- must: cpu

setmetatable(_G, { __index = function() while true do end end })
return nothing
