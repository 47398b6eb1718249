-- Tries to take every lock of the host's.
-- must: error "sandbox" or error "cannot"

local thread = require "llib".thread
for i = 1, 100000 do thread.lock(i) end
return "took them"
