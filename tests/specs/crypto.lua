-- llib.crypto: hashes, and hashes that other processes continue.

local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local llib = require "llib"
local crypto = llib.crypto

local NAMES = { "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s" }

-- The digests of "abc" as RFC 1321, FIPS 180-4 and RFC 7693 print them.
local ABC = {
  md5 = "900150983cd24fb0d6963f7d28e17f72",
  sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d",
  sha224 = "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
  sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  sha384 = "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
  sha512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    .. "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
  blake2b = "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
    .. "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
  blake2s = "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
}

T.spec("every algorithm gives its published digest, at once and in pieces", function()
  for _, name in ipairs(NAMES) do
    local new = T.type(crypto[name], "function", name)
    T.equal(new("abc"), ABC[name], name)
    T.equal(new():update("abc"):final(), ABC[name], name)
    T.equal(new():update("a"):update(""):update("bc"):final(), ABC[name], name)
    T.equal((new() + "a" + "b" + "c"):final(), ABC[name], name)
  end
end)

T.spec("there is nothing else in the table", function()
  local count = 0
  for name in pairs(crypto) do
    T.yes(ABC[name], name)
    count = count + 1
  end
  T.equal(count, #NAMES, "the number of algorithms")
end)

T.spec("update changes and returns the object", function()
  local h = crypto.md5()
  T.equal(h:update("abc"), h, "what update returns")
  T.equal(h:final(), ABC.md5)
end)

T.spec("plus makes a new object and leaves the old one", function()
  local h = crypto.sha256() + "a"
  local longer = h + "bc"
  T.no(rawequal(h, longer), "the same object")
  T.equal(h:final(), crypto.sha256("a"))
  T.equal(longer:final(), ABC.sha256)
  longer:update("d")
  T.equal(h:final(), crypto.sha256("a"))
end)

T.spec("final leaves the object usable", function()
  for _, name in ipairs(NAMES) do
    local h = crypto[name]() + "ab"
    T.equal(h:final(), h:final(), name)
    T.equal(h:update("c"):final(), ABC[name], name)
    T.equal(crypto[name]():final(), crypto[name](""), name)
  end
end)

T.spec("methods are functions that take the object first", function()
  local h = crypto.sha1()
  T.equal(h.final(h.update(h, "abc")), ABC.sha1)
  T.equal(h.final, crypto.md5().final, "the same function for every algorithm")
  T.equal(h.nothing, nil)
end)

T.spec("numbers count as strings", function()
  T.equal(crypto.md5(12), crypto.md5("12"))
  T.equal(crypto.md5(1.5), crypto.md5("1.5"))
  T.equal(crypto.md5():update(12):final(), crypto.md5("12"))
  T.equal((crypto.md5() + 1 + 2):final(), crypto.md5("12"))
end)

T.spec("any bytes are hashed", function()
  T.equal(crypto.md5("a\0b"), (crypto.md5() + "a" + "\0" + "b"):final())
  T.no(crypto.md5("a\0b") == crypto.md5("a"), "the end at a zero")
  T.equal(crypto.sha1("\255\0\254"), (crypto.sha1() + "\255" + "\0\254"):final())
end)

T.spec("an object tells its type and algorithm", function()
  for _, name in ipairs(NAMES) do
    local h = crypto[name]()
    T.equal(tostring(h), "llib.hash: " .. name)
    T.equal(type(h), "userdata")
    T.equal(getmetatable(h), "llib.hash", "the metatable")
  end
end)

T.spec("wrong arguments raise where they are", function()
  local h = crypto.md5()
  T.bad_argument(function() h:update({}) end, 1, "update", "string", "table")
  T.bad_argument(function() h:update() end, 1, "update", "string", "no value")
  T.bad_argument(function() h:update(nil) end, 1, "update", "string", "nil")
  T.bad_argument(function() h:update(h) end, 1, "update", "string", "llib.hash")
  -- Some versions call it __add.
  T.raises_here(function() return h + {} end, "bad argument #2 to '", "add' (string expected, got table)")
  T.raises(function() return "a" + h end, "bad argument #1 to '", "add' (llib.hash expected, got string)")
  T.raises_here(function() return true + h end, "bad argument #1 to '", "add' (llib.hash expected, got boolean)")
  T.raises_here(function() return h + crypto.md5() end, "bad argument #2 to '", "add' (string expected, got llib.hash)")
  T.bad_argument(function() h.update("a", "b") end, 1, "update", "llib.hash", "string")
  T.bad_argument(function() h.final({}) end, 1, "final", "llib.hash", "table")
  T.bad_argument(function() h.final(io.stdout) end, 1, "final", "llib.hash", "FILE*")
  T.bad_argument(function() h.final() end, 1, "final", "llib.hash", "no value")
  T.bad_argument(function() crypto.md5({}) end, 1, "md5", "string", "table")
  T.bad_argument(function() crypto.sha512(true) end, 1, "sha512", "string", "boolean")
  T.bad_argument(function() crypto.blake2s(nil) end, 1, "blake2s", "string", "nil")
  T.contains(select(2, pcall(crypto.sha256, {})), "bad argument #1 to 'sha256' (string expected, got table)")
  T.contains(select(2, pcall(h.final, 1)), "bad argument #1 to 'final' (llib.hash expected, got number)")
  T.equal(h:final(), crypto.md5(""), "the object after that")
end)

T.spec("a long string is hashed where it is", function()
  local text = ("0123456789abcdef"):rep(0x100000)
  local h = crypto.blake2b()
  collectgarbage()
  collectgarbage("stop")
  local before = collectgarbage("count")
  h:update(text)
  local more = collectgarbage("count") - before
  collectgarbage("restart")
  T.yes(more < 1, ("less than 1 KiB of memory more, got %.1f KiB"):format(more))
  T.equal(h:final(), crypto.blake2b(text))
end)

T.spec("a hash goes to a job mid-stream and comes back", function()
  local text = ("The quick brown fox. "):rep(20)
  for _, name in ipairs(NAMES) do
    for _, split in ipairs { 0, 1, 63, 64, 65, 127, 128, 129, 256, #text } do
      local h = crypto[name]() + text:sub(1, split)
      local back = T.values(function(_, _, h, rest) return h:update(rest) end,
        { args = { h, text:sub(split + 1) } })
      T.equal(tostring(back), "llib.hash: " .. name)
      T.equal(back:final(), crypto[name](text), name .. " split at " .. split)
      T.equal(back:update("more"):final(), crypto[name](text .. "more"), name)
      T.equal(h:final(), crypto[name](text:sub(1, split)), "the object that stayed here")
    end
  end
end)

T.spec("a hash travels as upvalue, as global, in tables and as key", function()
  local h = crypto.md5() + "a"
  counted = crypto.sha1() + "x"
  local digest, other, t = T.values(function(_, _, t)
    return (h + "bc"):final(), (counted + "y"):final(), { key = next(t), deep = { t.deep.h + "b" } }
  end, { args = { { [h] = true, deep = { h = h } } } })
  counted = nil
  T.equal(digest, ABC.md5)
  T.equal(other, crypto.sha1("xy"))
  T.equal(t.deep[1]:final(), crypto.md5("ab"))
end)

T.spec("the same object twice is one object there, and one again here", function()
  local h = crypto.sha384()
  local same, equal, a, b = T.values(function(_, _, x, y, t)
    x:update("abc")
    return rawequal(x, y) and rawequal(x, t[1]) and rawequal(x, h), t[2]:final() == x:final(), x, { y }
  end, { args = { h, h, { h, crypto.sha384() } } })
  T.equal(same, true, "the same object in the job")
  T.equal(equal, false, "another object with the same state is another one")
  T.yes(rawequal(a, b[1]), "the same object in the result")
  T.equal(a:final(), ABC.sha384)
end)

T.spec("what a job does to its copy is not seen here", function()
  local h = crypto.sha224() + "abc"
  T.values(function() h:update("changed") return true end)
  T.equal(h:final(), ABC.sha224)
end)

T.spec("jobs make hashes themselves, and the functions travel by name", function()
  local md5 = crypto.md5
  local at_once, object, own = T.values(function(_, _, crypto)
    return md5("abc"), crypto.sha1() + "abc", require "llib".crypto.sha256("abc")
  end, { args = { crypto } })
  T.equal(at_once, ABC.md5)
  T.equal(object:final(), ABC.sha1)
  T.equal(own, ABC.sha256)
end)

T.spec("a hash wanders through a job of a job", function()
  local back = T.values(function(_, _, h)
    local inner = require "llib".thread.async(function(_, _, h) return h + "c" end, { args = { h + "b" } })
    return (inner:await())
  end, { args = { crypto.sha512() + "a" } })
  T.equal(back:final(), ABC.sha512)
end)

T.spec("rej and error carry hashes", function()
  local err = T.failure(T.job(function(_, rej) rej(require "llib".crypto.md5() + "a") end), "rejected")
  T.equal((err.values[1] + "bc"):final(), ABC.md5)
  err = T.failure(T.job(function() error(require "llib".crypto.md5() + "ab") end), "error")
  T.equal((err.value + "c"):final(), ABC.md5)
end)

T.spec("many hashes come and go", function()
  local list = {}
  for i = 1, 20000 do list[i] = crypto[NAMES[i % #NAMES + 1]]() + i end
  local back = T.values(function(_, _, list)
    for i, h in ipairs(list) do list[i] = h + "!" end
    return list
  end, { args = { list } })
  T.equal(#back, #list)
  for i = 1, #back, 37 do T.equal(back[i]:final(), crypto[NAMES[i % #NAMES + 1]](i .. "!"), "number " .. i) end
end)

T.finish()
