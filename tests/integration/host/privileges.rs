//! A host that gives up privileges: its later jobs have no more than it. These tests need root.

use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use support::session::PATIENCE;
use support::wait::until_true;
use support::{Interpreter, Scratch, Script};

use super::calls_module;

/// What scripts begin with: `host`, and functions for jobs that say what they are.
const HEAD: &str = r#"
    package.cpath = os.getenv "CALLS" .. "/?.so;" .. package.cpath
    local host = require "host_calls"
    local NOBODY = "65534"
    -- What a job is: user and group ids, and capabilities. The host has none itself once it has no /proc.
    local function identity()
        local file = io.open "/proc/self/status"
        if not file then return "no /proc" end
        local status = file:read "*a"
        file:close()
        local field = function(name) return status:match(name .. ":[ \t]*(.-)\n") end
        return ((field "Uid" .. " / " .. field "Gid" .. " / " .. field "Groups" .. " / " .. field "CapPrm"):gsub("%s+", " "))
    end
    local function secret()
        local file = io.open(os.getenv "SECRET")
        return file and file:read "*a" or "refused"
    end
    local function job(f, ...) return assert(thread.async(f, { args = { ... } }):await()) end
"#;

struct Place {
    calls: Scratch,
    secret: Scratch,
}

/// Where things are; `None` where these tests cannot be made.
fn place() -> Option<Place> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root has something to give up");
        return None;
    }
    let calls = calls_module()?;
    let secret = Scratch::new();
    let file = secret.path().join("secret");
    std::fs::write(&file, "secret").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    for folder in [&calls, &secret] {
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    Some(Place { calls, secret })
}

fn script(place: &Place, text: &str) -> Script {
    Script::new(&format!("{HEAD}{text}"))
        .env("CALLS", place.calls.path())
        .env("SECRET", place.secret.path().join("secret"))
}

#[test]
fn after_setuid_every_kind_of_job_is_what_the_host_is() {
    let Some(place) = place() else { return };
    for interpreter in Interpreter::all() {
        let session = script(
            &place,
            r#"
            assert(job(secret) == "secret")
            local before = identity()
            local pool = thread.pool { size = 2 }
            assert(pool:submit(secret):await() == "secret")
            assert(host.setgid(NOBODY) == "yes" and host.setuid(NOBODY) == "yes")
            local now = identity()
            assert(now ~= before and secret() == "refused")
            assert(job(identity) == now, job(identity))
            assert(job(secret) == "refused")
            -- A millisecond late at most.
            thread.sleep(2)
            for i = 1, 5 do
                assert(pool:submit(identity):await() == now)
                assert(pool:submit(secret):await() == "refused")
            end
            assert(table.concat(pool:map(function() return secret() end, { 1, 2, 3 }), " ") == "refused refused refused")
            local nested = job(function(_, _, f) return llib.thread.async(f):await() end, secret)
            assert(nested == "refused", nested)
            local path = os.getenv "SECRET"
            local function read(_, _, path) return io.open(path) and "read" or "refused" end
            local walls = { args = { path }, sandbox = { read = { path } } }
            assert(thread.async(read, walls):await() == "refused")
            say "done"
            "#,
        )
        .by(interpreter)
        .start();
        session.expect("done");
        session.end().output();
        session.expect_nothing_left();
    }
}

