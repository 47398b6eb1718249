-- Tries to make mutexes until nothing is left.
-- must: error "sandbox" or error "cannot"

local thread = require "llib".thread
local t = {}
while true do t[#t + 1] = thread.mutex() end
