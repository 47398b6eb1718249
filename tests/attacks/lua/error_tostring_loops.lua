-- Tries to have whoever shows the error run for ever.
-- must: cpu

error(setmetatable({}, { __tostring = function() while true do end end }))
