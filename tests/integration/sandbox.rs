//! The sandbox as the system shows it: what is left of a process's means, on older kernels, as another user.

use std::fs;

use support::session::PATIENCE;
use support::wait::until_true;
use support::{Interpreter, Script};

/// Starts jobs that sleep, in a sandbox without grants on the way that the first takes and on the way of later
/// ones, and in one with a grant; prints their process ids.
const SLEEPERS: &str = r#"
    local function sleeper(sandbox)
        local task = thread.async("require 'llib'.thread.sleep(1e9)", { sandbox = sandbox })
        local pid = task:pid()
        wait(function() return thread.stats().jobs > 0 and io.open("/proc/" .. pid .. "/comm"):read("*l"):find("^llib:") end)
        return task, pid
    end
    local first, one = sleeper(true)
    wait(function() return thread.stats().spares >= 10 end)
    local second, two = sleeper(true)
    local third, three = sleeper({ read = { "/usr" } })
    say(one, two, three)
    hear()
"#;

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().trim()
}

#[test]
fn nothing_of_the_host_is_left_in_a_sandboxed_process() {
    let session = Script::new(SLEEPERS).env("LLIB_TEST_SECRET", "swordfish-4711").start();
    let line = session.line();
    let pids: Vec<&str> = line.split('\t').collect();
    assert_eq!(pids.len(), 3, "{line}");
    for (pid, files_granted) in pids.iter().zip([false, false, true]) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert_eq!(field(&status, "NoNewPrivs"), "1", "{status}");
        assert_eq!(field(&status, "Seccomp"), "2", "{status}");
        // CAP_DAC_READ_SEARCH is the only one that may be left, of root, where files are granted.
        let kept = if files_granted && is_root() { "0000000000000004" } else { "0000000000000000" };
        assert_eq!(field(&status, "CapEff"), kept, "{status}");
        assert_eq!(field(&status, "CapPrm"), kept, "{status}");
        assert_eq!(field(&status, "CapInh"), "0000000000000000", "{status}");
        if !is_root() {
            // Its files are root's now.
            assert!(fs::read_dir(format!("/proc/{pid}/fd")).is_err());
            continue;
        }
        let mut open: Vec<(i32, String)> = support::process::descriptors(pid.parse().unwrap())
            .into_iter()
            .map(|(number, target)| (number, target.to_string_lossy().into_owned()))
            .collect();
        open.sort();
        let numbers: Vec<i32> = open.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [0, 1, 2, 3], "{open:?}");
        assert_eq!(open[0].1, "/dev/null");
        assert!(open[3].1.starts_with("socket:"), "{open:?}");
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
        assert!(!contains(&environment, b"swordfish"), "the environment is still there");
        assert!(!contains(&memory(pid), b"swordfish-4711"), "the environment is still in memory");
    }
    session.say("");
    session.end().output();
    session.expect_nothing_left();
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// What a process has in memory that is its own and can be read.
fn memory(pid: &str) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let file = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut bytes = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        let mut part = vec![0; (end - start) as usize];
        if file.read_exact_at(&mut part, start).is_ok() {
            bytes.extend(part);
        }
    }
    bytes
}

#[test]
fn the_number_that_arms_timers_is_forgotten() {
    let session = Script::new(SLEEPERS).start();
    let line = session.line();
    for pid in line.split('\t') {
        let Some(steps) = support::filter::installed(pid.parse().unwrap()) else {
            eprintln!("skipped: this user may not look at the filters of processes");
            break;
        };
        // Two steps compare it with the lower half of the second argument.
        let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        let compare = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        let pairs =
            steps.windows(2).filter(|pair| (pair[0].code, pair[0].k, pair[1].code) == (load, 24, compare));
        let keys: Vec<u32> = pairs.map(|pair| pair[1].k).filter(|key| *key > 0xffff).collect();
        assert_eq!(keys.len(), 1, "{keys:?}");
        // A worker bears its name before its walls stand.
        let forgotten = || !contains(&memory(pid), &keys[0].to_ne_bytes());
        assert!(until_true(PATIENCE, forgotten), "the number is still in memory");
    }
    session.say("");
    session.end().output();
    session.expect_nothing_left();
}

#[test]
fn a_denied_system_call_ends_the_job_and_is_named() {
    for interpreter in Interpreter::all() {
        let outcome = Script::new(
            r#"
            if not pcall(require, "lfs") then return print("no lfs") end
            local function try(call)
                local task = thread.async("local lfs = require 'lfs' " .. call .. " return 'went on'", { sandbox = { libs = { "lfs" } } })
                local value, err = task:await()
                print(value or err.kind, err and err.message, err and err.call, err and err.signal)
            end
            try "pcall(lfs.chdir, '/')"
            try "lfs.mkdir('/tmp/llib-must-not-be')"
            try "lfs.link('/etc/passwd', '/tmp/llib-must-not-be', true)"
            try "for _ in lfs.dir('/') do end"
            try "lfs.attributes('/etc/passwd')"
            assert(not io.open("/tmp/llib-must-not-be"))
            "#,
        )
        .by(interpreter)
        .run();
        let output = outcome.output();
        if output == "no lfs\n" {
            assert!(std::env::var_os("LLIB_TEST_REQUIRE_STOCK_LUA").is_none(), "CI has lfs");
            eprintln!("skipped: there is no lfs for {interpreter:?}");
            continue;
        }
        let lines: Vec<&str> = output.lines().collect();
        let denied = |call: &str| format!("denied\tthe sandbox denied the system call {call}\t{call}\tSYS");
        assert_eq!(lines[0], denied("chdir"));
        assert!(lines[1] == denied("mkdir") || lines[1] == denied("mkdirat"), "{}", lines[1]);
        assert!(lines[2] == denied("symlink") || lines[2] == denied("symlinkat"), "{}", lines[2]);
        assert_eq!(lines[3], denied("openat"));
        assert_eq!(lines[4], "went on\tnil\tnil\tnil", "asking about a file is an error and no more");
    }
}

