-- Tries to run for ever.
-- must: cpu

while true do end
