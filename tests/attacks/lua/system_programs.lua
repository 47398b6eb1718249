-- Tries to run programs where files are granted.
-- must: values contained
-- with: { sandbox = { read = { "/usr" } } }

if io.popen or os.execute or io.tmpfile or os.tmpname then return "there is a way" end
return "contained"
