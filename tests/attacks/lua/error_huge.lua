-- Tries to end with a message of eight megabytes.
-- must: encode or error "" or memory
-- with: { result_limit = "1M", memory = "64M" }

error(("x"):rep(8000000), 0)
