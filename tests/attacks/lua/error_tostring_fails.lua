-- Tries to have whoever shows the error fail.
-- must: error ""

error(setmetatable({}, { __tostring = function() error(setmetatable({}, { __tostring = error })) end }))
