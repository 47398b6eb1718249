-- Tries to have libraries forgotten that are needed when the job ends.
-- must: values contained

local package, globals, pairs = package, _G, pairs
for name in pairs(package.loaded) do package.loaded[name] = nil end
package.loaded = nil
package.preload = nil
for name in pairs(globals) do globals[name] = nil end
return "contained"
