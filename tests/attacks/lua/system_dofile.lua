-- Tries to run and load files where no path was granted.
-- must: values contained

if dofile or loadfile then return "there is a way" end
return "contained"
