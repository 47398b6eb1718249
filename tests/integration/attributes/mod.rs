//! What a job inherits: it has what a child of the program would have now, in each of the ways in which jobs are run.

mod changes;
mod narrowed;
mod pools;
mod streams;

use std::process::Command;

use support::{Scratch, Script, binaries};

/// A script that has the module `calls`, see `calls.c`; and `probe`, what the process that calls it would pass on. Its folder
/// goes with it. `None` without a C compiler.
fn script(text: &str) -> Option<(Script, Scratch)> {
    const HELPERS: &str = r#"
        local calls = require "attribute_calls"
        local NOFILE, FSIZE = 7, 1
        local function probe()
            local calls = require "attribute_calls"
            local values = { calls.umask(), calls.limit(7), calls.limit(1), calls.processors(), calls.nice(),
                os.getenv("FOO") or "none", calls.directory() }
            return table.concat(values, " ")
        end
        local function nested_probe()
            return (require("llib").thread.async(probe):await())
        end
    "#;
    let Some(compiler) = binaries::find_program("cc") else {
        eprintln!("skipped: there is no C compiler for what Lua cannot do");
        return None;
    };
    let scratch = Scratch::new();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/integration/attributes/calls.c");
    let output = Command::new(compiler)
        .args(["-Wall", "-Werror", "-shared", "-fPIC", "-o"])
        .arg(scratch.path().join("attribute_calls.so"))
        .arg(source)
        .output()
        .expect("the compiler can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = scratch.path().display();
    let search = format!("package.cpath = '{path}/?.so;' .. package.cpath local folder = '{path}' ");
    Some((Script::new(&format!("{search}{HELPERS}{text}")), scratch))
}
