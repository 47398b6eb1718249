-- A container for each job (docker, and an image called lua5.4 whose program is an interpreter).
local pipe = assert(io.popen("docker version --format '{{.Server.Version}}' 2>/dev/null"))
local version = assert(pipe:read("l"), "there is no docker that answers")
assert(version ~= "", "there is no docker that answers")
pipe:close()
assert(os.execute("docker image inspect lua5.4 >/dev/null 2>&1"), "there is no image lua5.4")
return dofile((arg[0]:match("^(.*/)") or "./") .. "with/shell.lua")("docker " .. version,
  "docker run --rm -i --network none --read-only -v /tmp:/tmp:ro lua5.4 lua5.4 SCRIPT")
