//! `llib top`: what it shows, at a terminal and as a snapshot, and that it harms nobody.

mod hostile;
mod once;
mod terminal;

use std::process::Command;

use serde_json::Value;
use support::binaries::llib;
use support::{Script, Session};

/// A host with a job that holds lock 7 and a mutex, one that waits for each, one that is paused and one in a sandbox.
const JOBS: &str = r#"
    local m, ready = thread.mutex(), thread.channel()
    local function job(name, f, opts)
        opts = opts or {}
        opts.name = name
        return thread.async(f, opts)
    end
    local owner = job("the owner of locks", function() thread.lock(7) m:lock() ready:push(true) thread.sleep(1e9) end)
    ready:pop()
    local keep = {
        job("wants lock 7", function() thread.lock(7) end),
        job("wants the mutex", function() m:lock() end),
        job("wants an item", function() ready:pop() end),
        job("escape \27[2J\27]0;x\7", function() thread.sleep(1e9) end),
        job("in a box", function() require("llib").thread.sleep(1e9) end, { sandbox = { libs = { "llib" } } }),
        job("with a long text", string.rep(" ", 100000) .. "require('llib').thread.sleep(1e9)"),
        job("done", function() return 1 end),
        job("failed", function() error("on purpose") end),
        job("stopped", function() thread.sleep(1e9) end),
    }
    wait(function() return keep[7]:status() == "done" and keep[8]:status() == "failed" end)
    keep[9]:pause()
    say(owner:pid())
"#;

/// The jobs above, in a host that then does this.
fn jobs(then: &str) -> (Session, i32) {
    let session = Script::new(&format!("{JOBS} {then}")).start();
    let owner = session.number();
    (session, owner)
}

/// `llib top --once --json` for one host.
fn snapshot(host: i32) -> Value {
    let output =
        Command::new(llib()).args(["top", "--once", "--json", &host.to_string()]).output().expect("it runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

/// The processes of all sessions in a snapshot.
fn processes(snapshot: &Value) -> Vec<Value> {
    let sessions = snapshot["sessions"].as_array().expect("it has sessions");
    sessions.iter().flat_map(|session| session["processes"].as_array().cloned().unwrap_or_default()).collect()
}

/// The process whose name begins like this.
fn named(snapshot: &Value, name: &str) -> Value {
    let found =
        processes(snapshot).into_iter().find(|it| it["name"].as_str().is_some_and(|it| it.starts_with(name)));
    found.unwrap_or_else(|| panic!("no process '{name}' in {snapshot:#}"))
}
