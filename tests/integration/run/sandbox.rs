//! `llib run --sandbox`: grants, limits, codes.

use serde_json::json;
use support::Scratch;

use super::{document, reason, run, script};

#[test]
fn a_sandbox_grants_what_was_said_and_nothing_else() {
    let outcome = run("--sandbox", "print(io, os.execute, require, ...) return 1").output().to_owned();
    assert!(outcome.starts_with("nil\tnil\t"), "{outcome}");
    let scratch = Scratch::new();
    let given = scratch.write("given", "the text");
    let folder = scratch.path().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let text = format!(
        "print(io.open('{0}'):read('*a'), (io.open('{0}', 'a')), (io.open('/etc/passwd')))
         print(io.open('{1}/new', 'w') ~= nil, os.getenv('SCRATCH') ~= nil, os.getenv('PATH'))",
        given.display(),
        folder.display()
    );
    let options = format!("--read {} --write {} --env SCRATCH", given.display(), folder.display());
    assert_eq!(run(&options, &text).output(), "the text\tnil\tnil\ntrue\ttrue\tnil\n");
    assert!(folder.join("new").exists());
}

#[test]
fn a_sandbox_has_limits_of_its_own_and_ends_by_the_same_codes() {
    for (options, text, code, words) in [
        ("--sandbox", "local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end", 121, "memory: "),
        ("--sandbox --cpu 50ms", "while true do end", 122, "cpu: "),
        ("--sandbox --timeout 100ms", "while true do end", 124, "deadline: "),
        ("--sandbox", "error('oops', 0)", 1, "oops\nstack traceback:\n"),
        ("--sandbox", "return return", 1, ""),
        ("--read /nowhere/at/all", "", 2, "option 'sandbox': 'read' cannot grant '/nowhere/at/all'"),
    ] {
        let outcome = run(options, text);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(code), ""), "{outcome:?}");
        assert!(reason(&outcome).starts_with(words), "{outcome:?}");
    }
    let told = document(&run("--sandbox --json", "print('hi') return { answer = 42 }"));
    assert_eq!((&told["result"], &told["output"]["stdout"]), (&json!([{ "answer": 42 }]), &json!("hi\n")));
}

#[test]
fn a_denied_system_call_has_its_code_and_name() {
    let outcome = run("--json --libs lfs", "require('lfs').chdir('/')");
    let told = document(&outcome);
    if told["failure"]["message"]
        .as_str()
        .is_some_and(|message| message.contains("lfs") && outcome.code != Some(123))
    {
        assert!(std::env::var_os("LLIB_TEST_REQUIRE_STOCK_LUA").is_none(), "CI has lfs: {told}");
        eprintln!("skipped: there is no lfs for the built-in interpreter");
        return;
    }
    assert_eq!(
        (outcome.code, &told["failure"]["kind"], &told["failure"]["call"]),
        (Some(123), &json!("denied"), &json!("chdir"))
    );
}

#[test]
fn a_sandbox_that_the_kernel_cannot_enforce_is_refused_unless_that_is_wanted() {
    let weak = |options| script(options, "print('ran')").env("LLIB_SANDBOX_WITHOUT", "landlock").run();
    let outcome = weak("--sandbox");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(125), ""), "{outcome:?}");
    assert!(reason(&outcome).starts_with("lost: this kernel ("), "{outcome:?}");
    assert_eq!(weak("--best-effort").output(), "ran\n");
}

#[test]
fn a_script_in_a_sandbox_starts_jobs_there_as_many_as_were_granted() {
    let text = "local thread = require 'llib'.thread
        local tasks = {}
        for i = 1, 9 do
            local ok, task = pcall(thread.async, 'return io, ' .. i)
            if not ok then break end
            tasks[i] = task
        end
        local sum = 0
        for i = 1, #tasks do
            local io, value = tasks[i]:await(20000)
            sum = sum + (io and 1000 or 0) + value
        end
        print(#tasks, sum)";
    assert_eq!(run("--sandbox", text).output(), "4\t10\n");
    assert_eq!(run("--jobs 2", text).output(), "2\t3\n");
    assert_eq!(run("--jobs 0", text).output(), "0\t0\n");
}

#[test]
fn a_result_has_a_limit() {
    let outcome = run("--json --result-limit 1K", "return ('x'):rep(2000)");
    assert_eq!(outcome.code, Some(119), "{outcome:?}");
    assert_eq!(run("--json --result-limit 1K", "return ('x'):rep(900)").code, Some(0));
}
