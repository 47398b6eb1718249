run_as_root = true
pidfile = "@SCRATCH@/prosody.pid"
data_path = "@SCRATCH@/data"
plugin_paths = { "@SCRATCH@" }
modules_enabled = { "llib_test" }
modules_disabled = { "s2s", "c2s", "tls", "offline" }
interfaces = {}
log = { info = "@SCRATCH@/prosody.log", error = "@SCRATCH@/prosody.err" }
VirtualHost "localhost"