/// Runs a script on a kernel that seems to lack something.
fn without(mask: &str, script: &str) -> String {
    Script::new(script).env("LLIB_SANDBOX_WITHOUT", mask).run().output().to_owned()
}

#[test]
fn where_the_kernel_cannot_enforce_a_part_async_raises_and_says_what_is_missing() {
    let script = r#"
        local function try(sandbox)
            local ok, result = pcall(thread.async, "return 'ran'", { sandbox = sandbox })
            print(ok, ok and result:await() or result:match("cannot enforce.*"))
        end
        try(true)
        try { read = { "/usr" } }
        try { exec = true, read = { "/usr" } }
        local can = thread.capabilities()
        print(can.sandbox, can.seccomp, can.landlock, #can.missing)
    "#;
    let lacks = |what: &str| {
        format!("false\tcannot enforce the sandbox: it lacks {what} (best_effort = true runs without)\n")
    };
    let files = "Landlock for files (Linux 5.13)";
    let truncate = "Landlock for truncation of files (Linux 6.2)";
    let devices = "Landlock for device control (Linux 6.10)";
    let scopes = "Landlock for signals and abstract sockets (Linux 6.12)";
    let all_landlock = format!("{files} and {truncate} and {devices} and {scopes}");
    let expected = [
        lacks(files),
        lacks(&format!("{files} and {truncate}")),
        lacks(&all_landlock),
        "false\ttrue\tfalse\t5\n".to_owned(),
    ];
    assert_eq!(without("landlock", script), expected.concat());
    let seccomp = "seccomp filters for system calls (Linux 4.14)";
    let output = without("seccomp", script);
    assert!(output.starts_with(&lacks(seccomp)), "{output}");
    let output = without("landlock:2", script);
    let expected =
        ["true\tran\n".to_owned(), lacks(truncate), lacks(&format!("{truncate} and {devices} and {scopes}"))];
    assert!(output.starts_with(&expected.concat()), "{output}");
    let output = without("landlock:3", script);
    let expected = ["true\tran\n", "true\tran\n", &lacks(&format!("{devices} and {scopes}"))].concat();
    assert!(output.starts_with(&expected), "{output}");
}

#[test]
fn best_effort_runs_with_what_there_is_and_tells() {
    let script = r#"
        for _ = 1, 2 do
            local task = thread.async("return true, load(string.char(27) .. 'Lua') == nil", { sandbox = { best_effort = true, read = { "/usr" } } })
            local report = task:sandbox()
            print(report.enforced, report.seccomp, report.landlock, report.language, report.no_new_privs, #report.missing)
            print(select(2, task:await()))
        end
    "#;
    assert_eq!(without("landlock", script), "false\ttrue\tfalse\ttrue\ttrue\t2\ntrue\n".repeat(2));
    assert_eq!(without("landlock,seccomp", script), "false\tfalse\tfalse\ttrue\ttrue\t3\ntrue\n".repeat(2));
    assert_eq!(without("landlock:3", script), "true\ttrue\t3\ttrue\ttrue\t0\ntrue\n".repeat(2));
    // Every version between, with all that needs none of what is missing.
    for version in 1..=6 {
        let script = "for _ = 1, 8 do assert(thread.async('return 1', { sandbox = true }):await() == 1) end print('ran')";
        assert_eq!(without(&format!("landlock:{version}"), script), "ran\n", "version {version}");
    }
}

#[test]
fn the_sandbox_needs_no_privileges() {
    if !is_root() {
        // Then every other test shows it.
        return;
    }
    let outcome = Script::new(
        r#"
        local function value(source, options) local v, err = thread.async(source, options):await() return v or tostring(err) end
        print(io.popen("id -u"):read("*l"))
        for _ = 1, 8 do assert(value("return 1", { sandbox = true }) == 1) end
        print(value("return io.open('/usr/bin/env') ~= nil and io.open('/etc/passwd') == nil", { sandbox = { read = { "/usr" } } }))
        print(value("while true do end", { sandbox = true, cpu = 50 }):match("^%a+"))
        print(value("local t = {} for i = 1, math.huge do t[i] = {} end", { sandbox = true }):match("^%a+"))
        print(#value("return ('x'):rep(0x100000)", { sandbox = true }))
        "#,
    )
    .wrapped(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    .run();
    assert_eq!(outcome.output(), "65534\ntrue\ncpu\nmemory\n1048576\n");
}

#[test]
fn spares_behind_walls_that_are_killed_are_replaced_and_leave_nothing() {
    let session = Script::new(
        r#"
        assert(thread.async("return 1", { sandbox = true }):await() == 1)
        wait(function() return thread.stats().spares >= 10 end)
        say(thread.stats().zygote)
        hear()
        for i = 1, 50 do assert(thread.async("return select(3, ...)", { sandbox = true, args = { i } }):await() == i) end
        say("all ran")
        hear()
        "#,
    )
    .start();
    let zygote: i32 = session.line().parse().unwrap();
    for process in support::process::children(zygote) {
        process.kill();
    }
    session.say("");
    session.expect("all ran");
    session.say("");
    session.end().output();
    session.expect_nothing_left();
}
