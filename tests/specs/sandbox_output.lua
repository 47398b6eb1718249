-- What a sandboxed job prints: it has none of the host's open files, and all of it arrives where the host's own does.

local T = dofile((arg[0]:match("^(.*/)") or "./") .. "support.lua")
local spec, equal = T.spec, T.equal

-- A program that runs these jobs one after the other, with what it prints.
local head = [[
  local thread = require "llib".thread
  local function run(source, sandbox, options)
    options = options or {}
    options.sandbox = sandbox
    return thread.async(source, options):result()
  end
]]

local files = '{ read = { "/usr" } }'

spec("what a job prints is there before its result is, also where it fails", function()
  local output, status = T.script(head .. [[
    io.stdout:setvbuf("no")
    for _, sandbox in ipairs { true, { env = { "HOME" } } } do
      for i = 1, 20 do
        print(run("print(('x'):rep(3000)) print('job') return 'host'", sandbox))
        print(select(2, run("print('job') error('host', 0)", sandbox)).message)
      end
    end
  ]])
  equal(status, 0, output)
  local expected = (("x"):rep(3000) .. "\njob\ntrue\thost\njob\nhost\n"):rep(40)
  T.yes(output == expected, "the order of what job and host print")
end)

spec("both streams keep their order where they lead to one place", function()
  local output, status = T.script(head .. ([[
    local source = "for i = 1, 200 do io.stdout:write('out ', i, '\\n') io.stdout:flush() io.stderr:write('err ', i, '\\n') end"
    assert(run(source, %s))
  ]]):format(files))
  equal(status, 0, output)
  local expected = {}
  for i = 1, 200 do expected[#expected + 1] = "out " .. i .. "\nerr " .. i .. "\n" end
  T.yes(output == table.concat(expected), "the order of the two streams")
end)

spec("streams that lead to two places stay apart, and one that leads nowhere says nothing", function()
  local out, err = T.path(), T.path()
  local script, interpreter = T.path(), T.shell("readlink /proc/$PPID/exe")
  T.write(script, head .. ([[
    assert(run("io.stdout:write('out') io.stderr:write('err')", %s))
    assert(run("io.stdout:write('none') io.stderr:write('err')", %s, { stdout = "null" }))
  ]]):format(files, files))
  T.shell(("'%s' '%s' >'%s' 2>'%s'; echo"):format(interpreter, script, out, err))
  equal(T.read(out), "out")
  equal(T.read(err), "errerr")
end)

spec("a job that prints to a place which is full waits, and nobody else does", function()
  local script, interpreter, gate = T.path(), T.shell("readlink /proc/$PPID/exe"), T.path()
  T.shell("mkfifo '" .. gate .. "'; echo")
  T.write(script, head .. ([[
    local printer = thread.async("for i = 1, 20000 do print(('x'):rep(99)) end return 'printed'", { sandbox = true, timeout = 60000 })
    for _ = 1, 3 do
      -- The supervisor that passes on what is printed ends this one in time, and starts others.
      local fine, failure = run("while true do end", true, { timeout = 50, stdout = "null" })
      assert(failure.kind == "deadline", failure.kind)
    end
    assert(printer:status() == "running")
    io.open("%s", "w"):close()
    local fine, value = printer:result(30000)
    assert(fine and value == "printed", value)
  ]]):format(gate))
  local count = T.shell(("'%s' '%s' | { read _ <'%s'; wc -c; }"):format(interpreter, script, gate))
  equal(tonumber(count), 2000000, "the bytes that arrive")
end)

spec("a job that ended at a place which is full keeps nobody busy", function()
  local script, interpreter, gate, result = T.path(), T.shell("readlink /proc/$PPID/exe"), T.path(), T.path()
  T.shell("mkfifo '" .. gate .. "'; echo")
  T.write(script, head .. ([[
    local _, failure = run("while true do print(('x'):rep(99)) end", true, { timeout = 300 })
    local zygote, asleep = "/proc/" .. thread.stats().zygote .. "/stat", 0
    for _ = 1, 500 do
      thread.sleep(5)
      local file = io.open(zygote)
      asleep = file:read("*a"):match("^.*%%) S") and asleep + 1 or 0
      file:close()
      if asleep == 20 then break end
    end
    local file = io.open("%s", "w")
    file:write(failure.kind, " ", asleep)
    file:close()
    io.open("%s", "w"):close()
  ]]):format(result, gate))
  T.shell(("'%s' '%s' | { read _ <'%s'; wc -c; }"):format(interpreter, script, gate))
  equal(T.read(result), "deadline 20", "how the job ended, and how often in a row the supervisor was asleep")
end)

spec("a job that prints where nobody reads any more goes on, and so does everything else", function()
  local script, interpreter, result = T.path(), T.shell("readlink /proc/$PPID/exe"), T.path()
  T.write(script, head .. ([[
    local fine, value = run("for i = 1, 5000 do print(('x'):rep(99)) end return 'printed'", true)
    local second = { run("return 'second'", true) }
    local file = io.open("%s", "w")
    file:write(tostring(value), " ", tostring(second[2]))
    file:close()
  ]]):format(result))
  T.shell(("'%s' '%s' | head -c 10; echo"):format(interpreter, script))
  T.wait(function() return T.read(result) == "printed second" end, "the host's last word")
end)

T.finish()
