-- Tries to give back keys that no table takes.
-- must: values table

return { [1/0] = 1, [-0.0] = 2, [""] = 3, [("k"):rep(100000)] = 4, [true] = 5, [{}] = 6 }
