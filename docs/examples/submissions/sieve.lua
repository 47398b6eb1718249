local n = ...
local composite, count = {}, 0
for i = 2, n - 1 do
  if not composite[i] then
    count = count + 1
    for multiple = i * i, n - 1, i do composite[multiple] = true end
  end
end
return count
