-- Tries to fill memory with what it complains of.
-- must: cpu or deadline
-- Needs Lua 5.4.
-- with: { stderr = "capture", timeout = 1500 }

warn("@on")
while true do warn(("x"):rep(10000)) end
