//! `LLIB_TRACE`: the timeline tells what happened, every begin has its end, and it can be read at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use support::{Interpreter, Script, until};

/// The events of a timeline. Each stands on a line of its own, and all of it is an array whose end is missing.
fn events(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.strip_prefix("[\n").expect("it begins an array").lines();
    let each: Vec<Value> = lines
        .map(|line| {
            serde_json::from_str(line.trim_end_matches(',')).unwrap_or_else(|error| panic!("{error}: {line}"))
        })
        .collect();
    let whole: Vec<Value> =
        serde_json::from_str(&format!("{}]", text.trim_end().trim_end_matches(','))).unwrap();
    assert_eq!(whole, each);
    each
}

/// A timeline, with what nests put together.
struct Timeline {
    /// Process, category and name of what began and ended on a track, with the arguments of both ends.
    spans: Vec<(i64, String, String, Value, Value)>,
    /// The same of what does not nest.
    lines: Vec<(i64, String, String, Value, Value)>,
    instants: Vec<Value>,
    names: BTreeMap<i64, Vec<String>>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Reads a timeline of which every begin has its end, in times that are in order.
fn timeline(path: &Path) -> Timeline {
    let mut read =
        Timeline { spans: Vec::new(), lines: Vec::new(), instants: Vec::new(), names: BTreeMap::new() };
    let mut open: BTreeMap<(i64, i64), Vec<Value>> = BTreeMap::new();
    let mut apart: BTreeMap<(String, String, String), Value> = BTreeMap::new();
    // Ends that others write for a dead worker stand in the file later than they were.
    let mut events = events(path);
    let time = |event: &Value| event["ts"].as_f64().expect("each event has a time");
    events.sort_by(|a, b| time(a).total_cmp(&time(b)));
    for event in events {
        let pid = event["pid"].as_i64().expect("each event has a process");
        let track = (pid, event["tid"].as_i64().expect("each event has a thread"));
        let key = || (text(&event["cat"]), text(&event["id"]), text(&event["name"]));
        match event["ph"].as_str().expect("each event has a phase") {
            "M" => read.names.entry(pid).or_default().push(text(&event["args"]["name"])),
            "B" => open.entry(track).or_default().push(event),
            "E" => {
                let begin = open.get_mut(&track).and_then(Vec::pop);
                let begin = begin.unwrap_or_else(|| panic!("nothing has begun that ends here: {event}"));
                assert!(time(&event) >= time(&begin), "{begin} {event}");
                let args = (begin["args"].clone(), event["args"].clone());
                read.spans.push((pid, text(&begin["cat"]), text(&begin["name"]), args.0, args.1));
            }
            "b" => assert!(apart.insert(key(), event.clone()).is_none(), "begins twice: {event}"),
            "e" => {
                let begin = apart
                    .remove(&key())
                    .unwrap_or_else(|| panic!("nothing has begun that ends here: {event}"));
                assert!(time(&event) >= time(&begin), "{begin} {event}");
                let args = (begin["args"].clone(), event["args"].clone());
                let pid = begin["pid"].as_i64().expect("each event has a process");
                read.lines.push((pid, text(&begin["cat"]), text(&begin["name"]), args.0, args.1));
            }
            "i" => read.instants.push(event),
            "X" => assert!(event["dur"].as_f64().is_some_and(|time| time >= 0.0), "{event}"),
            phase => panic!("an event of an unknown phase {phase}: {event}"),
        }
    }
    let left: Vec<&Value> = open.values().flatten().chain(apart.values()).collect();
    assert!(left.is_empty(), "begun and not ended: {left:#?}");
    read
}

impl Timeline {
    /// What became of the jobs of this name, as the host saw it and as the worker's track has it.
    fn outcomes(&self, name: &str) -> (Vec<String>, Vec<String>) {
        let of = |list: &[(i64, String, String, Value, Value)], category: &str| {
            list.iter()
                .filter(|(_, found, title, ..)| found == category && title == name)
                .map(|(.., end)| text(&end["outcome"]))
                .collect()
        };
        (of(&self.lines, "job"), of(&self.spans, "run"))
    }

    fn worker(&self, name: &str) -> i64 {
        let run = self.spans.iter().find(|(_, category, title, ..)| category == "run" && title == name);
        run.unwrap_or_else(|| panic!("no run of {name}")).0
    }

