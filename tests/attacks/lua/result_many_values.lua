-- Tries to give back ten million values.
-- must: error "too many" or memory

return (table.unpack or unpack)({}, 1, 10000000)
