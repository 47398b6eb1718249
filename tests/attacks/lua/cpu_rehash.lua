-- Tries to spend time in the encoder: a result without end.
-- must: memory or cpu or encode
-- with: { result_limit = "1M" }

return setmetatable({}, { __pairs = function() while true do end end }), ("x"):rep(3000000), ("x"):rep(3000001)
