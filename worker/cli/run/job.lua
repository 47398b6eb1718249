-- Starts a script as a job. Called with the module, returns the function that the command calls.
local llib = ...

-- What the job runs. The text is compiled there, within its limits and walls.
local function main(res, _, text, chunk, keep, given, ...)
  -- Not `arg` alone, which is a local variable of any such function in Lua 5.1.
  _G.arg = { [0] = given, ... }
  local script, message = (loadstring or load)(text, chunk, "t") -- the first is Lua 5.1's
  text = nil
  if not script then error(message, 0) end
  -- Tracebacks stay as they are in stock Lua: what is called has no name here, and it is no tail call.
  local function compiled() return script end
  if keep then res(compiled()(...)) end
  compiled()(...)
end

return function(options)
  return pcall(llib.thread.async, main, options)
end
