# Builds and installs llib for one Lua.
#
#   make                                  builds it, for Lua 5.4
#   make LUA=5.1                          5.1, 5.2, 5.3, 5.4, 5.5 or jit
#   make INTERPRETER=/opt/lua/bin/lua     the version that this program has
#   sudo make install                     what was built; builds it if nothing was
#   make install PREFIX=$HOME/.local      elsewhere than where Lua looks by itself, /usr/local
#   sudo make uninstall                   takes away what install put there, given the same words
#
# DESTDIR stands in front of all installed paths, for those who make packages.

ifdef INTERPRETER
LUA = $(shell $(INTERPRETER) -e 'io.write(jit and "jit" or _VERSION:match("%d+%.%d+"))')
endif
LUA ?= 5.4
PREFIX ?= /usr/local
CARGO ?= cargo
PROFILE ?= release

# LuaJIT looks where Lua 5.1 does.
VERSION = $(if $(filter jit,$(LUA)),5.1,$(LUA))
FEATURE = lua$(subst .,,$(LUA))

BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib/lua/$(VERSION)
LIBRARYDIR ?= $(PREFIX)/share/llib/library

TARGET = $(or $(CARGO_TARGET_DIR),target)
MADE = $(TARGET)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
# One build overwrites another's files in cargo's folder; here each Lua has its own.
OUT = $(TARGET)/install/$(FEATURE)

build:
	$(CARGO) build --locked --profile $(PROFILE) -p llib -p llib-worker -p llib-cli --no-default-features --features $(FEATURE)
	mkdir -p $(OUT)
	cp $(MADE)/libllib.so $(MADE)/llib-worker $(MADE)/llib $(OUT)

$(OUT)/llib:
	$(MAKE) build

# The module finds its worker program beside itself; the command is its own.
install: $(OUT)/llib
	install -d $(DESTDIR)$(LIBDIR) $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBRARYDIR)
	install -m 755 $(OUT)/libllib.so $(DESTDIR)$(LIBDIR)/llib.so
	install -m 755 $(OUT)/llib-worker $(DESTDIR)$(LIBDIR)/llib-worker
	install -m 755 $(OUT)/llib $(DESTDIR)$(BINDIR)/llib
	install -m 644 docs/library/llib.lua $(DESTDIR)$(LIBRARYDIR)/llib.lua

uninstall:
	rm -f $(DESTDIR)$(LIBDIR)/llib.so $(DESTDIR)$(LIBDIR)/llib-worker $(DESTDIR)$(BINDIR)/llib
	rm -f $(DESTDIR)$(LIBRARYDIR)/llib.lua
	-rmdir $(DESTDIR)$(LIBRARYDIR) $(DESTDIR)$(PREFIX)/share/llib 2>/dev/null

.PHONY: build install uninstall
