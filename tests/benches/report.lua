-- Statistics of samples, and the table of what was measured against what.

local Report = {}
Report.__index = Report

local SCALE = { us = 1e3, ms = 1e6, KiB = 1, MiB = 1 }

-- The sample below which a share of all samples lies, by nearest rank.
function Report.quantile(sorted, share)
  return sorted[math.max(1, math.ceil(share * #sorted))]
end

-- Minimum to maximum of samples, in the unit given. Times are measured in nanoseconds.
function Report.describe(samples, unit)
  local sorted = table.move(samples, 1, #samples, 1, {})
  table.sort(sorted)
  local function at(share) return Report.quantile(sorted, share) / SCALE[unit] end
  return {
    n = #sorted, min = at(0), p10 = at(0.1), median = at(0.5), p90 = at(0.9), p99 = at(0.99), max = at(1),
  }
end

function Report.median(samples)
  return Report.describe(samples, "KiB").median
end

function Report.load()
  local file = io.open("/proc/loadavg")
  local load = file and file:read("n")
  if file then file:close() end
  return load
end

function Report.new()
  return setmetatable({ rows = {} }, Report)
end

-- Adds a row:
--   what      the measure
--   unit      us, ms, KiB or MiB
--   llib      samples of llib
--   against   what it is compared with; `baseline` its samples
--   goal      { ratio = N }: at most N times the baseline's median; { most = N }: at most N of the unit
--   note      a remark
function Report:row(row)
  row.ours = Report.describe(row.llib, row.unit)
  row.theirs = row.baseline and #row.baseline > 0 and Report.describe(row.baseline, row.unit) or nil
  row.ratio = row.theirs and row.ours.median / row.theirs.median
  local goal = row.goal or {}
  if goal.ratio then
    row.met = row.ratio and row.ratio <= goal.ratio
  elseif goal.most then
    row.met = row.ours.median <= goal.most
  end
  row.load = Report.load()
  self.rows[#self.rows + 1] = row
  io.stderr:write(".")
end

local function number(value)
  if not value then return "-" end
  return (value >= 1000 and "%.0f" or value >= 10 and "%.1f" or "%.2f"):format(value)
end

local function goal_text(row)
  local goal = row.goal
  if not goal then return "" end
  return goal.ratio and ("<= %gx"):format(goal.ratio) or ("<= %g %s"):format(goal.most, row.unit)
end

local function verdict(row)
  if not row.goal then return "" end
  if row.met == nil then return "not measured" end
  return row.met and "met" or "MISSED"
end

-- Cells as columns, the first one to the left and numbers to the right.
local function columns(lines, left)
  local widths = {}
  for _, line in ipairs(lines) do
    for i, cell in ipairs(line) do widths[i] = math.max(widths[i] or 0, utf8.len(cell)) end
  end
  for _, line in ipairs(lines) do
    local cells = {}
    for i, cell in ipairs(line) do
      local space = (" "):rep(widths[i] - utf8.len(cell))
      cells[i] = left[i] and cell .. space or space .. cell
    end
    print((table.concat(cells, "  "):gsub("%s+$", "")))
  end
end

-- The table, and below it how the samples lie.
function Report:print()
  local lines = { { "medians", "", "llib", "baseline", "", "ratio", "goal", "" } }
  for _, row in ipairs(self.rows) do
    lines[#lines + 1] = {
      row.what, row.unit, number(row.ours.median), number(row.theirs and row.theirs.median),
      row.against or "", row.ratio and ("%.2f"):format(row.ratio) or "-", goal_text(row), verdict(row),
    }
  end
  columns(lines, { true, true, false, false, true, false, false, true })
  print()
  lines = { { "distribution", "", "", "n", "min", "p10", "median", "p90", "p99", "max" } }
  for i, row in ipairs(self.rows) do
    -- Several rows in turn may show the same samples.
    local again = i > 1 and self.rows[i - 1].llib == row.llib
    for _, side in ipairs { { "llib", not again and row.ours }, { row.against, row.theirs } } do
      local name, stats = table.unpack(side)
      if stats then
        local line = { row.what, name, row.unit, tostring(stats.n) }
        for _, key in ipairs { "min", "p10", "median", "p90", "p99", "max" } do
          line[#line + 1] = number(stats[key])
        end
        lines[#lines + 1] = line
      end
    end
  end
  columns(lines, { true, true, true })
  for _, row in ipairs(self.rows) do
    if row.note then print(("\n%s: %s"):format(row.what, row.note)) end
  end
end

-- A value as JSON; a table with a first item is a list.
local function json(value)
  if type(value) == "table" and value[1] ~= nil then
    local parts = {}
    for i, item in ipairs(value) do parts[i] = json(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  elseif type(value) == "table" then
    local keys, parts = {}, {}
    for key in pairs(value) do keys[#keys + 1] = key end
    table.sort(keys)
    for i, key in ipairs(keys) do parts[i] = json(key) .. ":" .. json(value[key]) end
    return "{" .. table.concat(parts, ",") .. "}"
  elseif type(value) == "string" then
    return '"' .. value:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
  end
  return tostring(value)
end
Report.json = json

-- Writes a line of JSON for each row.
function Report:write(file)
  for _, row in ipairs(self.rows) do
    file:write(json {
      measure = row.what, unit = row.unit, llib = row.ours, against = row.against, baseline = row.theirs,
      ratio = row.ratio, goal = row.goal and goal_text(row), met = row.met, load = row.load, note = row.note,
    }, "\n")
  end
end

return Report
