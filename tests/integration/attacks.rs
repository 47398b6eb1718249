//! The attack suite: what a hostile job may try, a file each in `tests/attacks`, with the outcome it must have.
//!
//! `tests/attacks/drive.lua` runs many of them in one host and looks after each whether anything else was harmed. Here is
//! looked at the rest: the supervisors, what is left over, the host's memory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::{Interpreter, Scratch, Script, binaries, process, version};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/attacks");

/// The attacks of a folder that this Lua can run.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(FOLDER).join(folder)).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension) && runs_here(path));
    files.sort();
    files
}

/// Whether it needs no newer Lua: `-- Needs Lua 5.4.`
fn runs_here(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let needed = text.lines().take(5).find_map(|line| line.strip_prefix("-- Needs Lua "));
    // Versions have one digit on either side: as texts they compare as they should.
    needed.is_none_or(|needed| needed.trim_end_matches('.') <= version::NUMBER)
}

/// Runs attacks in one host and expects that all are held off and that nothing is left of them.
fn hold_off(attacks: &[PathBuf], interpreter: Interpreter, library: Option<&Path>) {
    let mut script = Script::file(&Path::new(FOLDER).join("drive.lua"))
        .by(interpreter)
        .limit(Duration::from_secs(240))
        .env("ATTACKS_SECRET", "hunter-4711 variable");
    if let Some(library) = library {
        script = script.env("ATTACKS_LIBRARY", library);
    }
    for attack in attacks {
        script = script.argument(&attack.to_string_lossy());
    }
    let session = script.start();
    let mut holes = Vec::new();
    let mut supervisors = None;
    for _ in attacks {
        let line = session.line();
        println!("{line}");
        let now = (session.guard(), session.zygote());
        assert_eq!(*supervisors.get_or_insert_with(|| now.clone()), now, "other supervisors after: {line}");
        if !line.starts_with("held ") {
            holes.push(line);
        }
    }
    let peak = process::status(session.host.pid, "VmHWM");
    session.expect("the victim: closed");
    let outcome = session.end();
    println!(
        "{interpreter:?}: {} attacks, {:.1} s, peak {peak:?}",
        attacks.len(),
        outcome.time.as_secs_f64()
    );
    assert!(holes.is_empty(), "{interpreter:?}:\n{}", holes.join("\n"));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    session.expect_nothing_left();
}

#[test]
fn there_are_enough_attacks_and_each_says_how_it_must_end() {
    let all = [files("lua", "lua"), files("native", "c")].concat();
    for file in &all {
        let text = std::fs::read_to_string(file).unwrap();
        let head = text.lines().take(2).collect::<Vec<_>>().join("\n");
        assert!(head.contains(" Tries ") && head.contains(" must: "), "{}: {head}", file.display());
    }
    let expected = if version::NUMBER >= "5.4" { 100 } else { 60 };
    assert!(all.len() >= expected, "{} attacks", all.len());
}

#[test]
fn attacks_in_lua_are_held_off() {
    hold_off(&files("lua", "lua"), Interpreter::Builtin, None);
}

#[test]
fn attacks_in_lua_are_held_off_under_the_stock_interpreter() {
    if Interpreter::all().contains(&Interpreter::Stock) {
        // The jobs run in the same worker program; it is the host that differs.
        let some: Vec<PathBuf> = files("lua", "lua").into_iter().step_by(4).collect();
        hold_off(&some, Interpreter::Stock, None);
    }
}

/// Compiles the native attacks into one module, `attack.so`, that Lua can require. `None`: there is no C compiler.
fn compile(attacks: &[PathBuf]) -> Option<Scratch> {
    let compiler = binaries::find_program("cc")?;
    let scratch = Scratch::new();
    let names: Vec<_> = attacks.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    let declared = names.iter().map(|name| format!("const char *attack_{name}(const struct world *);\n"));
    let listed = names.iter().map(|name| format!("    {{ \"{name}\", attack_{name} }},\n"));
    let table = format!(
        "#include \"attack.h\"\n{}static const struct {{ const char *name; const char *(*run)(const struct world *); }} \
         attacks[] = {{\n{}    {{ 0, 0 }}\n}};\n#include \"module.inc\"\n",
        declared.collect::<String>(),
        listed.collect::<String>()
    );
    let table = scratch.write("table.c", &table);
    let mut command = Command::new(compiler);
    // Warnings are right: this code does what no code should.
    command.args(["-w", "-O1", "-shared", "-fPIC", "-I"]).arg(Path::new(FOLDER).join("native"));
    command.arg("-o").arg(scratch.path().join("attack.so")).arg(table).args(attacks);
    let output = command.output().expect("the compiler can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(scratch)
}

#[test]
fn attacks_in_machine_code_are_held_off() {
    let attacks = files("native", "c");
    match compile(&attacks) {
        Some(library) => hold_off(&attacks, Interpreter::Builtin, Some(library.path())),
        None => eprintln!("skipped: there is no C compiler for the native attacks"),
    }
}
