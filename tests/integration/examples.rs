//! The examples of `docs/examples` do what they show, in every interpreter that there is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{Interpreter, Outcome, Script};

fn example(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples")).join(name)
}

/// Runs an example in its scratch directory, and again in each other interpreter.
fn each(name: &str, arguments: &[&str], check: impl Fn(&Outcome, &Path)) {
    for interpreter in Interpreter::all() {
        let script = Script::file(&example(name)).by(interpreter).limit(Duration::from_secs(120));
        let session = arguments.iter().fold(script, |script, argument| script.argument(argument)).start();
        let outcome = session.end();
        check(&outcome, session.scratch.path());
        session.expect_nothing_left();
    }
}

/// Lines of the output, without what surrounds them.
fn lines(outcome: &Outcome) -> Vec<&str> {
    outcome.output().lines().map(str::trim).collect()
}

/// The output is these lines. One that ends with a space goes on with what was used of a limit.
fn expect_lines(outcome: &Outcome, expected: &[&str]) {
    let lines = lines(outcome);
    assert_eq!(lines.len(), expected.len(), "{outcome:?}");
    for (line, expected) in lines.iter().zip(expected) {
        let matches = if expected.ends_with(' ') { line.starts_with(expected) } else { line == expected };
        assert!(matches, "'{expected}' was expected, not '{line}'");
    }
}

#[test]
fn the_tour_ends_with_no_job_left() {
    each("tour.lua", &[], |outcome, _| {
        let output = outcome.output();
        for part in [
            "✓ done, from inside a pcall",
            "✗ rejected: not today",
            "✗ exit: ",
            "✗ signal: the worker process died of SIGSEGV",
            "✗ killed: ",
            "✗ closed: ",
            "✓ the squares of 1 to 100 sum up to 338350",
            "✓ fib(5) = 5",
            "Left of all that: 0 jobs",
        ] {
            assert!(output.contains(part), "'{part}' is not in {outcome:?}");
        }
        assert_eq!(output.matches("✗ deadline: ").count(), 2, "{outcome:?}");
    });
}

/// Words of ASCII letters, in lower case, and how often each occurs.
fn count_words(files: &[PathBuf]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for file in files {
        let text = fs::read(file).expect("the text can be read").to_ascii_lowercase();
        for word in text.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty()) {
            *counts.entry(String::from_utf8_lossy(word).into_owned()).or_default() += 1;
        }
    }
    counts
}

/// What the word count prints of these files.
fn ranking(files: &[PathBuf]) -> Vec<String> {
    let counts = count_words(files);
    let lines: usize = files
        .iter()
        .map(|file| String::from_utf8_lossy(&fs::read(file).expect("as above")).lines().count())
        .sum();
    let words: usize = counts.values().sum();
    let mut ranked: Vec<(&String, &usize)> = counts.iter().collect();
    // Stable: words of one count stay in the order of the alphabet.
    ranked.sort_by(|(_, a), (_, b)| b.cmp(a));
    let head =
        format!("{} files, {lines} lines, {words} words, {} different ones", files.len(), counts.len());
    let top = ranked.iter().take(10).map(|(word, times)| format!("{times}  {word}"));
    [head].into_iter().chain(top).collect()
}

#[test]
fn the_parallel_word_count_is_that_of_one_process() {
    let licences = Path::new("/usr/share/common-licenses");
    let entries = fs::read_dir(licences).into_iter().flatten().flatten();
    let files: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .collect();
    if !files.is_empty() {
        each("word_count.lua", &[], |outcome, _| assert_eq!(lines(outcome), ranking(&files)));
    }

    let files = ["README.md", "docs/guide.md", "docs/api.md"]
        .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name));
    let names: Vec<&str> = files.iter().filter_map(|file| file.to_str()).collect();
    each("word_count.lua", &names, |outcome, _| assert_eq!(lines(outcome), ranking(&files)));
}

#[test]
fn the_plugin_host_survives_its_plugins() {
    each("plugins.lua", &[], |outcome, _| {
        let expected = [
            "\"   this program lives on. \"",
            "trim           ok",
            "spell checker  switched off: signal: the worker process died of SIGSEGV",
            "translator     switched off: cpu: ",
            "thesaurus      switched off: memory: ",
            "emoji          switched off: error: emoji:2: attempt to index ",
            "capitals       ok",
            "→ \"This program lives on.\"",
            "",
            "\" and it is :heart: quick.\"",
            "trim           ok",
            "capitals       ok",
            "→ \"And it is :heart: quick.\"",
            "",
        ];
        expect_lines(outcome, &expected);
    });
}

