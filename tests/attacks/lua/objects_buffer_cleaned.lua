-- Tries to clean handles, which are its own alone.
-- must: values contained

local given = select(3, ...)
given.buffer:clean()
pcall(function() given.channel:close() end)
pcall(function() given.mutex:free() end)
collectgarbage()
return "contained"
