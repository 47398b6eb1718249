-- Collects more primes than anybody asked for.
local primes = {}
for i = 1, math.huge do primes[i] = "prime number " .. i end
return #primes
