//! Shared memory that hosts leave which are killed, or become another program.

use nix::sys::signal::Signal;
use support::session::PATIENCE;
use support::wait::until_true;
use support::{Interpreter, Script, binaries};

use super::calls_module;

/// Objects of every kind, in use.
const OBJECTS: &str = r#"
    local buffer, channel, mutex = thread.buffer { ("x"):rep(0x10000) }, thread.channel(4), thread.mutex()
    channel:push(buffer)
    mutex:lock()
    thread.lock(9)
"#;

fn with_objects(rest: &str, interpreter: Interpreter) -> Script {
    Script::new(&format!("{OBJECTS}{rest}")).by(interpreter).private_shm("256M")
}

#[test]
fn objects_of_a_killed_host_go_with_its_supervisors() {
    for interpreter in Interpreter::all() {
        let text = "assert(thread.async(function() return buffer:get() end):await()) say('ready') hear()";
        let session = with_objects(text, interpreter).start();
        session.expect("ready");
        session.learn_sessions();
        assert!(session.shm_files().len() >= 3, "{:?}", session.shm_files());
        session.host.signal(Signal::SIGKILL);
        session.end();
        session.expect_nothing_left();
    }
}

#[test]
fn objects_of_a_host_that_becomes_another_program_go_with_its_supervisors() {
    let Some(calls) = calls_module() else { return };
    for interpreter in Interpreter::all() {
        let text = format!(
            "package.cpath = package.cpath .. ';{}/?.so' local calls = require 'narrow_calls'
            assert(thread.async(function() return buffer:get() end):await())
            local busy = thread.async(function() while true do end end)
            say('ready') hear() calls.exec('sleep', '1000')",
            calls.path().display()
        );
        let session = with_objects(&text, interpreter).start();
        session.expect("ready");
        session.learn_sessions();
        session.say("on");
        let alone = || session.processes() == [session.host.clone()];
        assert!(until_true(PATIENCE, alone), "{:#?}", session.processes());
        // What the host itself kept goes too, so all files are looked at.
        let left = || {
            session.learn_sessions();
            session.shm().files(&Default::default())
        };
        if matches!(session.shm(), support::shm::Shm::Private(_)) {
            assert!(until_true(PATIENCE, || left().is_empty()), "{:?}", left());
        }
        session.host.signal(Signal::SIGKILL);
        session.end();
        session.expect_nothing_left();
    }
}

#[test]
fn objects_of_a_killed_host_without_supervisors_go_when_any_other_starts() {
    if !support::shm::can_be_private() {
        return;
    }
    for first_use in ["thread.buffer(1)", "thread.lock(1)", "thread.async(function() return 1 end):await()"] {
        // One shared memory for both: the first host is the child of a script that becomes the second.
        let session = Script::new(&format!(
            r#"
            local first = os.getenv("SCRATCH") .. "/first.lua"
            local file = io.open(first, "w")
            file:write([[
                local thread = require("llib").thread
                {OBJECTS}
                print("ready")
                io.stdout:flush()
                while true do thread.sleep(1000) end
            ]])
            file:close()
            local pipe = io.popen("exec " .. arg[1] .. " " .. first)
            assert(pipe:read() == "ready")
            say("first")
            hear()
            local first = {first_use}
            say("second")
            hear()
            "#
        ))
        .argument(&binaries::llib().display().to_string())
        .private_shm("256M")
        .start();
        session.expect("first");
        let old = session.shm_files();
        assert!(!old.is_empty());
        let is_first = |process: &support::Process| process.parent == session.host.pid;
        session.processes().iter().filter(|process| is_first(process)).for_each(support::Process::kill);
        session.say("on");
        session.expect("second");
        assert!(
            !session.shm_files().iter().any(|file| old.contains(file)),
            "{old:?}: {:?}",
            session.shm_files()
        );
        session.end().output();
        session.expect_nothing_left();
    }
}
