-- Tries to move and remove files beside those that were granted.
-- must: values contained
-- with: { sandbox = { write = { "/dev/null" } } }

local secret = select(3, ...).secret
if os.remove(secret) then return "removed" end
if os.rename(secret, "/tmp/llib-attack-moved") then return "moved" end
if os.rename("/dev/zero", secret) then return "replaced" end
if io.open(secret, "a") then return "opened" end
return "contained"
