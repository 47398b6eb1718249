-- The Mandelbrot set, computed by a process for each core and saved as a picture.
--
--   lua5.4 docs/examples/mandelbrot.lua [WIDTH [FILE]]      640 pixels and mandelbrot.ppm unless given

local thread = require("llib").thread

local width = tonumber(arg[1]) or 640
local height = math.floor(width * 3 / 4)
local path = arg[2] or "mandelbrot.ppm"
local tile_height = 8
local steps = 100

--- How many steps the point takes to escape; `steps` if it does not.
local function escape(re, im)
  local x, y = 0.0, 0.0
  for step = 0, steps - 1 do
    local xx, yy = x * x, y * y
    if xx + yy > 4 then return step end
    x, y = xx - yy + re, 2 * x * y + im
  end
  return steps
end

--- Three bytes: red, green, blue.
local function colour(step)
  if step == steps then return "\0\0\0" end
  return string.char(step * 9 % 256, step * 5 % 256, (60 + step * 3) % 256)
end

--- The pixels of the tile whose first row is `top`, as one string.
local function tile(top)
  local pixels = {}
  for row = top, math.min(top + tile_height, height) - 1 do
    for column = 0, width - 1 do
      local re = -2.2 + 3.2 * column / width
      local im = -1.2 + 2.4 * row / height
      pixels[#pixels + 1] = colour(escape(re, im))
    end
  end
  return table.concat(pixels)
end

-- Shared by all processes: which row comes next, and a queue of finished tiles. Nobody gets the same row twice,
-- as `mod` is atomic.
local next_row = thread.buffer(0)
local finished = thread.channel(16)

local function paint()
  while true do
    local top = next_row:mod(function(row) return row + tile_height end) - tile_height
    if top >= height then return end
    finished:push { top = top, pixels = tile(top) }
  end
end

local painters = {}
for i = 1, thread.cores() do painters[i] = thread.async(paint, { name = "painter " .. i }) end

-- Tiles come in any order; their place in the picture is known.
local tiles = {}
for _ = 1, math.ceil(height / tile_height) do
  local done = assert(finished:pop(60000))
  tiles[math.floor(done.top / tile_height) + 1] = done.pixels
end
for _, painter in ipairs(painters) do painter:await() end
local picture = table.concat(tiles)

-- A look at it: one pixel of many as a character. What never escapes is black, and @ here.
local shades = " .:-=+*#%"
for row = 0, 19 do
  local line = {}
  for column = 0, 63 do
    local pixel = (math.floor(row * height / 20) * width + math.floor(column * width / 64)) * 3
    local red, green, blue = picture:byte(pixel + 1, pixel + 3)
    local shade = math.floor(red / 9) % #shades + 1
    line[#line + 1] = red + green + blue == 0 and "@" or shades:sub(shade, shade)
  end
  print((table.concat(line):gsub("%s+$", "")))
end

local file = assert(io.open(path, "wb"))
file:write(("P6\n%d %d\n255\n"):format(width, height), picture)
file:close()
print(("%s: %d × %d pixels by %d processes"):format(path, width, height, #painters))
