-- Tries to fill the heap with userdata of llib's own.
-- must: memory

local crypto = require "llib".crypto
local t = {}
while true do t[#t + 1] = crypto.sha512() end
