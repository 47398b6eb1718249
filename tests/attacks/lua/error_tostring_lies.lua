-- Tries to have whoever shows the error meet something else than text.
-- must: error ""

error(setmetatable({}, { __tostring = function() return {} end, __name = {} }))
