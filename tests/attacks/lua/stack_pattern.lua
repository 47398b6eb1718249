-- Tries to use up the stack of C in a pattern.
-- must: error "too complex" or signal

return ("a"):rep(400000):find(("a?"):rep(200000) .. "b")
