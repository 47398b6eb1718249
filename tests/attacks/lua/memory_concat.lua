-- Tries to double a string until nothing is left.
-- must: memory

local s = "x"
while true do s = s .. s end
