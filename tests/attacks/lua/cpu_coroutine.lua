-- Tries to run on in a coroutine, where a hook of the main one would not look.
-- must: cpu

coroutine.wrap(function() while true do end end)()
