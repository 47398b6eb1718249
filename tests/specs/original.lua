-- The examples of the document that llib was written after, as they stand there, with something in place of their dots.
-- Where llib does another thing on purpose, docs/decisions tells: pages 30 to 32.

llib = require "llib"
local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal, same = T.spec, T.equal, T.same

spec("a buffer of a hash object: its method called with the value", function()
  buffer = llib.thread.buffer(llib.crypto.md5())
  equal(buffer.final(buffer:get()), "d41d8cd98f00b204e9800998ecf8427e")
  equal(buffer:get().final(buffer:get()), buffer.final(buffer:get()))
  -- That the colon does not work here was a limit of the first design.
  equal(buffer:final(), "d41d8cd98f00b204e9800998ecf8427e")
end)

spec("a buffer: get, set, mod, clean", function()
  buffer = llib.thread.buffer({2, 3, 4})
  same(buffer:get(), {2, 3, 4})
  buffer:set({3, 4, 5})
  same(buffer:get(), {3, 4, 5})
  buffer:mod(function(obj)
      for i=1,#obj do
          obj[i] = obj[i] + 1
      end
      return obj 
  end)
  same(buffer:get(), {4, 5, 6})
  equal(buffer[2], 5, "an index")
  T.raises(function() buffer[2] = 7 end, "read-only")
  buffer:clean()
  T.raises(function() return buffer:get() end, "has been cleaned")
end)

spec("mod with a function that returns 5 is the same as set(5)", function()
  buffer = llib.thread.buffer(1)
  buffer:mod(function(obj) return 5 end)
  equal(buffer:get(), 5)
  buffer:set(6)
  buffer:set(5)
  equal(buffer:get(), 5)
end)

spec("lock and unlock by number", function()
  llib.thread.lock(5)
  llib.thread.unlock(5)
end)

spec("a thread waits for a lock that its starter gives back, and keeps it until res", function()
  N = 17
  llib.thread.lock(5)
  local t = llib.thread.async(function(info)
      llib.thread.lock(5)
      res(N)
  end)
  T.failure(T.pack(t:await(20)), "timeout")
  llib.thread.unlock(5)
  equal(t:await(), 17)
  -- Decision 32: it is to be had again, and marked.
  T.results(T.pack(llib.thread.lock(5, 5000)), true, "abandoned")
  llib.thread.unlock(5)
end)

spec("async: res gives await its values, at once or within a time, which preserves the thread", function()
  local path = T.path()
  local thread = llib.thread.async(function(res, rej)
      local N = 0
      while not io.open(path) do N = N + 1 end
      res(N, "any", { "values" })
  end)
  local nothing, why = thread:await(20) -- value of N (above) or nil and preserves the thread
  equal(nothing, nil)
  equal(why.kind, "timeout")
  T.write(path, "")
  local n, any, values = thread:await() -- value of N (above)
  T.type(n, "integer", "N")
  equal(any, "any")
  same(values, { "values" })
  T.raises(function() thread:await() end, "has been cleaned")
end)

spec("clean frees a thread, whose values stay usable; kill ends it", function()
  local thread = llib.thread.async(function(res) res({ "kept" }) end)
  local value = thread:await()
  thread:clean()
  thread:clean()
  same(value, { "kept" })
  thread = llib.thread.async(function() while true do end end)
  thread:kill()
  equal(select(2, thread:await()).kind, "killed")
end)

spec("a collected thread that runs is detached: its job comes to its end", function()
  local done = llib.thread.channel()
  llib.thread.async(function() llib.thread.sleep(30) done:push("it went on") end)
  collectgarbage()
  collectgarbage()
  equal(done:pop(10000), "it went on")
end)

spec("userdata travel as bytes only where their type asks for it", function()
  T.raises(function() llib.thread.buffer(io.tmpfile()) end, "cannot send", "userdata")
  same(llib.thread.buffer({ llib.crypto.sha1() }):get()[1]:final(), llib.crypto.sha1(""))
end)

T.finish()
