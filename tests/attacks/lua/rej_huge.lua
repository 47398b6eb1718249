-- Tries to end with a reason that is longer than a result may be.
-- must: encode
-- with: { result_limit = "1M" }

local _, rej = ...
rej(("x"):rep(4000000))
