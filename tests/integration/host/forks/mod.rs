//! A host that forks: its child has a session of its own, and shares with it what was there before.

mod ends;
mod jobs;
mod objects;
mod privileges;
mod session;

use support::{Interpreter, Scratch, Script};

use super::calls_module;

/// What the scripts find: `host`, see `calls.c`; `child(f [, fork])`, the process id of a child that runs `f` and exits at
/// once, with 1 if `f` raised; `ends(pid)`, how it ended; `shm()`, the files of this process's tree in shared memory.
const HELPERS: &str = r#"
    package.cpath = os.getenv "CALLS" .. "/?.so;" .. package.cpath
    local host = require "host_calls"
    local function child(f, fork)
        local pid = (fork or host.fork)()
        if pid ~= "0" then return pid end
        local ok, reason = pcall(f)
        if not ok then say("the child failed: " .. tostring(reason)) end
        host.exit(ok and "0" or "1")
    end
    local ends = host.wait_for
    local function fails(part, f, ...)
        local ok, reason = pcall(f, ...)
        assert(not ok and tostring(reason):find(part, 1, true), tostring(reason))
    end
    local function tree()
        for line in io.lines "/proc/self/maps" do
            local name = line:match "/dev/shm/(llib%-tree%-%x+)"
            if name then return name end
        end
    end
    local function shm()
        local pipe = io.popen("ls /dev/shm | grep -c " .. tree())
        local count = pipe:read "*n"
        pipe:close()
        return count
    end
"#;

fn script(calls: &Scratch, text: &str) -> Script {
    Script::new(&format!("{HELPERS}{text}")).env("CALLS", calls.path())
}

/// Runs a script to its end in each interpreter; it says "done" then, and nothing is left.
fn each(text: &str) {
    each_in(&[Interpreter::Builtin, Interpreter::Stock], text);
}

/// The same in some of them.
fn each_in(interpreters: &[Interpreter], text: &str) {
    let Some(calls) = calls_module() else { return };
    for interpreter in Interpreter::all().into_iter().filter(|one| interpreters.contains(one)) {
        let session = script(&calls, &format!("{text}\nsay 'done' hear()")).by(interpreter).start();
        session.expect("done");
        session.learn_sessions();
        session.say("end");
        session.end().output();
        session.expect_nothing_left();
    }
}
