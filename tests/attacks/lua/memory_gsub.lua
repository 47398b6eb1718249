-- Tries to have gsub grow its result a thousandfold.
-- must: memory

return #("x"):rep(1000000):gsub(".", ("y"):rep(1000))
