-- LuaJIT: the time of a pool's job compared with the same call in the host, once both are compiled.
--
--   llib tests/benches/compiled.lua         (release build with --no-default-features --features luajit)
--
-- Both sides take turns. The functions have upvalues, so that each job receives them as new closures. CPU time leaves out what
-- other programs on the machine do meanwhile, and the hand-over.

local thread = require "llib".thread
local ffi = require "ffi"
ffi.cdef "typedef struct { long s, ns; } llib_bench_time; int clock_gettime(int, llib_bench_time *);"
local time = ffi.new "llib_bench_time"

-- Milliseconds of CLOCK_MONOTONIC.
local function now()
  ffi.C.clock_gettime(1, time)
  return tonumber(time.s) * 1e3 + tonumber(time.ns) / 1e6
end

local floor = math.floor
local function fannkuch(n)
  local p, q, s, sign, most, sum = {}, {}, {}, 1, 0, 0
  for i = 1, n do p[i] = i; q[i] = i; s[i] = i end
  repeat
    local q0 = p[1]
    if q0 ~= 1 then
      for i = 2, n do q[i] = p[i] end
      local flips = 1
      while true do
        local qq = q[q0]
        if qq == 1 then sum = sum + sign * flips if flips > most then most = flips end break end
        q[q0] = q0
        if q0 >= 4 then
          local i, j = 2, q0 - 1
          repeat local t = q[i]; q[i] = q[j]; q[j] = t; i = i + 1; j = j - 1 until i >= j
        end
        q0 = qq; flips = flips + 1
      end
    end
    if sign == 1 then
      local t = p[1]; p[1] = p[2]; p[2] = t; sign = -1
    else
      local t = p[2]; p[2] = p[3]; p[3] = t; sign = 1
      for i = 3, n do
        local sx = s[i]
        if sx ~= 1 then s[i] = sx - 1 break end
        if i == n then return sum, most end
        s[i] = i
        local t = p[1]; for j = 1, i do p[j] = p[j + 1] end p[i + 1] = t
      end
    end
  until false
end

local function ok(a, n, c)
  for i = 1, n - 1 do
    if a[i] == c or a[i] - i == c - n or a[i] + i == c + n then return false end
  end
  return true
end
local function place(a, n, N)
  if n > N then return 1 end
  local count = 0
  for c = 1, N do
    if ok(a, n, c) then a[n] = c count = count + place(a, n + 1, N) end
  end
  return count
end
local function queens(N) return place({}, 1, N) end

local function less(a, b) return a < b end
local function quick(t, lo, hi)
  while lo < hi do
    local pivot, i, j = t[floor((lo + hi) / 2)], lo, hi
    while i <= j do
      while less(t[i], pivot) do i = i + 1 end
      while less(pivot, t[j]) do j = j - 1 end
      if i <= j then t[i], t[j] = t[j], t[i] i = i + 1 j = j - 1 end
    end
    if j - lo < hi - i then quick(t, lo, j) lo = i else quick(t, i, hi) hi = j end
  end
end
local function sort(n)
  local t, x = {}, 42
  for i = 1, n do x = (x * 16807) % 2147483647 t[i] = x end
  quick(t, 1, n)
  for i = 2, n do assert(not less(t[i], t[i - 1])) end
  return t[1]
end
local function median(samples)
  table.sort(samples)
  return samples[math.ceil(#samples / 2)]
end

-- CPU time of a call, in milliseconds.
local function cpu(f, n)
  local begun = os.clock()
  f(n)
  return (os.clock() - begun) * 1e3
end

local pool = thread.pool { size = 1 }
local function job(n, f) pool:submit(f, n):await() end
local function call(n, f) f(n) end
local function wall(run, n, f)
  local begun = now()
  run(n, f)
  return now() - begun
end

for _, case in ipairs { { "fannkuch", fannkuch, 8 }, { "queens", queens, 9 }, { "sort", sort, 50000 } } do
  local name, f, n = case[1], case[2], case[3]
  for _ = 1, 20 do assert(f(n) == pool:submit(f, n):await()) end
  local a, b, c, d = {}, {}, {}, {}
  for i = 1, 101 do
    a[i], b[i] = wall(call, n, f), wall(job, n, f)
    c[i], d[i] = cpu(f, n), pool:submit(cpu, f, n):await()
  end
  a, b, c, d = median(a), median(b), median(c), median(d)
  print(("%-9s host %6.2f ms   job %6.2f ms   ratio %.2f   CPU time: host %6.2f ms   job %6.2f ms   ratio %.2f"):format(
    name, a, b, b / a, c, d, d / c))
end
pool:close()
