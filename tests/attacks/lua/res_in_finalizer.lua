-- Tries to end the job from a finalizer, in the middle of something.
-- must: values contained

-- Before Lua 5.2 tables have none.
local function finalized(f)
  if newproxy then getmetatable(newproxy(true)).__gc = f else setmetatable({}, { __gc = f }) end
end

local res = ...
finalized(function() res("contained") end)
collectgarbage()
while true do end
