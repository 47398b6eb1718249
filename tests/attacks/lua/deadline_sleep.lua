-- Tries to sleep for ever.
-- must: deadline
-- with: { timeout = 200 }

require "llib".thread.sleep(1e12)
