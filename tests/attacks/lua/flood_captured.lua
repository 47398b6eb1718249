-- Tries to fill memory with what it prints.
-- must: cpu or deadline
-- with: { stdout = "capture", timeout = 1500 }

while true do print(("x"):rep(10000)) end
