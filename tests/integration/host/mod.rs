//! What a host does with its own process, which a script alone cannot: waiting for children, changing its user and its root.

mod children;
mod forks;
mod privileges;

use std::process::Command;

use support::{Scratch, binaries};

/// A folder with the module `host_calls`, see `calls.c`; `None` without a C compiler.
fn calls_module() -> Option<Scratch> {
    let Some(compiler) = binaries::find_program("cc") else {
        eprintln!("skipped: there is no C compiler for what Lua cannot do");
        return None;
    };
    let scratch = Scratch::new();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/integration/host/calls.c");
    let output = Command::new(compiler)
        .args(["-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(scratch.path().join("host_calls.so"))
        .arg(source)
        .output()
        .expect("the compiler can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(scratch)
}
