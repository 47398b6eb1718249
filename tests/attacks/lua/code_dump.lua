-- Tries to get at bytecode.
-- must: values contained

if string.dump or ("").dump then return "there is dump" end
return "contained"
