-- A program that survives its plugins: a text goes through each of them, and one that fails is switched off.
--
--   lua5.4 docs/examples/plugins.lua
--
-- Plugins are text, as if read from files that somebody else wrote. Each call is a job: a process with limits.

local thread = require("llib").thread

local plugins = {
  { name = "trim", source = [[
      local _, _, text = ...
      return (text:gsub("^%s+", ""):gsub("%s+$", "")) ]] },

  -- A defect in C code takes the process with it: here in place of a faulty C module.
  { name = "spell checker", source = [[
      local res = ...
      os.execute("kill -SEGV " .. res.pid) ]] },

  { name = "translator", source = [[ while true do end ]] },

  { name = "thesaurus", source = [[
      local words = {}
      while true do words[#words + 1] = ("word "):rep(1000) .. #words end ]] },

  { name = "emoji", source = [[
      local _, _, text = ...
      return text:gsub(":heart:", smileys.heart) ]] },

  { name = "capitals", source = [[
      local _, _, text = ...
      return (text:gsub("^%l", string.upper)) ]] },
}

-- What a plugin may use. `globals` keeps this program's own variables from it.
local limits = { cpu = 200, memory = "16M", timeout = 20000, stdout = "null", globals = "none" }

--- The text as the plugin makes it, or nil and why there is none.
local function call(plugin, text)
  local options = { name = plugin.name, args = { text } }
  for key, value in pairs(limits) do options[key] = value end
  local result, problem = thread.async(plugin.source, options):await()
  if problem and result == nil then return nil, problem end
  if type(result) ~= "string" then return nil, "its result is no text" end
  return result
end

--- Sends a text through all plugins that are still on.
local function process(text)
  for _, plugin in ipairs(plugins) do
    if not plugin.off then
      local result, problem = call(plugin, text)
      if result then
        text = result
        print(("  %-14s ok"):format(plugin.name))
      else
        plugin.off = true
        print(("  %-14s switched off: %s"):format(plugin.name, tostring(problem)))
      end
    end
  end
  return text
end

for _, text in ipairs { "   this program lives on. ", " and it is :heart: quick." } do
  print(("%q"):format(text))
  print(("  → %q\n"):format(process(text)))
end
