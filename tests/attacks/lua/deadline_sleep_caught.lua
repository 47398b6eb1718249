-- Tries to sleep again whenever it is woken.
-- must: deadline
-- with: { timeout = 200 }

while true do pcall(require "llib".thread.sleep, 1e12) end
