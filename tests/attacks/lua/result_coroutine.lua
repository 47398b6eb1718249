-- Tries to give back what cannot travel.
-- must: encode

return coroutine.create(function() end)
