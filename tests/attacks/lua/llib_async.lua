-- Tries to start jobs of its own, without walls.
-- must: error "a sandboxed job cannot start others"

return require "llib".thread.async("return 1", { sandbox = false })
