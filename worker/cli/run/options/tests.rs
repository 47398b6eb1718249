use clap::Arg;
use clap::error::ErrorKind;

use super::*;

fn parsed(line: &str) -> Result<Options, ErrorKind> {
    let words: Vec<CString> =
        ["run"].into_iter().chain(line.split_whitespace()).map(|word| CString::new(word).unwrap()).collect();
    parse(&words).map_err(|error| error.kind())
}

fn plain(words: &[&str]) -> Options {
    let output = Output { capture_limit: 1 << 20, ..Output::default() };
    Options { words: words.iter().map(OsString::from).collect(), output, ..Options::default() }
}

#[test]
fn the_description_holds_together() {
    command().debug_assert();
}

#[test]
fn what_follows_the_script_is_the_scripts() {
    let options = parsed("s.lua --json -- -x a").unwrap();
    assert_eq!(
        (options.script(), options.arguments()),
        (OsStr::new("s.lua"), &["--json", "--", "-x", "a"].map(OsString::from)[..])
    );
    assert_eq!(options, plain(&["s.lua", "--json", "--", "-x", "a"]));
    assert_eq!(parsed("-- -s.lua"), Ok(plain(&["-s.lua"])));
    assert_eq!(parsed("- --help"), Ok(plain(&["-", "--help"])));
}

#[test]
fn options_become_values() {
    let limits = Limits {
        timeout: Some(1500.0),
        cpu: Some(200.0),
        memory: Some(64 << 20),
        files: Some(20),
        fsize: Some(1024),
        result_limit: Some(2048),
        nice: Some(5),
    };
    let output = Output { name: Some("n".into()), json: true, capture_limit: 4096 };
    let expected = Options { limits, output, ..plain(&["s.lua"]) };
    let line = "--name n --timeout 1.5s --cpu=200ms --memory 64M --files 20 --fsize 1K --result-limit 2K --nice 5 --json --capture-limit 4K s.lua";
    assert_eq!(parsed(line), Ok(expected));
}

#[test]
fn a_grant_makes_a_sandbox() {
    let alone = Sandbox { sandbox: true, ..Sandbox::default() };
    assert_eq!(parsed("--sandbox s.lua").unwrap().sandbox(), Some(&alone));
    assert_eq!(parsed("s.lua").unwrap().sandbox(), None);
    let expected = Sandbox {
        sandbox: false,
        read: vec!["a".into(), "b".into()],
        write: vec!["c".into()],
        env: vec!["HOME".into(), "LANG".into()],
        libs: vec!["json".into()],
        net: true,
        exec: true,
        jobs: Some(0),
        best_effort: true,
    };
    let line =
        "--read a --read b --write c --env HOME,LANG --libs json --net --exec --jobs 0 --best-effort s.lua";
    assert_eq!(parsed(line).unwrap().sandbox(), Some(&expected));
    for grant in
        ["--read a", "--write a", "--net", "--env A", "--libs a", "--exec", "--jobs 2", "--best-effort"]
    {
        assert!(parsed(&format!("{grant} s.lua")).unwrap().sandbox().is_some(), "{grant}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "--timeout 0 s",
        "--timeout x s",
        "--memory 2T s",
        "--files -1 s",
        "--nice 20 s",
        "--jobs 65 s",
        "--jobs -1 s",
        "--result-limit 2T s",
        "--capture-limit 2G --json s",
    ] {
        assert_eq!(parsed(line), Err(ErrorKind::ValueValidation), "{line}");
    }
    assert_eq!(parsed(""), Err(ErrorKind::MissingRequiredArgument));
    assert_eq!(parsed("--capture-limit 1K s"), Err(ErrorKind::MissingRequiredArgument));
    assert_eq!(parsed("--nonsense s"), Err(ErrorKind::UnknownArgument));
    assert_eq!(parsed("--json --json s"), Err(ErrorKind::ArgumentConflict));
}

#[test]
fn help_and_documentation_have_every_option_and_every_code() {
    let help = command().render_long_help().to_string();
    let page = include_str!("../../../../docs/run.md");
    for option in command().get_arguments().filter_map(Arg::get_long) {
        for text in [help.as_str(), page] {
            assert!(text.contains(&format!("--{option}")), "--{option}");
        }
    }
    for exit in &exits::EXITS {
        let found =
            |line: &str| line.trim_start().starts_with(&exit.code_text()) && line.contains(exit.meaning);
        assert!(help.lines().any(found), "{}", exit.kind);
    }
}
