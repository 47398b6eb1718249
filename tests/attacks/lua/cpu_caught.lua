-- Tries to catch whatever ends it, and run for ever.
-- must: cpu

while true do pcall(function() while true do end end) end