#[test]
fn the_test_runner_counts_a_crash_as_one_failure() {
    each("tests.lua", &[], |outcome, _| {
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), ""), "{outcome:?}");
        // Lua shortens the path of a chunk at its front when it is long: where the checkout lies must not matter.
        let (bug, place) =
            ("FAILED a leap year does not come at the turn of most centuries: ", "calendar_spec.lua:14: ");
        let shown: Vec<String> = outcome
            .stdout
            .lines()
            .map(|line| match (line.strip_prefix(bug), line.find(place)) {
                (Some(_), Some(at)) => format!("{bug}{}", &line[at..]),
                _ => line.to_owned(),
            })
            .collect();
        let expected = [
            "calendar_spec.lua  1 passed",
            "crash_spec.lua  1 passed, then it ended",
            "stack_spec.lua  4 passed",
            &format!("{bug}{place}expected false, got true"),
            "FAILED crash_spec.lua: signal: the worker process died of SIGSEGV",
            "6 passed, 2 failed",
        ];
        assert_eq!(shown, expected);
    });

    let passing = example("specs/stack_spec.lua");
    each("tests.lua", &[&passing.display().to_string()], |outcome, _| {
        assert_eq!(lines(outcome), ["stack_spec.lua  4 passed", "4 passed, 0 failed"]);
    });
}

#[test]
fn the_judge_gives_each_submission_its_verdict() {
    let probe = Script::new("say(thread.capabilities().sandbox)").run();
    if probe.output() != "true\n" {
        eprintln!("skipped: this kernel cannot enforce a sandbox");
        return;
    }
    each("judge.lua", &[], |outcome, _| {
        let expected = [
            "careless.lua   wrong            test 1: n = 10",
            "collector.lua  too much memory  test 1: not enough memory: ",
            "flatterer.lua  wrong            test 1: n = 10",
            "patient.lua    too slow         test 4: used ",
            "sieve.lua      accepted         4 tests",
            "spy.lua        error            test 1: spy.lua:2: attempt to index ",
        ];
        expect_lines(outcome, &expected);
    });
}

/// The picture as the example describes it, computed here.
fn mandelbrot(width: u32, height: u32) -> Vec<u8> {
    const STEPS: u32 = 100;
    let mut picture = format!("P6\n{width} {height}\n255\n").into_bytes();
    for row in 0..height {
        for column in 0..width {
            let re = -2.2 + 3.2 * f64::from(column) / f64::from(width);
            let im = -1.2 + 2.4 * f64::from(row) / f64::from(height);
            let (mut x, mut y, mut step) = (0.0, 0.0, 0);
            while step < STEPS && x * x + y * y <= 4.0 {
                (x, y) = (x * x - y * y + re, 2.0 * x * y + im);
                step += 1;
            }
            let colour = |value: u32| if step == STEPS { 0 } else { (value % 256) as u8 };
            picture.extend([colour(step * 9), colour(step * 5), colour(60 + step * 3)]);
        }
    }
    picture
}

#[test]
fn tiles_of_workers_make_up_the_whole_picture() {
    each("mandelbrot.lua", &["100", "picture.ppm"], |outcome, scratch| {
        let lines = lines(outcome);
        let last = lines.last().expect("it says what it has done");
        assert!(last.starts_with("picture.ppm: 100 × 75 pixels by "), "{outcome:?}");
        let picture = fs::read(scratch.join("picture.ppm")).expect("the picture is there");
        assert!(picture == mandelbrot(100, 75), "the picture has other pixels");
    });
}

#[test]
fn event_loops_go_on_while_jobs_are_awaited() {
    // As the specs of loops do: Debian has copas, which is Lua alone, only where Lua 5.1 looks.
    let path = "/usr/share/lua/5.1/?.lua;;";
    let required = std::env::var("LLIB_TEST_REQUIRE_STOCK_LUA").is_ok_and(|value| value == "1");
    for interpreter in Interpreter::all() {
        for name in ["luv", "cqueues", "copas"] {
            let probe = Script::plain(&format!("print((pcall(require, '{name}')))"));
            let found = probe.by(interpreter).env("LUA_PATH", path).run().output() == "true\n";
            assert!(found || !required, "the module {name} is needed here, {interpreter:?}");
            if !found {
                eprintln!("skipped: {interpreter:?} does not find the module {name}");
                continue;
            }
            let script = Script::file(&example("loops.lua")).by(interpreter).argument(name);
            let outcome = script.env("LUA_PATH", path).run();
            let expected = format!("{name}: 100 jobs ended with the sum 5050 while the clock ticked\n");
            assert_eq!(outcome.output(), expected);
        }
    }
}
