-- Right, but tries every divisor of every number.
local n = ...
local count = 0
for i = 2, n - 1 do
  local divisors = 0
  for divisor = 1, i do
    if i % divisor == 0 then divisors = divisors + 1 end
  end
  if divisors == 2 then count = count + 1 end
end
return count
