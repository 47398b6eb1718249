-- Tries to have more captures than there is room for.
-- must: error "too many captures"

return ("a"):rep(100):find(("(a)"):rep(100))
