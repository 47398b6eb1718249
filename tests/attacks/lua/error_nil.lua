-- Tries to end with an error that is nothing.
-- must: error ""

error(nil)
