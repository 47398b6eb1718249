//! Locks of dead owners, and locks that many want, while the host is busy with something else.

use std::time::{Duration, Instant};

use support::process::kill_at_once;
use support::wait::until;
use support::{Process, Script, Session};

/// What a waiter may take at most to get a dead owner's lock is 50 ms; a machine with other work gets more.
const BOUND: Duration = Duration::from_millis(250);

/// A job that holds lock 1, a buffer's lock and a mutex, and jobs that wait for each; then the host computes. Each
/// waiter makes a file of its own once it has what it waits for, in `$SCRATCH`.
const HELD: &str = r#"
    local folder = os.getenv("SCRATCH")
    local b, m = thread.buffer("old"), thread.mutex()
    local ready = thread.channel()
    local function touch(name) io.open(folder .. "/" .. name, "w"):close() end
    local owner = thread.async(function()
        thread.lock(1)
        m:lock()
        b:mod(function() ready:push(true) thread.sleep(1e9) end)
    end)
    ready:pop()
    local function waiter(f) return thread.async(function() ready:push(true) f() end) end
    local keep = {
        waiter(function() assert(select(2, thread.lock(1)) == "abandoned") touch("lock") end),
        waiter(function() assert(select(2, m:lock()) == "abandoned") touch("mutex") end),
        waiter(function() assert(b:get() == "old") touch("buffer") end),
    }
    for _ = 1, #keep do ready:pop() end
    -- They are about to sleep.
    thread.sleep(30)
    say(owner:pid())
    while true do end
"#;

/// Waits for the three files; how long after `start` the last was made.
fn latency(session: &Session, start: Instant) -> Duration {
    let all = || {
        ["lock", "mutex", "buffer"]
            .iter()
            .all(|name| session.scratch.path().join(name).exists())
            .then_some(())
    };
    let found = until(Duration::from_secs(10), all);
    let took = start.elapsed();
    assert!(found.is_some(), "of the locks of a dead owner some were not had within {took:?}");
    took
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    eprintln!(
        "{what}: median {:?}, longest {:?} of {}",
        times[times.len() / 2],
        times[times.len() - 1],
        times.len()
    );
    assert!(times[times.len() / 2] < BOUND, "{what}: {times:?}");
}

fn measure(what: &str, rounds: usize, script: impl Fn() -> Script, kill: impl Fn(&Session, &Process)) {
    let times = (0..rounds).map(|_| {
        let session = script().start();
        let owner = Process::find(session.number()).expect("the owner lives");
        session.learn_sessions();
        let start = Instant::now();
        kill(&session, &owner);
        latency(&session, start)
    });
    report(what, times.collect());
}

#[test]
fn a_dead_owners_locks_are_had_at_once_while_the_host_computes() {
    measure("with futex_waitv", 5, || Script::new(HELD), |_, owner| owner.kill());
}

#[test]
fn a_dead_owners_locks_are_had_soon_on_a_kernel_without_futex_waitv() {
    const FUTEX_WAITV: u32 = 449;
    measure("without", 5, || Script::new(HELD).without_system_call(FUTEX_WAITV), |_, owner| owner.kill());
}

/// Owner and waiters in sessions of their own, below jobs that are hosts: so the owner's supervisors can be killed and
/// the waiters live.
const APART: &str = r#"
    local folder = os.getenv("SCRATCH")
    local b, m = thread.buffer("old"), thread.mutex()
    local ready, pids = thread.channel(), thread.channel()
    local function touch(name) io.open(folder .. "/" .. name, "w"):close() end
    local above = thread.async(function()
        local owner = thread.async(function()
            thread.lock(1)
            m:lock()
            b:mod(function() ready:push(true) thread.sleep(1e9) end)
        end)
        pids:push(owner:pid())
        thread.sleep(1e9)
    end)
    ready:pop()
    local function waiter(f) return thread.async(function() ready:push(true) f() end) end
    local keep = {
        waiter(function() assert(select(2, thread.lock(1)) == "abandoned") touch("lock") end),
        waiter(function() assert(select(2, m:lock()) == "abandoned") touch("mutex") end),
        waiter(function() assert(b:get() == "old") touch("buffer") end),
    }
    for _ = 1, #keep do ready:pop() end
    thread.sleep(30)
    say(pids:pop())
    while true do end
