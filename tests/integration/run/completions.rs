//! Help, and what shells complete.

use std::process::Command;

use support::Scratch;
use support::binaries::find_program;
use support::binaries::llib;

#[test]
fn bash_completes_options_and_commands() {
    let Some(bash) = find_program("bash") else { return };
    let complete = |words: &[&str]| {
        let text = format!(
            "source <('{}' completions bash); COMP_WORDS=({}); COMP_CWORD={}; _llib llib '{}' '{}'; echo \"${{COMPREPLY[@]}}\"",
            llib().display(),
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2]
        );
        let output = Command::new(&bash).args(["-c", &text]).output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(complete(&["llib", "ru"]).trim(), "run");
    assert_eq!(complete(&["llib", "run", "--ti"]).trim(), "--timeout");
    let all = complete(&["llib", "run", "--"]);
    for option in ["--sandbox", "--json", "--memory", "--best-effort"] {
        assert!(all.split_whitespace().any(|word| word == option), "{option}: {all}");
    }
    for shell in ["zsh", "fish"] {
        let output = Command::new(llib()).args(["completions", shell]).output().unwrap();
        assert!(output.status.success() && output.stdout.len() > 1000, "{output:?}");
        // Where the shell is there, it has to read it without a complaint.
        if let Some(shell) = find_program(shell) {
            let scratch = Scratch::new();
            let file = scratch.write("completions", &String::from_utf8(output.stdout).unwrap());
            let checked = Command::new(shell).arg("-n").arg(file).output().unwrap();
            assert!(checked.status.success(), "{checked:?}");
        }
    }
}

#[test]
fn help_is_an_answer() {
    for word in ["--help", "-h"] {
        let output = Command::new(llib()).args(["run", word]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        for part in ["Examples:\n  llib run ", "Exit codes:\n", "--sandbox", "128+n"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
