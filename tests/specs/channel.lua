-- thread.channel: a queue that several processes share.

local llib = require "llib"
local thread = llib.thread
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal, same = T.spec, T.equal, T.same
local pack, unpack = T.pack, T.unpack

-- A job that has said on a channel that it is about to do `body`.
local function begun(body)
  local ready = thread.channel()
  local task = thread.async(function()
    ready:push(true)
    return body()
  end)
  equal(ready:pop(5000), true, "the job has begun")
  return task
end

local function timed_out(packed, ms, text)
  local err = T.failure(packed, "timeout")
  T.contains(err.message, text)
  T.contains(err.message, "within " .. ms .. " ms")
end

-- ---------------------------------------------------------------- push, pop, length

spec("what goes in first comes out first", function()
  local c = thread.channel()
  for i = 1, 1000 do T.results(pack(c:push(i)), true) end
  equal(#c, 1000)
  for i = 1, 1000 do T.results(pack(c:pop()), i) end
  equal(#c, 0)
end)

spec("an item goes from process to process", function()
  local there, back = thread.channel(), thread.channel()
  local task = thread.async(function()
    while true do
      local n = there:pop()
      if n == "end" then return "ended" end
      back:push(n + 1)
    end
  end)
  for i = 1, 100 do
    there:push(i)
    equal(back:pop(5000), i + 1)
  end
  there:push("end")
  equal(task:await(5000), "ended")
end)

spec("a pop waits for a push, and a push to a full channel for a pop", function()
  local c = thread.channel(1)
  local task = begun(function() return c:pop() end)
  thread.sleep(30)
  c:push("late")
  equal(task:await(5000), "late")
  c:push(1)
  task = begun(function() return c:push(2) end)
  timed_out(pack(c:push(3, 0)), 0, "the channel has had no room")
  equal(c:pop(), 1)
  equal(task:await(5000), true)
  equal(c:pop(), 2)
end)

spec("a channel without a capacity takes everything", function()
  local c = thread.channel(nil)
  for i = 1, 50000 do c:push(i, 0) end
  equal(#c, 50000)
  local sum = T.values(function()
    local sum = 0
    for _ = 1, 50000 do sum = sum + c:pop(0) end
    return sum
  end)
  equal(sum, 1250025000)
  equal(#c, 0)
end)

spec("a capacity is how many items stand there at most", function()
  for _, capacity in ipairs { 1, 2, 7, 100, 3.0 } do
    local c = thread.channel(capacity)
    for i = 1, capacity do equal(c:push(i, 0), true) end
    timed_out(pack(c:push("more", 0)), 0, "the channel has had no room")
    equal(#c, T.integer(capacity))
    equal(c:pop(0), 1)
    equal(c:push("more", 0), true)
    timed_out(pack(c:push("still more", 5)), 5, "the channel has had no room")
  end
  equal(#thread.channel(T.largest), 0)
end)

spec("times that run out are failures of kind timeout", function()
  local c = thread.channel(1)
  timed_out(pack(c:pop(0)), 0, "the channel has had no item")
  timed_out(pack(c:pop(2.5)), 2.5, "the channel has had no item")
  local began = T.now()
  timed_out(pack(c:pop(150)), 150, "the channel has had no item")
  T.yes(T.now() - began >= 0.13, "pop waited that long")
  c:push(1)
  began = T.now()
  timed_out(pack(c:push(2, 150)), 150, "the channel has had no room")
  T.yes(T.now() - began >= 0.13, "push waited that long")
  equal(c:pop(math.huge), 1)
  equal(#c, 0)
  timed_out(T.job(function() return c:pop(1) end), 1, "the channel has had no item")
end)

-- ---------------------------------------------------------------- close

spec("after close nothing goes in, and what stands there comes out", function()
  local c = thread.channel()
  c:push(1)
  c:push(2)
  equal(select("#", c:close()), 0)
  T.results(pack(c:push(3)), nil, "closed")
  T.results(pack(c:push(3, 0)), nil, "closed")
  equal(#c, 2)
  equal(c:pop(), 1)
  equal(T.values(function() return c:pop() end), 2)
  for _ = 1, 2 do
    T.results(pack(c:pop()), nil, "closed")
    T.results(pack(c:pop(0)), nil, "closed")
  end
  T.results(T.job(function() return c:pop() end), nil, "closed")
  c:close()
  equal(#c, 0)
end)

spec("close by any process ends the waiting of all who pop or push", function()
  local empty, full = thread.channel(), thread.channel(1)
  full:push("one")
  local tasks = {}
  for i = 1, 3 do
    tasks[i] = begun(function() return empty:pop() end)
    tasks[i + 3] = begun(function() return full:push("two") end)
  end
  thread.sleep(30)
  T.values(function() empty:close() full:close() return true end)
  for _, task in ipairs(tasks) do T.results(pack(task:await(5000)), nil, "closed") end
  equal(full:pop(), "one")
  T.results(pack(full:pop()), nil, "closed")
end)

spec("iteration takes items until the channel is closed and drained", function()
  local c = thread.channel()
  local task = thread.async(function()
    for i = 1, 100 do c:push(i) end
    c:close()
  end)
  local got = 0
  for v in c:iter() do
    got = got + 1
    equal(v, got)
  end
  equal(got, 100)
  task:await()
  for _ in c:iter() do T.fail("a drained channel has no items") end
end)

spec("several iterations share the items", function()
  local c, tasks = thread.channel(), {}
  for i = 1, 3 do
    tasks[i] = thread.async(function()
      local got = {}
      for v in c:iter() do got[#got + 1] = v end
      return got
    end)
  end
  for i = 1, 300 do c:push(i) end
  c:close()
  local all, count = {}, 0
  for i = 1, 3 do
    local last = 0
    for _, v in ipairs(tasks[i]:await(10000)) do
      T.yes(v > last, "each gets them in order")
      last, all[v], count = v, true, count + 1
    end
  end
  equal(count, 300)
  equal(#all, 300)
end)

spec("false is an item like any other, also in an iteration", function()
  local c = thread.channel()
  c:push(false)
  T.results(pack(c:pop()), false)
  for _, v in ipairs { true, false, 0, "" } do c:push(v) end
  c:close()
  local got = {}
  for v in c:iter() do got[#got + 1] = v end
  same(got, { true, false, 0, "" })
end)

-- ---------------------------------------------------------------- many to many

spec("many to many: each item comes out exactly once, those of one sender in order", function()
  for _, capacity in ipairs { 0, 1, 8 } do
    local c = thread.channel(capacity > 0 and capacity or nil)
    local senders, receivers, each = {}, {}, 300
    for s = 1, 3 do
      senders[s] = thread.async(function()
        for i = 1, each do
          local ok, err = c:push({ s, i, ("x"):rep(i * 7 % 100) }, 20000)
          if not ok then error(tostring(err)) end
        end
      end)
    end
    for r = 1, 3 do
      receivers[r] = thread.async(function()
        local got = {}
        for item in c:iter() do got[#got + 1] = item end
        return got
      end)
    end
    for s = 1, 3 do T.results(pack(senders[s]:await(30000))) end
    c:close()
    local seen, count = { {}, {}, {} }, 0
    for r = 1, 3 do
      local last = { 0, 0, 0 }
      for _, item in ipairs(receivers[r]:await(30000)) do
        local s, i, text = unpack(item)
        T.no(seen[s][i], "an item twice")
        T.yes(i > last[s], "the order of one sender's items")
        equal(#text, i * 7 % 100)
        seen[s][i], last[s], count = true, i, count + 1
      end
    end
    equal(count, 3 * each, "the number of items with capacity " .. capacity)
  end
end)

spec("a process killed while it waits blocks nobody", function()
  local c, full = thread.channel(), thread.channel(1)
  full:push("one")
  for _ = 1, 5 do
    local popper, pusher = begun(function() return c:pop() end), begun(function() return full:push("dead") end)
    thread.sleep(5)
    popper:kill()
    pusher:kill()
  end
  local popper = begun(function() return c:pop() end)
  c:push("item")
  equal(popper:await(5000), "item")
  local pusher = begun(function() return full:push("two") end)
  equal(full:pop(), "one")
  equal(pusher:await(5000), true)
  equal(full:pop(), "two")
  equal(#full, 0)
end)

spec("what a process pushed before it died is there", function()
  local c = thread.channel()
  T.failure(T.job(function()
    for i = 1, 10 do c:push(i) end
    os.execute("kill -KILL $PPID")
  end), "signal")
  for i = 1, 10 do equal(c:pop(0), i) end
end)

spec("task:close ends a job that waits in push or pop", function()
  local empty, full = thread.channel(), thread.channel(1)
  full:push(1)
  for _, wait in ipairs {
    function() empty:pop() end, function() full:push(2) end, function() for _ in empty:iter() do end end,
    function() empty:pop(600000) end,
  } do
    local task = begun(wait)
    task:close()
    T.failure(pack(task:await(5000)), "closed")
  end
  equal(#full, 1)
end)

-- ---------------------------------------------------------------- items

spec("items are values of every kind", function()
  local c = thread.channel()
  local items = { true, 0, -0.0, 1 / 0, 0 / 0, -T.largest, "", "a\0b", ("x"):rep(10000) }
  for _, item in ipairs(items) do c:push(item) end
  for _, item in ipairs(items) do equal(c:pop(0), item) end
  local shared = {}
  local t = setmetatable({ shared, shared }, { __index = { inherited = true } })
  t.self = t
  c:push(t)
  local copy = c:pop()
  T.yes(rawequal(copy.self, copy) and rawequal(copy[1], copy[2]), "the shape of the table")
  equal(copy.inherited, true)
  T.no(rawequal(copy, t), "the same table")
  local n = 0
  c:push({ inc = function() n = n + 1 return n end, look = function() return n end, upper = string.upper })
  local f = c:pop()
  equal(f.inc() + f.inc() + f.look(), 5)
  equal(f.upper, string.upper)
  c:push(llib.crypto.md5() + "a")
  equal((c:pop() + "bc"):final(), llib.crypto.md5("abc"))
end)

spec("items of any size, from nothing to 16 MiB", function()
  local c = thread.channel()
  local sizes = { 0, 1, 7, 8, 700, 768, 4096, 4097, 65536, 1048576, 16777216, 3, 5242880, 0, 100000 }
  local function fill(size) return (("0123456789abcdef"):rep(math.floor(size / 16) + 1)):sub(1, size) end
  for _ = 1, 2 do
    for _, size in ipairs(sizes) do
      c:push(fill(size))
      T.yes(c:pop(0) == fill(size), "the item of " .. size .. " bytes alone")
    end
    for _, size in ipairs(sizes) do c:push(fill(size)) end
    for _, size in ipairs(sizes) do T.yes(c:pop(0) == fill(size), "the item of " .. size .. " bytes in a row") end
  end
end)

spec("items much larger than what stood there before go from process to process", function()
  local c = thread.channel(2)
  local task = thread.async(function()
    for i = 1, 30 do c:push(("y"):rep(i % 3 == 0 and 1048576 or i)) end
    c:close()
  end)
  local i = 0
  for item in c:iter() do
    i = i + 1
    T.yes(item == ("y"):rep(i % 3 == 0 and 1048576 or i), "item " .. i)
  end
  equal(i, 30)
  T.results(pack(task:await(5000)))
end)

spec("a channel that wraps around its ring a thousand times loses nothing", function()
  local c, pushed, popped = thread.channel(), 0, 0
  for round = 1, 3000 do
    for _ = 1, round % 5 + 1 do
      pushed = pushed + 1
      c:push(("z"):rep(pushed * 31 % 200) .. pushed)
    end
    while #c > round % 7 do
      popped = popped + 1
      equal(c:pop(0), ("z"):rep(popped * 31 % 200) .. popped)
    end
  end
  equal(#c, pushed - popped)
end)

spec("handles are items: buffers, mutexes, channels, and the channel itself", function()
  local c = thread.channel()
  local b, m, reply = thread.buffer("shared"), thread.mutex(), thread.channel()
  c:push({ b = b, m = m, reply = reply, c = c })
  T.values(function()
    local item = c:pop()
    item.b:set("changed")
    item.reply:push(item.m:trylock())
    item.c:push("through itself")
    return true
  end)
  equal(b:get(), "changed")
  equal(reply:pop(0), true)
  equal(c:pop(0), "through itself")
end)

spec("an item keeps what it has handles of, and lets it go with the channel", function()
  local function segments()
    collectgarbage()
    collectgarbage()
    local tree = T.read("/proc/self/maps"):match("llib%-tree%-%x+")
    return tonumber(T.shell("ls /dev/shm | grep -c '^" .. tree .. "[.]'"))
  end
  -- Processes of the jobs before may still be on their way out.
  local before, since = segments(), T.now()
  while T.now() - since < 0.1 do
    thread.sleep(5)
    local now = segments()
    if now ~= before then before, since = now, T.now() end
  end
  local c = thread.channel()
  for i = 1, 20 do c:push(thread.buffer(i)) end
  equal(segments(), before + 21)
  for i = 1, 10 do equal(c:pop():get(), i) end
  equal(segments(), before + 11)
  c = nil
  T.wait(function() return segments() == before end, "all objects are gone")
end)

spec("a channel outlives the process that made it", function()
  local c = T.values(function()
    local c = thread.channel(3)
    c:push("from one that ended")
    return c
  end)
  equal(c:pop(0), "from one that ended")
  for i = 1, 3 do c:push(i) end
  timed_out(pack(c:push(4, 0)), 0, "the channel has had no room")
end)

spec("nil is no item", function()
  local c = thread.channel()
  T.bad_argument(function() c:push(nil) end, 1, "push", "value", "nil")
  T.bad_argument(function() c:push() end, 1, "push", "value", "no value")
  equal(#c, 0)
end)

spec("an item that cannot travel raises, and the channel stays as it is", function()
  local c = thread.channel(1)
  T.raises_here(function() c:push({ co = coroutine.create(function() end) }) end,
    "cannot send field 'co': a coroutine cannot leave its Lua state")
  equal(#c, 0)
  equal(c:push("fine", 0), true)
  T.raises_here(function() c:push(coroutine.create(function() end), 0) end, "cannot send the value: a coroutine cannot leave its Lua state")
  equal(c:pop(), "fine")
end)

-- ---------------------------------------------------------------- use

spec("two handles of one channel are one channel", function()
  local c = thread.channel()
  local other = thread.buffer({ c }):get()[1]
  equal(c == other, true)
  equal(c == thread.channel(), false)
  c:push(1)
  equal(other:pop(), 1)
  equal(tostring(c), tostring(other))
  T.matches(tostring(c), "^llib%.channel: %x+$")
  equal(getmetatable(c), "llib.channel")
end)

spec("channels work in coroutines and finalizers", function()
  local c = thread.channel()
  local co = coroutine.wrap(function() for v in c:iter() do coroutine.yield(v) end return "end" end)
  c:push(1)
  c:push(2)
  c:close()
  equal(co(), 1) equal(co(), 2) equal(co(), "end")
  local from_gc = thread.channel()
  for i = 1, 100 do
    T.finalizer(function() from_gc:push(i) from_gc:push(-from_gc:pop()) end)
    from_gc:push(0)
    from_gc:pop()
  end
  collectgarbage()
  T.yes(#from_gc >= 99, "the finalizers ran")
end)

spec("wrong use raises where it is", function()
  local c = thread.channel()
  T.bad_argument(function() thread.channel("1") end, 1, "channel", "integer", "string")
  T.bad_argument(function() thread.channel({}) end, 1, "channel", "integer", "table")
  T.raises_here(function() thread.channel(1.5) end, "bad argument #1 to 'channel' (number has no integer representation)")
  T.raises_here(function() thread.channel(0) end, "bad argument #1 to 'channel' (capacity of one or more expected, got 0)")
  T.raises_here(function() thread.channel(-3) end, "bad argument #1 to 'channel' (capacity of one or more expected, got -3)")
  T.bad_argument(function() c:push(1, "x") end, 2, "push", "number of milliseconds", "string")
  T.raises_here(function() c:push(1, -1) end, "bad argument #2 to 'push' (milliseconds expected")
  T.bad_argument(function() c:pop({}) end, 1, "pop", "number of milliseconds", "table")
  T.raises_here(function() c:pop(0 / 0) end, "bad argument #1 to 'pop' (milliseconds expected")
  T.bad_argument(function() c.pop() end, 1, "pop", "llib.channel", "no value")
  T.bad_argument(function() c.push(5, 5) end, 1, "push", "llib.channel", "number")
  T.bad_argument(function() c.close(thread.mutex()) end, 1, "close", "llib.channel", "llib.mutex")
  T.bad_argument(function() c.iter(io.stdout) end, 1, "iter", "llib.channel", "FILE*")
  T.raises(function() c.field = 1 end, "attempt to index")
  equal(c.nothing, nil)
  equal(#c, 0)
end)

spec("a channel of one program is none of another's", function()
  local c = thread.channel()
  c:push(1)
  local output, code = T.script([[
    local thread = require "llib".thread
    local c = thread.channel()
    thread.async(function() c:push("own") end):await()
    print(c:pop(1000), #c)
  ]])
  equal(code, 0)
  equal(output, "own\t0\n")
  equal(c:pop(0), 1)
end)

T.finish()
