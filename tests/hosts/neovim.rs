//! Neovim without a terminal: its Lua is LuaJIT, its loop luv.

use std::path::Path;

use crate::host::{self, expect_nothing_left};

#[test]
#[cfg_attr(not(feature = "luajit"), ignore = "Debian's Neovim has LuaJIT")]
fn neovim_runs_jobs_in_its_loop() {
    let Some(program) = host::find(Path::new("/usr/bin/nvim")) else { return };
    let script = host::file("neovim/loop.lua").display().to_string();
    let session = host::program(&program, &["--headless", "-n", "-u", "NONE", "-S", &script]).start();
    let outcome = session.end();
    assert_eq!(outcome.output(), "a,b,c\nticks true\n");
    expect_nothing_left(&session);
}
