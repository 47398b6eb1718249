-- Tries to have gsub call back for ever.
-- must: cpu

("x"):gsub(".", function() while true do end end)
