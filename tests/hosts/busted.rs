//! busted, under each Lua that it works with.

use std::path::Path;

use support::{binaries, version};

use crate::host::{self, expect_nothing_left};

#[test]
#[cfg_attr(feature = "lua55", ignore = "Debian has no Lua 5.5")]
fn busted_runs_tests_that_run_jobs() {
    let program = Path::new("/usr/bin/busted");
    let Some(lua) = binaries::stock_lua().filter(|_| program.exists()) else {
        // Debian has none for the others.
        if version::NUMBER != "5.5" {
            host::missing("there is no busted, or no Lua to run it");
        }
        return;
    };
    let specs = host::file("busted/jobs_spec.lua").display().to_string();
    let session = host::program(&lua, &["/usr/bin/busted", "--output=TAP", &specs]).start();
    let outcome = session.end();
    assert!(outcome.code == Some(0) && outcome.stdout.contains("1..4"), "{outcome:?}");
    assert_eq!(outcome.stdout.matches("\nok ").count() + usize::from(outcome.stdout.starts_with("ok ")), 4);
    expect_nothing_left(&session);
}
