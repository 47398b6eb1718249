//! Runs a benchmark written in Lua.
//!
//! Builds the module and the worker as users get them, finds a Lua interpreter that has luv, and runs the script
//! there, which measures and reports. The executable itself serves the script as the process for the system's own
//! costs, see `baseline`.
//!
//! Arguments after `--` go to the script: `--json`, `--quick`, and parts of names of the measures to run.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::baseline;

/// Starts this executable as the process for the system's own costs: without or with a Lua state.
const BARE: &str = "--baseline";
const WITH_LUA: &str = "--baseline-with-lua";

/// The whole program.
pub(crate) fn main(script: &str) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.first().map(String::as_str) {
        Some(BARE) => baseline::serve(false),
        Some(WITH_LUA) => baseline::serve(true),
        // `cargo test --benches` starts it too, to see that it starts.
        Some("--test") => Ok(()),
        _ => bench(script, &args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{script}: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn bench(name: &str, args: &[String]) -> Result<(), String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    // TARGET/release/deps/NAME-HASH
    let release = own.ancestors().nth(2).ok_or("this executable lies in no target folder")?;
    let target = release.parent().ok_or("this executable lies in no target folder")?;
    build(target)?;
    let interpreter = interpreter(release)?;
    let modules = format!("package.cpath = [[{}/lib?.so;]] .. package.cpath", release.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(name);
    let status = Command::new(&interpreter)
        .args(["-e", &modules])
        .arg(script)
        .args(args.iter().filter(|arg| *arg != "--bench"))
        .env("LLIB_WORKER", release.join("llib-worker"))
        .env("LLIB_BENCH_BASELINE", &own)
        .envs(compiled("fork_loop.c", target).map(|program| ("LLIB_BENCH_FORK_LOOP", program)))
        .envs(compiled("peers/floor.c", target).map(|program| ("LLIB_BENCH_FLOOR", program)))
        .env("LLIB_BENCH_RESULTS", target.join(Path::new(name).with_extension("jsonl")))
        .status()
        .map_err(|error| format!("failed to run '{}': {error}", interpreter.display()))?;
    if status.success() { Ok(()) } else { Err(format!("the script ended with {status}")) }
}

/// Module, worker and command, optimised.
fn build(target: &Path) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--workspace", "--quiet", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .map_err(|error| format!("failed to run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the release build failed".to_owned()) }
}

/// A small C program that shows what the system itself takes; none without a C compiler.
fn compiled(source: &str, target: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(source);
    let program = target.join(source.file_stem()?);
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let status = Command::new(compiler).arg("-O2").arg("-o").arg(&program).arg(source).status();
    status.is_ok_and(|status| status.success()).then_some(program)
}

/// Stock Lua 5.4 if it has luv, else llib's own command if that finds luv.
fn interpreter(release: &Path) -> Result<PathBuf, String> {
    let candidates = [PathBuf::from("lua5.4"), release.join("llib")];
    let has_luv = |program: &PathBuf| {
        let mut probe = Command::new(program);
        probe.args(["-e", "require 'luv'"]).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    };
    candidates.into_iter().find(has_luv).ok_or_else(|| {
        "no Lua 5.4 with luv found, which is clock and peer here (Debian: apt install lua5.4 lua-luv)"
            .to_owned()
    })
}
