-- Tries to run on in a finalizer when the job is over.
-- must: values contained

local function hold() while true do end end
kept = setmetatable({}, { __gc = hold })
setmetatable(_G, { __gc = hold })
return "contained"
