-- Tries to print for ever where nobody listens.
-- must: cpu or deadline
-- with: { stdout = "null", timeout = 1500 }

while true do print(("x"):rep(10000)) end
