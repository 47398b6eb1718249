-- Tries to have string.format write past its buffer.
-- must: error ""

return ("%" .. ("9"):rep(1000) .. "d"):format(1)
