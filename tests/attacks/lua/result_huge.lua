-- Tries to give back more than a result may have.
-- must: encode
-- with: { result_limit = "1M" }

return ("x"):rep(4000000)