#[test]
fn after_chroot_jobs_are_inside_and_nothing_is_opened_by_name() {
    let Some(place) = place() else { return };
    let root = Scratch::new();
    std::fs::write(root.path().join("inside"), "here").unwrap();
    for change in [r#"host.chroot(os.getenv "ROOT") == "yes""#, BOTH] {
        for interpreter in Interpreter::all() {
            let session = script(
                &place,
                &r#"
                local function inside()
                    local file = io.open "/inside"
                    return file and file:read "*a" or "outside"
                end
                local buffer, channel, mutex = thread.buffer(1), thread.channel(2), thread.mutex()
                assert(job(inside) == "outside")
                local pool = thread.pool { size = 1 }
                assert(pool:submit(inside):await() == "outside")
                assert(CHANGE)
                assert(job(inside) == "here" and job(secret) == "refused")
                thread.sleep(2)
                assert(pool:submit(inside):await() == "here")
                local nested = job(function(_, _, f) return llib.thread.async(f):await() end, inside)
                assert(nested == "here", nested)
                -- Objects of before and of now, locks, long messages both ways, captured output.
                local later = thread.buffer(1)
                job(function()
                    mutex:with(function() buffer:set(buffer:get() + 1) end)
                    later:set(later:get() + 1)
                    channel:push("x")
                    return assert(llib.thread.lock(7))
                end)
                assert(buffer:get() == 2 and later:get() == 2 and channel:pop(1000) == "x")
                assert(thread.lock(7))
                local long = ("x"):rep(300000)
                assert(job(function(_, _, text) return text .. text end, long) == long .. long)
                assert(pool:submit(function(text) return #text end, long):await() == #long)
                local task = thread.async(function() io.write "said" end, { stdout = "capture" })
                task:await(nil, true)
                assert(task:output() == "said")
                -- A sandbox needs a /proc.
                local ok, problem = pcall(thread.async, inside, { sandbox = true })
                assert(not ok and problem:find "/proc")
                say "done"
                "#
                .replace("CHANGE", change),
            )
            .env("ROOT", root.path())
            .by(interpreter)
            .start();
            session.expect("done");
            session.end().output();
            session.expect_nothing_left();
        }
    }
}

const BOTH: &str = r#"host.chroot(os.getenv "ROOT") == "yes" and host.setgid(NOBODY) == "yes" and host.setuid(NOBODY) == "yes""#;

#[test]
fn what_the_host_shares_is_opened_for_it_before_another_job_starts() {
    let Some(place) = place() else { return };
    let root = Scratch::new();
    for change in [r#"host.setgid(NOBODY) == "yes" and host.setuid(NOBODY) == "yes""#, BOTH] {
        let text = r#"
            local channel = thread.channel()
            local keeps = thread.async(function(res)
                channel:push(thread.buffer "made by a job")
                channel:push(thread.mutex())
                while not res:testclose() do thread.sleep(1) end
            end)
            while #channel < 2 do thread.sleep(1) end
            assert(CHANGE)
            assert(channel:pop():get() == "made by a job")
            assert(channel:pop():lock())
            assert(thread.buffer(7):get() == 7)
            keeps:close()
            keeps:await()
        "#;
        let session = script(&place, &text.replace("CHANGE", change)).env("ROOT", root.path()).start();
        session.end().output();
        session.expect_nothing_left();
    }
}

#[test]
fn a_capability_a_group_or_the_effective_user_given_up_is_gone_from_jobs_too() {
    let Some(place) = place() else { return };
    let session = script(
        &place,
        r#"
        local first = identity()
        assert(job(identity) == first)
        -- CAP_SYS_ADMIN, which running a program as root would give back.
        assert(host.drop "21" == "yes")
        local second = identity()
        assert(second ~= first and job(identity) == second, job(identity))
        assert(host.setgid(NOBODY) == "yes")
        local third = identity()
        assert(third ~= second and job(identity) == third, job(identity))
        -- For some time only: jobs have what there is at the time.
        assert(host.seteuid(NOBODY) == "yes")
        assert(secret() == "refused" and job(secret) == "refused")
        assert(host.seteuid "0" == "yes")
        assert(job(secret) == "secret" and job(identity) == third)
        say "done"
        "#,
    )
    .start();
    session.expect("done");
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn jobs_that_run_come_to_their_end_or_are_killed_under_their_old_supervisors() {
    let Some(place) = place() else { return };
    let root = Scratch::new();
    for change in [r#"host.setgid(NOBODY) == "yes" and host.setuid(NOBODY) == "yes""#, BOTH] {
        let session = script(
            &place,
            &r#"
            local channel = thread.channel()
            local function waits(f)
                return thread.async(function() channel:pop() return f() end)
            end
            local short, long = waits(secret), waits(function() return ("x"):rep(300000) end)
            local prints = thread.async(function() channel:pop() io.write "said" end, { stdout = "capture" })
            local killed, late = thread.async(function() while true do end end), thread.async(function() while true do end end, { timeout = 1500 })
            local pool = thread.pool { size = 1 }
            local works = pool:submit(function() channel:pop() return secret() end)
            local waits_too = pool:submit(secret)
            for _, task in ipairs { short, long, prints, killed, late, works } do
                while not task:pid() do thread.sleep(1) end
            end
            thread.sleep(50)
            local zygote = thread.stats().zygote
            assert(CHANGE)
            assert(job(secret) == "refused")
            say(zygote)
            -- What waited has begun with what there is now.
            assert(waits_too:await() == "refused")
            assert(pool:submit(secret):await() == "refused")
            killed:kill()
            assert(select(2, killed:await()).kind == "killed")
            assert(select(2, late:await()).kind == "deadline")
            for i = 1, 4 do channel:push(true) end
            assert(short:await() == "secret")
            assert(#long:await() == 300000)
            assert(works:await() == "secret")
            prints:await(nil, true)
            assert(prints:output() == "said")
            assert(pool:stats().done == 3 and pool:close())
            prints:clean()
            say "all"
            hear()
            assert(job(secret) == "refused")
            "#
            .replace("CHANGE", change),
        )
        .env("ROOT", root.path())
        .start();
        let old = support::Process::find(session.number()).expect("it has jobs");
        assert!(old.lives());
        session.expect("all");
        assert!(until_true(PATIENCE, || !old.lives()), "{:#?}", session.processes());
        session.say("on");
        session.end().output();
        session.expect_nothing_left();
    }
}

#[test]
fn supervisors_of_a_host_that_gave_up_privileges_are_replaced_when_they_are_killed() {
    let Some(place) = place() else { return };
    let root = Scratch::new();
    let session = script(
        &place,
        &r#"
        local buffer = thread.buffer(1)
        job(secret)
        assert(CHANGE)
        for i = 1, 2 do
            assert(job(secret) == "refused")
            say(thread.stats().guard)
            say(thread.stats().zygote)
            hear()
            local task
            for j = 1, 20 do
                task = thread.async(function() return buffer:get() end)
                local value, err = task:await()
                assert(value == 1 or err.kind == "lost", tostring(err))
                if value then break end
            end
        end
        thread.close()
        say "closed"
        hear()
        "#
        .replace("CHANGE", BOTH),
    )
    .env("ROOT", root.path())
    .start();
    for one_of_them in [0, 1] {
        let pids = [session.number(), session.number()];
        let process = support::Process::find(pids[one_of_them]).expect("it runs");
        process.signal(Signal::SIGKILL);
        assert!(until_true(PATIENCE, || !process.lives()));
        session.say("on");
    }
    session.expect("closed");
    let alone = || session.processes() == [session.host.clone()];
    assert!(until_true(PATIENCE, alone), "{:#?}", session.processes());
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn without_supervisors_from_before_jobs_run_and_only_old_objects_cannot_be_sent() {
    let Some(place) = place() else { return };
    for before in ["", "job(secret) thread.close()"] {
        let text = r#"
            local old = thread.buffer(1)
            BEFORE
            assert(host.setgid(NOBODY) == "yes" and host.setuid(NOBODY) == "yes")
            assert(job(secret) == "refused")
            local new = thread.buffer(1)
            job(function() new:set(2) return true end)
            assert(new:get() == 2 and old:get() == 1)
            local ok, problem = pcall(thread.async, function() return old:get() end)
            assert(not ok, "it was sent")
            say(problem)
        "#;
        let session = script(&place, &text.replace("BEFORE", before)).start();
        let problem = session.line();
        assert!(problem.contains("buffer"), "{problem}");
        session.end().output();
    }
    // With nothing of before it is a program like any other.
    let text = r#"
        assert(host.setgid(NOBODY) == "yes" and host.setuid(NOBODY) == "yes")
        assert(job(secret) == "refused")
    "#;
    let session = script(&place, text).start();
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn what_programs_could_gain_before_and_the_host_cannot_now_is_gone_from_jobs_too() {
    let Some(place) = place() else { return };
    let session = script(
        &place,
        r#"
        local function gains()
            local file = io.open "/proc/self/status"
            local status = file:read "*a"
            file:close()
            return status:match "NoNewPrivs:%s*(%d)" .. " " .. status:match "CapBnd:%s*(%x+)"
        end
        local pool = thread.pool { size = 1 }
        local before = gains()
        assert(job(gains) == before and pool:submit(gains):await() == before)
        assert(host.drop_bounding "12" == "yes")
        thread.refresh()
        local bound = gains()
        assert(bound ~= before and job(gains) == bound and pool:submit(gains):await() == bound, job(gains))
        assert(host.no_new_privileges() == "yes")
        local none = gains()
        assert(none ~= bound and job(gains) == none, job(gains))
        thread.sleep(2)
        assert(pool:submit(gains):await() == none)
        "#,
    )
    .start();
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn all_supervisors_of_a_host_that_changed_twice_end_when_they_are_closed() {
    let Some(place) = place() else { return };
    let root = Scratch::new();
    let session = script(
        &place,
        r#"
        assert(job(secret) == "secret")
        assert(host.chroot(os.getenv "ROOT") == "yes")
        -- Its result is never fetched: the session that has it stays until it is closed.
        local kept = thread.async(function() return 1 end)
        assert(kept:await(nil, true) == 1)
        assert(host.setgid(NOBODY) == "yes" and host.setuid(NOBODY) == "yes")
        assert(job(secret) == "refused")
        thread.close()
        say "closed"
        hear()
        "#,
    )
    .env("ROOT", root.path())
    .start();
    session.expect("closed");
    assert_eq!(session.processes(), std::slice::from_ref(&session.host));
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn modules_are_preloaded_or_refused_in_a_new_root_too() {
    let Some(place) = place() else { return };
    let root = Scratch::new();
    std::fs::write(root.path().join("inner.lua"), "return { answer = 42 }").unwrap();
    let session = script(
        &place,
        r#"
        local buffer = thread.buffer(1)
        assert(job(secret) == "secret")
        assert(host.chroot(os.getenv "ROOT") == "yes")
        package.path = "/?.lua"
        local ok, problem = pcall(thread.preload, "absent")
        assert(not ok and problem:find("module 'absent' not found", 1, true), problem)
        thread.preload "inner"
        local long = string.rep("x", 1000000)
        local answer, text = job(function()
            buffer:set(2)
            return package.loaded.inner and package.loaded.inner.answer, long
        end)
        assert(answer == 42 and text == long and buffer:get() == 2, answer)
        "#,
    )
    .env("ROOT", root.path())
    .start();
    session.end().output();
    session.expect_nothing_left();
}
