-- Tries to spend hours in one call of a C function.
-- must: cpu

return ("a"):rep(300):find((".-"):rep(4) .. "b")