    fn names_on(&self, pid: i64, category: &str) -> BTreeSet<String> {
        let all = self.spans.iter().chain(&self.lines);
        all.filter(|(on, found, ..)| *on == pid && found == category)
            .map(|(_, _, name, ..)| name.clone())
            .collect()
    }
}

const PROGRAM: &str = r#"
    local m, ready, b = thread.mutex(), thread.channel(), thread.buffer(0)
    local function job(name, f, opts)
        opts = opts or {}
        opts.name = name
        return thread.async(f, opts)
    end
    assert(job("a \"fine\" one\n", function() return 2 end):await() == 2)
    local killed = job("killed", function() thread.lock(3) m:lock() ready:push(true) thread.channel():pop() end)
    ready:pop()
    local waiter = job("waiter", function()
        ready:push(true)
        thread.lock(3)
        m:with(function() end)
        b:mod(function(v) return v + 1 end)
        thread.unlock(3)
    end)
    ready:pop()
    thread.sleep(20)
    killed:kill()
    assert(select(2, killed:await()).kind == "killed")
    waiter:await()
    assert(select(2, job("error", function() error("x") end):await()).kind == "error")
    assert(select(2, job("late", "while true do end", { timeout = 30 }):await()).kind == "deadline")
    assert(select(2, job("in a box", "while true do end", { timeout = 30, sandbox = true }):await()).kind == "deadline")
    assert(select(2, job("exit", "os.exit(3)"):await()).kind == "exit")
    local outer = job("outer", function()
        local thread = require("llib").thread
        local five = thread.async(function() return 5 end, { name = "inner" }):await()
        -- Its supervisors are killed with this job, and would leave open what they have not ended.
        while thread.stats().jobs > 0 do thread.sleep(1) end
        return five
    end)
    assert(outer:await() == 5)
    local p = thread.pool({ size = 2 })
    assert(#p:map(function(x) return x * 2 end, { 1, 2, 3, 4, 5, 6, 7, 8 }) == 8)
    assert(select(2, p:submit(function() os.exit(4) end):await()).kind == "exit")
    p:close()
    local crowd = {}
    for i = 1, 12 do crowd[i] = job("crowd", function() return i end) end
    for i, task in ipairs(crowd) do assert(task:await() == i) end
    job("closed", function(res) while not res:testclose() do thread.sleep(1) end end):close(5000)
    job("left", function() ready:push(true) thread.sleep(1e9) end)
    ready:pop()
    say(thread.stats().zygote)
"#;

#[test]
fn a_timeline_tells_what_happened_and_every_begin_has_its_end() {
    for interpreter in Interpreter::all() {
        let session = Script::new(PROGRAM).by(interpreter).env("LLIB_TRACE", "timeline.json").start();
        let host = i64::from(session.host.pid);
        let zygote = i64::from(session.number());
        assert_eq!(session.end().output().lines().count(), 1);
        session.expect_nothing_left();
        let timeline = timeline(&session.scratch.path().join("timeline.json"));
        for (name, outcome, ending) in [
            ("a \"fine\" one\n", "values", "values"),
            ("killed", "killed", "SIGKILL, task:kill"),
            ("waiter", "values", "values"),
            ("error", "error", "error"),
            ("late", "deadline", "SIGKILL, its deadline"),
            ("in a box", "deadline", "SIGKILL, its deadline"),
            ("exit", "exit", "exit 3"),
            ("outer", "values", "values"),
            ("inner", "values", "values"),
        ] {
            let outcomes = timeline.outcomes(name);
            assert_eq!(outcomes, (vec![outcome.to_owned()], vec![ending.to_owned()]), "{name}");
        }
        assert_eq!(
            timeline.outcomes("crowd"),
            (vec!["values".to_owned(); 12], vec!["values".to_owned(); 12])
        );
        assert_eq!(timeline.outcomes("left").1, ["session over"]);
        // Every track has a name, and they are those of the processes that there were.
        for (pid, name) in [(host, "script.lua"), (zygote, "zygote"), (timeline.worker("killed"), "killed")] {
            let names = timeline.names.get(&pid).cloned().unwrap_or_default();
            assert!(names.last().is_some_and(|last| last.contains(name)), "{pid}: {names:?}");
        }
        let waiter = timeline.worker("waiter");
        let waits = timeline.names_on(waiter, "wait");
        assert!(waits.contains("lock 3"), "{waits:?}");
        for pid in [timeline.worker("killed"), waiter] {
            assert!(timeline.names_on(pid, "lock").contains("lock 3"));
        }
        let hold = |pid: i64| timeline.lines.iter().find(|line| line.0 == pid && line.2 == "lock 3").unwrap();
        assert_eq!(hold(timeline.worker("killed")).4["end"], "abandoned");
        assert_eq!(
            (&hold(waiter).3["before"], &hold(waiter).4["end"]),
            (&"abandoned".into(), &"released".into())
        );
        assert!(timeline.names_on(waiter, "buffer").iter().all(|name| name.starts_with("mod buffer ")));
        assert_eq!(timeline.names_on(host, "kill"), ["SIGKILL to killed".to_owned()].into());
        // One in a sandbox has no means to write anything.
        let boxed = timeline.worker("in a box");
        assert!(timeline.spans.iter().filter(|span| span.0 == boxed).all(|span| span.1 == "run"));
        // The inner job's host is the outer job.
        let inner = timeline.lines.iter().find(|line| line.2 == "inner").unwrap();
        assert_eq!(inner.0, timeline.worker("outer"));
        // Eight items in chunks, and the one that ended its worker.
        let pool: Vec<_> = timeline
            .lines
            .iter()
            .filter(|line| line.1 == "pool")
            .map(|line| text(&line.4["outcome"]))
            .collect();
        let died = pool.iter().filter(|outcome| *outcome == "its worker died").count();
        assert!(
            died == 1 && pool.iter().filter(|outcome| *outcome == "values").count() == pool.len() - 1,
            "{pool:?}"
        );
        let done =
            timeline.spans.iter().filter(|span| span.1 == "pool" && span.2.starts_with("job ")).count();
        assert_eq!(done, pool.len());
        let signals =
            timeline.instants.iter().filter(|event| event["args"]["cause"] == "its deadline").count();
        assert_eq!(signals, 2);
        assert!(timeline.instants.iter().any(|event| event["name"] == "session over"));
    }
}

#[test]
fn a_timeline_can_be_read_when_everybody_was_killed() {
    let session = Script::new(
        "for i = 1, 4 do thread.async(function() while true do thread.lock(1) thread.unlock(1) end end, \
         { name = 'busy' }) end say('ready') while true do thread.async('return 1'):await() end",
    )
    .env("LLIB_TRACE", "timeline.json")
    .start();
    session.expect("ready");
    let path = session.scratch.path().join("timeline.json");
    // While it runs, too.
    let many = until(Duration::from_secs(20), || (fs::metadata(&path).ok()?.len() > 100_000).then_some(()));
    assert!(many.is_some());
    support::process::kill_at_once(&[&session.zygote(), &session.guard(), &session.host]);
    session.expect_nothing_left();
    assert!(events(&path).iter().any(|event| event["name"] == "busy"));
}

#[test]
fn what_a_killed_zygote_leaves_open_the_guard_ends() {
    let session = Script::new(
        "local t = thread.async(function() thread.sleep(1e9) end, { name = 'orphan' }) t:pid() \
         say(thread.stats().zygote) hear() say(select(2, t:await()).kind)",
    )
    .env("LLIB_TRACE", "timeline.json")
    .start();
    session.number();
    session.zygote().signal(nix::sys::signal::Signal::SIGKILL);
    session.say("");
    session.expect("lost");
    session.end();
    session.expect_nothing_left();
    let timeline = timeline(&session.scratch.path().join("timeline.json"));
    assert_eq!(timeline.outcomes("orphan"), (vec!["lost".to_owned()], vec!["supervisors lost".to_owned()]));
}

#[test]
fn limits_of_a_job_hold_and_are_no_ones_trap_while_there_is_a_timeline() {
    let script = Script::new(
        "local t = thread.async(function() thread.lock(1) thread.unlock(1) \
         local f = assert(io.open('file', 'w')) f:write(('x'):rep(5000)) f:close() thread.lock(1) return 1 end, \
         { name = 'limited', fsize = '8K', files = 12 }) print(t:await()) \
         print(select('#', thread.async(function() local open = {} for fd = 0, 20 do \
           local f = io.open('/proc/self/fd/' .. fd) if f then f:close() end end end):await()))",
    );
    let session = script.env("LLIB_TRACE", "timeline.json").start();
    assert_eq!(session.end().output(), "1\n0\n");
    session.expect_nothing_left();
    let timeline = timeline(&session.scratch.path().join("timeline.json"));
    assert_eq!(timeline.outcomes("limited").0, ["values"]);
}

#[test]
fn a_program_that_another_one_starts_writes_to_the_same_file_and_the_next_one_makes_it_anew() {
    let inner = "require('llib').thread.async('return 1', { name = 'of the other' }):await()";
    let text = format!(
        "thread.async('return 1', {{ name = 'first' }}):await() \
         os.execute(('%s -e \"%s\"'):format(os.getenv('LLIB'), [[{inner}]])) \
         thread.async('return 1', {{ name = 'second' }}):await()"
    );
    let session =
        Script::new(&text).env("LLIB_TRACE", "timeline.json").env("LLIB", support::binaries::llib()).start();
    session.end().output();
    session.expect_nothing_left();
    let path = session.scratch.path().join("timeline.json");
    let read = timeline(&path);
    for name in ["first", "of the other", "second"] {
        assert_eq!(read.outcomes(name).0, ["values"], "{name}");
    }
    // At once after the last one, whose supervisors still write.
    let next = |name: &str| {
        let text = format!("thread.async('return 1', {{ name = '{name}' }}):await()");
        let session = Script::new(&text).env("LLIB_TRACE", &path).start();
        session.end().output();
        session
    };
    let sessions = ["third", "fourth"].map(next);
    sessions.iter().for_each(|session| session.expect_nothing_left());
    let read = timeline(&path);
    let names: BTreeSet<&str> = read.lines.iter().map(|line| line.2.as_str()).collect();
    assert_eq!(names, ["fourth"].into());
}

#[test]
fn a_file_that_cannot_be_written_is_told_once_and_nothing_fails() {
    let outcome =
        Script::new("print(thread.async('return 1'):await())").env("LLIB_TRACE", "/nowhere/at/all").run();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "1\n"));
    let reason = "llib: LLIB_TRACE: cannot write '/nowhere/at/all': No such file or directory (os error 2)\n";
    assert_eq!(outcome.stderr, reason);
    let session = Script::new("thread.async('return 1'):await()").env("LLIB_TRACE", "").start();
    session.end().output();
    assert!(!session.scratch.path().join("timeline.json").exists());
}
