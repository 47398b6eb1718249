-- An interpreter of its own under bubblewrap (Debian: bubblewrap), which is a sandbox as it can be had from outside.
local pipe = assert(io.popen("bwrap --version"))
local version = assert(pipe:read("l"), "there is no bwrap")
pipe:close()
local command = "bwrap --unshare-all --die-with-parent --new-session --clearenv --ro-bind /usr /usr"
  .. " --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/bin /bin --ro-bind /tmp /tmp lua5.4 SCRIPT"
return dofile((arg[0]:match("^(.*/)") or "./") .. "with/shell.lua")(version, command)
