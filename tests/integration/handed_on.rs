//! Nothing is handed on from one job to the next: a look through all memory of sandboxed workers, and of the processes that
//! they are forked from, after jobs with known secrets in everything that a job has or leaves.
//!
//! Looking into other processes takes root, or the right to trace them.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use support::{Interpreter, Script, process};

/// What every secret begins with; two letters tell them apart.
const STEM: &str = "swordfish-4711-";

/// Jobs that are over when this ends, each with secrets, one after the other, so that they use the slots that later jobs get. A pool lives on.
const TENANTS: &str = r#"
    local stem = "swordfish-" .. "4711-"
    local function long(kind, length) return (stem .. kind .. " "):rep(math.ceil(length / 18)) end
    local sandboxes = { false, true, { read = { "/usr" } }, { env = { "LLIB_TEST_SECRET" } } }
    local function each(options)
        local tasks = {}
        for i, sandbox in ipairs(sandboxes) do
            local all = { sandbox = sandbox, timeout = 60000 }
            for key, value in pairs(options) do if key ~= "f" then all[key] = value end end
            tasks[i] = thread.async(options.f, all)
        end
        for _, task in ipairs(tasks) do task:await() task:clean() end
    end
    local echo, pool = "return select(3, ...)", nil
    for round = 1, 2 do
        for _, length in ipairs { 18, 3000, 60000, 200000 } do
            each { f = echo, args = { long("ar", length) } }
            each { f = "return (('swordfish-' .. '4711-re '):rep(" .. length .. " / 18))" }
        end
        each { f = "return 1", name = stem .. "na" }
        each { f = "local x = '" .. stem .. "so' return #x" }
        local upvalue = stem .. "up"
        each { f = function() return #upvalue end }
        each { f = "error('swordfish-' .. '4711-er')" }
        each { f = "return nil, { kind = 'swordfish-' .. '4711-ki' }" }
        each { f = "for i = 1, 400 do print('swordfish-' .. '4711-pr') io.stderr:write('swordfish-' .. '4711-pe') end", stdout = "capture", stderr = "capture" }
        each { f = "local s = {} for i = 1, 500 do s[i] = ('swordfish-' .. '4711-he') .. i end return 1" }
        local granted = os.getenv("SCRATCH") .. "/" .. stem .. "pa"
        assert(io.open(granted, "w")):close()
        thread.async("return 1", { sandbox = { read = { granted } } }):await()
        local nested = [[
            local thread, kind = require "llib".thread, ...
            local text = ("swordfish-" .. "4711-nr "):rep(200)
            for i = 1, 3 do
                local inner = thread.async("return select(3, ...)", { args = { text, select(3, ...) }, name = "swordfish-" .. "4711-nn" })
                assert(inner:await())
                inner:clean()
            end
        ]]
        pool = pool or thread.pool { size = 2, timeout = 60000 }
        for _, length in ipairs { 18, 3000, 200000 } do
            assert(pool:submit(function(text) return text end, long("po", length)):await())
        end
        for _, sandbox in ipairs { true, { env = { "LLIB_TEST_SECRET" } } } do
            local task = thread.async(nested, { sandbox = sandbox, name = stem .. "no", args = { stem .. "na" } })
            local _, err = task:await()
            assert(not err, err and err.message)
            task:clean()
        end
    end
"#;

/// Objects that held secrets before, and whose present content is none.
const OBJECTS: &str = r#"
    local given = {}
    for _, length in ipairs { 18, 500, 3000, 30000, 200000 } do
        local buffer, channel = thread.buffer(), thread.channel()
        buffer:set(long("b1", length)) buffer:set(long("b2", length)) buffer:set(("x"):rep(length / 2))
        channel:push(long("c1", length)) channel:push("y") channel:push(long("c2", length)) channel:push("z")
        channel:pop() channel:pop() channel:pop()
        given[#given + 1], given[#given + 2] = buffer, channel
        local smaller = thread.buffer(long("b3", length))
        smaller:set(1)
        given[#given + 1] = smaller
    end
"#;

/// One job of each kind of worker that sleeps; says their process ids, then waits.
const SLEEPERS: &str = r#"
    local tasks, pids = {}, {}
    local function sleeper(what, options, f)
        options.timeout = 300000
        local ready = options.args and thread.channel()
        if ready then options.args[#options.args + 1] = ready end
        local task = thread.async(f or "local r = select(select('#', ...), ...) if r and r.push then r:push(1) end require 'llib'.thread.sleep(1e9)", options)
        if ready then assert(ready:pop(20000), what) end
        tasks[#tasks + 1] = task
        pids[#pids + 1] = what .. "=" .. task:pid()
        return task
    end
    for i = 1, 6 do
        sleeper("spare" .. i, { sandbox = true })
        sleeper("grants" .. i, { sandbox = { read = { "/usr" } } })
    end
    for i = 1, 3 do
        sleeper("captured" .. i, { sandbox = true, stdout = "capture", stderr = "capture" })
        sleeper("long" .. i, { sandbox = true, args = { ("x"):rep(100000) } })
        sleeper("objects" .. i, { sandbox = {}, args = { given } })
    end
    for i = 1, 2 do
        -- Its own starter has secrets: a name, arguments, a variable.
        local channel = thread.channel()
        sleeper("starter", { sandbox = { env = { "LLIB_TEST_SECRET" } }, name = stem .. "st", args = { channel, stem .. "sa" } }, [[
            local thread, channel = require "llib".thread, select(3, ...)
            for i = 1, 3 do
                local one = thread.async("return select(3, ...)", { args = { ("swordfish-" .. "4711-ns "):rep(100) } })
                assert(one:await())
                one:clean()
            end
            local inner = thread.async("local r = select(3, ...) r:push(1) require 'llib'.thread.sleep(1e9)", { args = { channel }, sandbox = {}, timeout = 300000 })
            channel:push(inner:pid())
            select(select('#', ...), ...):push(1)
            inner:await()
        ]])
        local found
        repeat local item = channel:pop(20000) found = item ~= 1 and item or found until found and item == 1 or item == nil
        pids[#pids + 1] = "nested" .. i .. "=" .. tostring(found)
    end
    wait(function() return thread.stats().spares > 0 end)
    say(table.concat(pids, " "))
    hear()
"#;

/// A mapping's line in /proc/PID/maps.
struct Part<'a> {
    range: &'a str,
    start: u64,
    end: u64,
    shared: bool,
    line: &'a str,
}

/// The mappings that a process has and its children can see.
fn parts(maps: &str) -> impl Iterator<Item = Part<'_>> {
    let readable =
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|access| access.starts_with('r')));
    readable.filter(|line| !line.contains("[vvar") && !line.contains("[vsyscall]")).filter_map(|line| {
        let mut words = line.split(' ');
        let (range, access) = (words.next()?, words.next()?);
        let (start, end) = range.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(Part { range, start: number(start)?, end: number(end)?, shared: access.ends_with('s'), line })
    })
}

/// Bytes that stand in a mapping; in one of shared memory as far as pages exist, so that looking makes none.
fn read(pid: i32, part: &Part<'_>, mut take: impl FnMut(&[u8])) {
    let mut copy = |file: &File, at: u64, len: u64| {
        const STEP: u64 = 1 << 20;
        let mut bytes = vec![0; len.min(STEP) as usize + STEM.len()];
        for at in (at..at + len).step_by(STEP as usize) {
            if let Ok(count) = file.read_at(&mut bytes, at) {
                take(&bytes[..count]);
            }
        }
    };
    if !part.shared {
        let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else { return };
        return copy(&memory, part.start, part.end - part.start);
    }
    let Ok(file) = File::open(format!("/proc/{pid}/map_files/{}", part.range)) else { return };
    let offset = u64::from_str_radix(part.line.split(' ').nth(2).unwrap(), 16).unwrap();
    let end = offset + (part.end - part.start);
    let mut at = offset;
    while let Ok(data) = seek(file.as_fd(), SeekFrom::Data(at)).map(|data| data.min(end))
        && data < end
    {
        let hole = seek(file.as_fd(), SeekFrom::Hole(data)).map_or(end, |hole| hole.min(end));
        copy(&file, data, hole - data);
        at = hole;
    }
}

/// The lines of /proc/PID/maps for what the children of a process get, too.
fn maps(pid: i32) -> String {
    // A spare may have gone since it was found.
    let all = std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap_or_default();
    let mut kept = Vec::new();
    for line in all.lines() {
        match line.strip_prefix("VmFlags:") {
            // "dc": not copied when it forks.
            Some(flags) if flags.split(' ').any(|flag| flag == "dc") => drop(kept.pop()),
            Some(_) => {}
            None if line.split(' ').next().is_some_and(|word| word.contains('-')) => kept.push(line),
            None => {}
        }
    }
    kept.join("\n")
}

/// The secrets in a process's memory, each with where it stands.
fn secrets(pid: i32) -> Vec<String> {
    let maps = maps(pid);
    let mut found = Vec::new();
    for part in parts(&maps) {
        let mut kinds = Vec::new();
        read(pid, &part, |bytes| {
            let mut rest = bytes;
            while let Some(at) = memchr::memmem::find(rest, STEM.as_bytes()) {
                let kind = &rest[at + STEM.len()..];
                let kind = String::from_utf8_lossy(&kind[..kind.len().min(2)]).into_owned();
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
                rest = &rest[at + 1..];
            }
        });
        kinds.sort();
        if !kinds.is_empty() {
            found.push(format!(
                "{} in {}",
                kinds.join(","),
                part.line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
            ));
        }
    }
    found
}

fn expect_nothing_handed_on(before: &str, environment: &[(&str, String)]) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root may look into all of these processes");
        return;
    }
    let mut script = Script::new(&format!("{before}{TENANTS}{OBJECTS}{SLEEPERS}"))
        .by(Interpreter::Builtin)
        .env("LLIB_TEST_SECRET", format!("{STEM}en"));
    for (name, value) in environment {
        script = script.env(name, value);
    }
    let session = script.limit(std::time::Duration::from_secs(100)).start();
    let line = session.line();
    let mut holes = Vec::new();
    let mut known = Vec::new();
    for word in line.split_whitespace() {
        let (what, pid) = word.split_once('=').unwrap();
        let pid: i32 = pid.parse().unwrap_or_else(|_| panic!("{line}"));
        known.push(pid);
        assert!(process::Process::find(pid).is_some(), "{what} is there to be looked at");
        if what != "starter" {
            holes.extend(secrets(pid).into_iter().map(|secret| format!("{what}: {secret}")));
        }
    }
    let zygote = session.zygote().pid;
    for child in process::children(zygote) {
        // Spares; those behind walls are the ones that have a filter.
        let walled = process::status(child.pid, "Seccomp").is_some_and(|mode| mode == "2");
        // A pool's workers have jobs after jobs, and are in no sandbox.
        let name = std::fs::read_to_string(format!("/proc/{}/comm", child.pid)).unwrap_or_default();
        if !known.contains(&child.pid) && !name.starts_with("llib:") {
            let what = if walled { "waits" } else { "forks, or is to wait" };
            let others = secrets(child.pid).into_iter().filter(|found| walled || !is_environment(found));
            holes.extend(others.map(|secret| format!("{what}: {secret}")));
        }
    }
    // It has the host's environment, and its workers empty that.
    let own =
        secrets(zygote).into_iter().filter(|found| !found.contains("/dev/shm") && !is_environment(found));
    holes.extend(own.map(|secret| format!("zygote: {secret}")));
    session.say("");
    session.end().output();
    assert!(holes.is_empty(), "{}", holes.join("\n"));
    session.expect_nothing_left();
}

fn is_environment(found: &str) -> bool {
    found.starts_with("en in ")
}

#[test]
fn no_sandboxed_worker_has_anything_of_another_job_in_its_memory() {
    expect_nothing_handed_on("", &[]);
}

#[test]
fn nor_where_a_template_forks_and_a_timeline_and_a_log_are_written() {
    let preload = "thread.preload 'string'\n";
    let files = [("LLIB_TRACE", "timeline.json"), ("LLIB_LOG", "debug"), ("LLIB_LOG_FILE", "log")];
    expect_nothing_handed_on(preload, &files.map(|(name, value)| (name, value.to_owned())));
}
