-- An interpreter of its own by io.popen.
return dofile((arg[0]:match("^(.*/)") or "./") .. "with/shell.lua")("a shell and lua5.4", "lua5.4 SCRIPT")
