//! Real programs that have a Lua in them, as Debian packages them, with llib inside. Each gives right results, and leaves nothing.
//!
//! A program is tried in the run for the version of Lua that it has, and ignored in the others; `.ci/hosts` installs them all. One that is not
//! there is skipped in words, or with LLIB_TEST_REQUIRE_HOSTS=1 a failure.

mod busted;
mod haproxy;
mod host;
mod http;
mod lighttpd;
mod neovim;
mod nginx;
mod prosody;
mod texlua;
mod tshark;
