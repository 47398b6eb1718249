-- Reads JSON as the benchmarks write it: objects, lists, strings, numbers, true, false.

local value

local function skip(text, at) return text:find("[^ \t\r\n]", at) or #text + 1 end

local function fail(text, at, expected)
  error(("JSON, byte %d: %s expected, got '%s'"):format(at, expected, text:sub(at, at + 10)), 0)
end

local function string_at(text, at)
  local parts, from = {}, at + 1
  while true do
    local stop = text:find('["\\]', from) or fail(text, at, "end of the string")
    parts[#parts + 1] = text:sub(from, stop - 1)
    if text:sub(stop, stop) == '"' then return table.concat(parts), stop + 1 end
    local code = text:match("^u(%x%x%x%x)", stop + 1)
    parts[#parts + 1] = code and utf8.char(tonumber(code, 16)) or text:sub(stop + 1, stop + 1)
    from = stop + (code and 6 or 2)
  end
end

-- Items up to the closing bracket; `item` reads one at a place and returns the next place.
local function sequence(text, at, closing, item)
  at = skip(text, at + 1)
  while text:sub(at, at) ~= closing do
    at = skip(text, item(at))
    local sign = text:sub(at, at)
    if sign == "," then at = skip(text, at + 1) elseif sign ~= closing then fail(text, at, closing) end
  end
  return at + 1
end

local WORDS = { ["true"] = true, ["false"] = false }

function value(text, at)
  at = skip(text, at)
  local sign = text:sub(at, at)
  if sign == '"' then return string_at(text, at) end
  local result = {}
  if sign == "{" then
    return result, sequence(text, at, "}", function(place)
      local key, after = string_at(text, place)
      after = skip(text, after)
      if text:sub(after, after) ~= ":" then fail(text, after, ":") end
      result[key], after = value(text, after + 1)
      return after
    end)
  elseif sign == "[" then
    return result, sequence(text, at, "]", function(place)
      local after
      result[#result + 1], after = value(text, place)
      return after
    end)
  end
  local word = text:match("^[%w.+-]+", at) or fail(text, at, "a value")
  if WORDS[word] ~= nil then return WORDS[word], at + #word end
  return tonumber(word) or fail(text, at, "a number"), at + #word
end

-- The value of a text.
return function(text) return (value(text, 1)) end
