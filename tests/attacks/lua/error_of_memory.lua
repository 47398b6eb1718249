-- Tries to pretend that memory had run out.
-- must: error "not enough memory"

error("not enough memory", 0)
