//! texlua: LuaTeX as an interpreter, with libraries of its own in the place of the standard ones.

use std::path::Path;

use crate::host::{self, expect_nothing_left};
use support::binaries;

#[test]
#[cfg_attr(not(feature = "lua53"), ignore = "LuaTeX has Lua 5.3")]
fn texlua_runs_jobs() {
    let Some(program) = host::find(Path::new("/usr/bin/texlua")) else { return };
    let script = host::file("texlua/jobs.lua").display().to_string();
    let module = format!("{}/lib?.so;;", binaries::directory().display());
    let session = host::program(&program, &[&script]).env("LUA_CPATH", &module).start();
    let outcome = session.end();
    assert_eq!(outcome.output(), "table\t3\nstring\tTEX\t1-2\nnil\tworkers cannot require 'lfs'\n");
    expect_nothing_left(&session);
}
