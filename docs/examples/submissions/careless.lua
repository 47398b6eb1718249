-- Counts 1 as a prime.
local n = ...
local count = 0
for i = 1, n - 1 do
  local prime = true
  for divisor = 2, math.floor(i ^ 0.5) do
    if i % divisor == 0 then
      prime = false
      break
    end
  end
  if prime then count = count + 1 end
end
return count
