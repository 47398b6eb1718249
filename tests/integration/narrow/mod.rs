//! Narrow machines: containers and jails in which something is missing that others have. llib works, or says why not.

mod folders;
mod leftovers;
mod memory;
mod proc;
mod processes;
mod worker;

use support::{Scratch, binaries};

/// Whether this user can rearrange the file system for a script.
fn can_mount() -> bool {
    support::shm::can_be_private()
}

/// The command line that has a script run after a preparation in a mount namespace of its own. In it `"$@"` is the script's.
fn prepared(preparation: &str) -> Vec<String> {
    ["unshare", "-m", "sh", "-ec", &format!("{preparation}\nexec \"$@\""), "sh"].map(str::to_owned).to_vec()
}

/// A folder with the module `narrow_calls`, see `calls.c`; `None` without a C compiler.
fn calls_module() -> Option<Scratch> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/integration/narrow/calls.c");
    binaries::c_module(source.as_ref(), "narrow_calls")
}
