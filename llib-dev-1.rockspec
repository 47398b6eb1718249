rockspec_format = "3.0"
package = "llib"
version = "dev-1"

-- For a checkout: `luarocks make`. Needs cargo and a C compiler.
source = { url = "." }

description = {
  summary = "Lua functions in worker processes: crash-isolated, killable, with shared memory",
  license = "MIT OR Apache-2.0",
}

supported_platforms = { "linux" }

dependencies = { "lua >= 5.1, < 5.6" }

build = {
  type = "make",
  build_target = "build",
  build_variables = { INTERPRETER = "$(LUA)", CFLAGS = "$(CFLAGS)" },
  install_variables = {
    INTERPRETER = "$(LUA)",
    BINDIR = "$(BINDIR)",
    LIBDIR = "$(LIBDIR)",
    LIBRARYDIR = "$(PREFIX)/library",
  },
}