"#;

#[test]
fn a_lock_is_had_whose_owner_died_with_its_zygote() {
    measure(
        "owner and zygote",
        3,
        || Script::new(APART),
        |_, owner| {
            let zygote = Process::find(owner.parent).expect("it lives");
            kill_at_once(&[owner, &zygote]);
        },
    );
}

#[test]
fn a_lock_is_had_whose_owner_died_with_all_of_its_supervisors() {
    measure(
        "owner, zygote and guard",
        3,
        || Script::new(APART),
        |_, owner| {
            let zygote = Process::find(owner.parent).expect("it lives");
            let guard = Process::find(zygote.parent).expect("it lives");
            kill_at_once(&[owner, &zygote, &guard]);
        },
    );
}

#[test]
fn the_host_gets_a_lock_whose_owner_died_with_all_supervisors() {
    let script = r#"
        local held = thread.buffer(false)
        local b = thread.buffer("old")
        local t = thread.async(function()
            thread.lock(1)
            b:mod(function() held:set(true) thread.sleep(1e9) end)
        end)
        wait(function() return held:get() end)
        say(t:pid())
        hear()
        say(thread.lock(1))
        say(b:get())
        thread.unlock(1)
        assert(select(2, t:await()).kind == "lost")
        assert(thread.async(function() return thread.lock(1, 1000) end):await())
        say("works")
    "#;
    let session = Script::new(script).start();
    let owner = Process::find(session.number()).expect("it lives");
    let (guard, zygote) = (session.guard(), session.zygote());
    kill_at_once(&[&owner, &zygote, &guard]);
    session.say("on");
    session.expect("true\tabandoned");
    session.expect("old");
    session.expect("works");
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn of_eight_that_contend_for_a_lock_none_starves() {
    let script = r#"
        local stop, go = thread.buffer(false), thread.buffer(false)
        local function contend(take, give)
            local tasks = {}
            go:set(false) stop:set(false)
            for i = 1, 8 do
                tasks[i] = thread.async(function()
                    local count = 0
                    while not go:get() do thread.sleep(1) end
                    while count % 64 ~= 0 or not stop:get() do
                        take() give()
                        count = count + 1
                    end
                    return count
                end)
            end
            for i = 1, 8 do tasks[i]:pid() end
            go:set(true)
            thread.sleep(2000)
            stop:set(true)
            local counts, sum = {}, 0
            for i = 1, 8 do
                counts[i] = assert(tasks[i]:await(20000))
                sum = sum + counts[i]
            end
            table.sort(counts)
            io.stderr:write(table.concat(counts, " "), "\n")
            -- A fair share is an eighth.
            assert(counts[1] * 8 * 20 > sum, table.concat(counts, " "))
        end
        local m = thread.mutex()
        contend(function() thread.lock(7) end, function() thread.unlock(7) end)
        contend(function() m:lock() end, function() m:unlock() end)
        local b = thread.buffer(0)
        contend(function() b:mod(function(n) return n + 1 end) end, function() end)
        say("fair")
    "#;
    let outcome = Script::new(script).run();
    assert_eq!((outcome.code, &*outcome.stdout), (Some(0), "fair\n"), "{outcome:?}");
    eprintln!("{}", outcome.stderr);
}

#[test]
fn jobs_that_die_with_numbered_locks_leave_room_for_others() {
    let script = r#"
        for round = 1, 20 do
            local t = thread.async(function()
                for i = 1, 500 do thread.lock(round * 100000 + i) end
                while true do end
            end)
            local last = round * 100000 + 500
            wait(function()
                local had = thread.lock(last, 0)
                if had then thread.unlock(last) end
                return not had
            end)
            t:kill()
        end
        for i = 1, 10000 do assert(thread.lock(i * 7919, 1000)) end
        for i = 1, 10000 do thread.unlock(i * 7919) end
        say("room")
    "#;
    assert_eq!(Script::new(script).run().output(), "room\n");
}
