-- Tries to have an access go round in circles.
-- must: error "loop"

local a, b = {}, {}
setmetatable(a, { __index = b })
setmetatable(b, { __index = a })
return a.x
