-- Tries to call every function of llib with what it does not expect.
-- must: values contained
-- with: { cpu = 3000 }

local llib = require "llib"
local given = select(3, ...)
local odd = { nil, true, -1, 1e308, 0/0, "", ("x"):rep(100000), {}, print, function() error {} end, coroutine.create(function() end), given.buffer }
local function call(f, name)
  if name == "sleep" or name == "lock" then return end
  for i = 1, 12 do
    for j = 1, 12, 3 do pcall(f, odd[i], odd[j]) end
  end
end
for _, library in pairs(llib) do
  if type(library) == "table" then
    for name, f in pairs(library) do if type(f) == "function" then call(f, name) end end
  end
end
return "contained"
