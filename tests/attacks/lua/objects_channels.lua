-- Tries to make channels until nothing is left.
-- must: error "sandbox" or error "cannot"

local thread = require "llib".thread
local t = {}
while true do t[#t + 1] = thread.channel() end
