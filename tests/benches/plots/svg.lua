-- Charts as SVG: lines over axes, and bars. Light and dark; the same input gives the same bytes.

local svg = {}

local WIDTH, HEIGHT = 720, 420
local LEFT, RIGHT, TOP, BOTTOM = 78, 34, 74, 56

-- By name of the series: colour in light, in dark, and dashes. Told apart without colours, too.
local STYLES = {
  { class = "a", light = "#0067a3", dark = "#58b5f0", dash = "" },
  { class = "b", light = "#0067a3", dark = "#58b5f0", dash = "7 4" },
  { class = "c", light = "#c2410c", dark = "#f79a5a", dash = "2 3" },
  { class = "d", light = "#047857", dark = "#3fca98", dash = "10 3 2 3" },
  { class = "e", light = "#a3367f", dark = "#e89aca", dash = "5 2" },
  { class = "f", light = "#6b7280", dark = "#a3acb9", dash = "1 2" },
}

local function escape(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

local function sheet()
  local rules = {
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}",
    ".grid{stroke:#d0d7de;stroke-width:1}.line{fill:none;stroke-width:2.2}",
  }
  local dark = { "text{fill:#e6edf3}.grid{stroke:#3d444d}" }
  for _, style in ipairs(STYLES) do
    rules[#rules + 1] = (".%s{stroke:%s}.%s{fill:%s}"):format(style.class, style.light, style.class .. "f", style.light)
    dark[#dark + 1] = (".%s{stroke:%s}.%s{fill:%s}"):format(style.class, style.dark, style.class .. "f", style.dark)
  end
  return ("<style>%s@media(prefers-color-scheme:dark){%s}</style>"):format(table.concat(rules), table.concat(dark))
end

local function head(title, height)
  return {
    ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">'):format(
      WIDTH, height, escape(title)),
    ("<title>%s</title>"):format(escape(title)),
    sheet(),
    ('<text class="title" x="%d" y="22">%s</text>'):format(LEFT, escape(title)),
  }
end

-- From values to places between `from` and `to`; values beyond an end lie at the end.
local function scale(axis, from, to)
  local map = axis.log and function(value) return math.log(value) end or function(value) return value end
  local low, high = map(axis.min), map(axis.max)
  return function(value)
    local share = (map(math.max(axis.min, math.min(axis.max, value))) - low) / (high - low)
    return from + (to - from) * share
  end
end

-- A chart of lines.
--   title    what it shows
--   x, y     axes: label, min, max, log, ticks (a list of { value, text })
--   series   a list of { name, style (1 to 6), points (a list of { x, y }), marks (whether points are dots) }
function svg.lines(chart)
  local out = head(chart.title, HEIGHT)
  local function add(...) out[#out + 1] = string.format(...) end
  local bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
  local x, y = scale(chart.x, LEFT, right), scale(chart.y, bottom, TOP)
  for _, tick in ipairs(chart.x.ticks) do
    local at = x(tick[1])
    add('<path class="grid" d="M%.1f %dV%d"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>', at, TOP, bottom, at,
      bottom + 18, escape(tick[2]))
  end
  for _, tick in ipairs(chart.y.ticks) do
    local at = y(tick[1])
    add('<path class="grid" d="M%d %.1fH%d"/><text x="%d" y="%.1f" text-anchor="end">%s</text>', LEFT, at, right, LEFT - 7,
      at + 4.5, escape(tick[2]))
  end
  add('<text x="%d" y="%d" text-anchor="middle">%s</text>', (LEFT + right) // 2, HEIGHT - 14, escape(chart.x.label))
  add('<text transform="translate(14 %d) rotate(-90)" text-anchor="middle">%s</text>', (TOP + bottom) // 2,
    escape(chart.y.label))
  local place, row = LEFT, 0
  for _, series in ipairs(chart.series) do
    local style, path = STYLES[series.style], {}
    for i, point in ipairs(series.points) do
      local px, py = x(point[1]), y(point[2])
      path[i] = ("%s%.1f %.1f"):format(i == 1 and "M" or "L", px, py)
      if series.marks then add('<circle class="%sf" cx="%.1f" cy="%.1f" r="3.2"/>', style.class, px, py) end
    end
    add('<path class="line %s" stroke-dasharray="%s" d="%s"/>', style.class, style.dash, table.concat(path))
    local width = 46 + 7.5 * utf8.len(series.name)
    if place + width > right + 20 then place, row = LEFT, row + 1 end
    add('<path class="line %s" stroke-dasharray="%s" d="M%d %dh26"/><text x="%d" y="%d">%s</text>', style.class, style.dash,
      place // 1, 40 + row * 18, place // 1 + 31, 44 + row * 18, escape(series.name))
    place = place + width
  end
  add("</svg>\n")
  return table.concat(out, "\n")
end

-- A chart of bars to the right.
--   title, x   as above
--   bars       a list of { name, style, value, text }
function svg.bars(chart)
  local left, step = 190, 34
  local bottom = 40 + step * #chart.bars
  local out = head(chart.title, bottom + 50)
  local function add(...) out[#out + 1] = string.format(...) end
  local x = scale(chart.x, left, WIDTH - 90)
  for _, tick in ipairs(chart.x.ticks) do
    local at = x(tick[1])
    add('<path class="grid" d="M%.1f 36V%d"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>', at, bottom, at, bottom + 18,
      escape(tick[2]))
  end
  for i, bar in ipairs(chart.bars) do
    local top = 40 + step * (i - 1)
    add('<rect class="%sf" x="%d" y="%d" width="%.1f" height="22"/>', STYLES[bar.style].class, left, top,
      math.max(1, x(bar.value) - left))
    add('<text x="%d" y="%d" text-anchor="end">%s</text>', left - 8, top + 15, escape(bar.name))
    add('<text x="%.1f" y="%d">%s</text>', x(bar.value) + 6, top + 15, escape(bar.text))
  end
  add('<text x="%d" y="%d" text-anchor="middle">%s</text>', (left + WIDTH - 90) // 2, bottom + 40, escape(chart.x.label))
  add("</svg>\n")
  return table.concat(out, "\n")
end

return svg
