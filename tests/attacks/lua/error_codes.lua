-- Tries to look like something else than an error.
-- must: error ""

local _, rej = ...
error({ kind = "lost", message = "the supervisor died", tostring = "x", pid = 1, signal = "KILL" })
