-- Tries to fill a channel that it was given.
-- must: values contained

local given = select(3, ...)
for _ = 1, 10000 do
  local ok = pcall(function() return assert(given.channel:push(("x"):rep(1000), 0)) end)
  if not ok then break end
end
return "contained"
