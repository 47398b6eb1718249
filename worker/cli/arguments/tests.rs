//! Command lines and what they ask for.

use super::{Chunk, Invocation, Request, Step, UsageError, parse};
use std::ffi::CString;

fn argv(line: &str) -> Vec<CString> {
    line.split(' ').map(|word| CString::new(word).unwrap()).collect()
}

fn run(line: &str) -> Invocation {
    match parse(&argv(line), false) {
        Ok(Request::Run(invocation)) => invocation,
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str) -> String {
    parse(&argv(line), false).unwrap_err().to_string()
}

#[test]
fn the_first_word_that_is_no_option_is_the_script() {
    for (line, base, chunk) in [
        ("llib", 0, Chunk::BareStdin),
        ("llib a.lua", 1, Chunk::File),
        ("llib -W a.lua -x", 2, Chunk::File),
        ("llib -e x=1 -l m a.lua", 5, Chunk::File),
        ("llib - x", 1, Chunk::Stdin),
        ("llib -- -x", 2, Chunk::File),
        ("llib -- -", 2, Chunk::File),
        ("llib --", 0, Chunk::BareStdin),
        ("llib -e x=1", 0, Chunk::None),
        ("llib -v", 0, Chunk::None),
        ("llib -l m", 0, Chunk::BareStdin),
    ] {
        let invocation = run(line);
        assert_eq!((invocation.base, invocation.chunk), (base, chunk), "{line}");
    }
}

#[test]
fn options_act_in_their_order() {
    let [code, global, module] = ["x=1", "json", "cjson"].map(|word| CString::new(word).unwrap());
    let expected = [
        Step::Execute(code.clone()),
        Step::WarningsOn,
        Step::Require { global, module },
        Step::Execute(code),
    ];
    assert_eq!(run("llib -ex=1 -W -l json=cjson -e x=1").steps, expected);
}

#[test]
fn a_library_gives_its_global_the_name_before_the_dash() {
    let [global, module] = ["socket", "socket-v3"].map(|word| CString::new(word).unwrap());
    assert_eq!(run("llib -lsocket-v3").steps, [Step::Require { global, module }]);
}

#[test]
fn wrong_options_are_named() {
    assert_eq!(refused("llib -x a.lua"), "unrecognized option '-x'");
    assert_eq!(refused("llib --halp"), "unrecognized option '--halp'");
    assert_eq!(refused("llib -vv"), "unrecognized option '-vv'");
    assert_eq!(refused("llib -e"), "'-e' needs argument");
    assert_eq!(refused("llib -l -v"), "'-l' needs argument");
}

#[test]
fn a_terminal_is_not_read_as_a_script() {
    assert_eq!(parse(&argv("llib"), true), Err(UsageError::NothingToRun));
    assert!(matches!(parse(&argv("llib -"), true), Ok(Request::Run(_))));
    assert!(matches!(parse(&argv("llib -v"), true), Ok(Request::Run(_))));
}

#[test]
fn an_empty_argument_vector_runs_standard_input() {
    let parsed = parse(&[], false).unwrap();
    assert!(matches!(parsed, Request::Run(Invocation { base: 0, chunk: Chunk::BareStdin, .. })));
}
