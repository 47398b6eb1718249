-- Tries to end the job from a finalizer, in the middle of something.
-- must: values contained

local res = ...
setmetatable({}, { __gc = function() res("contained") end })
collectgarbage()
while true do end
