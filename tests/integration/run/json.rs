//! What `--json` prints.

use std::path::Path;

use serde_json::json;
use support::Script;

use super::{document, run};

#[test]
fn json_has_result_usage_and_output() {
    let outcome = run(
        "--json",
        "io.write('out\\n') io.stderr:write('err\\n')
         return 1, 2.5, 'text\\n\"', nil, { 1, { a = true, b = {} } }",
    );
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let mut told = document(&outcome);
    let usage = told["usage"].take();
    let expected = json!({
        "ok": true, "exit_code": 0, "usage": null,
        "result": [1, 2.5, "text\n\"", null, [1, { "a": true, "b": {} }]],
        "output": { "stdout": "out\n", "stderr": "err\n", "truncated": false },
    });
    assert_eq!(told, expected);
    for (field, least) in [("wall", 0.001), ("user", 0.0), ("system", 0.0), ("maxrss", 100_000.0)] {
        assert!(usage[field].as_f64().is_some_and(|value| value >= least), "{field}: {usage}");
    }
}

#[test]
fn json_tells_a_failure_and_stays_one_object() {
    let told =
        document(&run("--json --timeout 100ms", "print('before') io.stdout:flush() while true do end"));
    assert_eq!(told["failure"]["kind"], "deadline");
    assert_eq!(
        (&told["ok"], &told["exit_code"], &told["failure"]["limit"]),
        (&json!(false), &json!(124), &json!(100))
    );
    assert_eq!(told["output"]["stdout"], "before\n");

    let told = document(&run("--json", "error('oops')"));
    assert_eq!((&told["failure"]["kind"], &told["exit_code"]), (&json!("error"), &json!(1)));
    let traceback = told["failure"]["traceback"].as_str().unwrap();
    assert!(traceback.ends_with("in main chunk") && !traceback.contains("llib run"), "{traceback}");

    let told = document(&run("--json", "os.exit(3)"));
    assert_eq!(
        (&told["failure"]["kind"], &told["failure"]["code"], &told["exit_code"]),
        (&json!("exit"), &json!(3), &json!(3))
    );
    let told = document(&run("--json", "return coroutine.create(function() end)"));
    assert_eq!((&told["failure"]["kind"], &told["exit_code"]), (&json!("encode"), &json!(119)));
    let told = document(&run("--json", "x ="));
    assert_eq!(told["failure"]["kind"], "error");
    assert_eq!(told["failure"].get("traceback"), None);
    let told = document(&Script::file(Path::new("/nowhere.lua")).subcommand("run --json").run());
    assert_eq!(told["failure"]["message"], "cannot open /nowhere.lua: No such file or directory");
}

#[test]
fn what_json_cannot_say_has_a_reason() {
    for (text, expected) in [
        ("return 1, print", "value 2: JSON has nothing for a function"),
        ("return { a = { 0 / 0 } }", "value 1.a[1]: JSON has no number for NaN"),
        ("return '\\255'", "value 1: the string is not UTF-8, which JSON has to be"),
        ("return { 1, x = 2 }", "value 1: JSON has no table with integer keys beside others"),
        ("local t = {} t.t = t return t", "nested more than 100 deep, or contain themselves"),
        // A table of 2^60 leaves, in 60 tables.
        (
            "local t = { 'leaf' } for _ = 1, 60 do t = { t, t } end return t",
            "the values take more than 64 MiB",
        ),
    ] {
        let outcome = run("--json", text);
        let told = document(&outcome);
        assert_eq!(
            (outcome.code, told.get("result"), told.get("failure")),
            (Some(0), None, None),
            "{outcome:?}"
        );
        assert!(told["result_error"].as_str().unwrap().ends_with(expected), "{told}");
    }
}

#[test]
fn captured_output_has_an_end_that_is_told() {
    for (length, truncated) in [(100, false), (101, true)] {
        let text = format!("io.write(('x'):rep({length}))");
        let told = document(&run("--json --capture-limit 100", &text));
        assert_eq!(
            told["output"],
            json!({ "stdout": "x".repeat(100), "stderr": "", "truncated": truncated })
        );
    }
}
