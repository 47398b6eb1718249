//! The exit codes of `llib run`: the one table that code, help and documentation share.

/// What a code is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Always this.
    Fixed(u8),
    /// What the script passed to `os.exit`.
    Own,
    /// 128 and the number of a signal, as shells tell it.
    Signal,
}

/// One row of the table.
pub(crate) struct Exit {
    pub(crate) code: Code,
    /// The failure's kind, or a word for what is none.
    pub(crate) kind: &'static str,
    pub(crate) meaning: &'static str,
}

const fn exit(code: Code, kind: &'static str, meaning: &'static str) -> Exit {
    Exit { code, kind, meaning }
}

/// All of them. 124 and 125 mean what they mean for timeout(1), 126 and 127 are left to shells.
pub(crate) const EXITS: [Exit; 12] = [
    exit(Code::Fixed(0), "returned", "the script came to its end"),
    exit(Code::Own, "exit", "the script called os.exit(n)"),
    exit(Code::Fixed(1), "error", "an uncaught error, or a script that cannot be read or compiled"),
    exit(Code::Fixed(2), "usage", "a wrong command line; nothing was run"),
    exit(Code::Fixed(119), "encode", "with --json: a result that cannot leave its process"),
    exit(Code::Fixed(120), "rejected", "the script called rej"),
    exit(Code::Fixed(121), "memory", "no memory left, within --memory or at all"),
    exit(Code::Fixed(122), "cpu", "past its --cpu"),
    exit(Code::Fixed(123), "denied", "killed by the sandbox for a system call"),
    exit(Code::Fixed(124), "deadline", "past its --timeout"),
    exit(Code::Fixed(125), "lost", "llib could not run it, or lost it"),
    exit(Code::Signal, "signal", "it died of signal n, or llib run was told to end by it"),
];

/// Code of a run whose script was not run, since llib could not.
pub(crate) const LOST: u8 = 125;
/// Code of a wrong command line.
pub(crate) const USAGE: u8 = 2;
/// Code of an uncaught error.
pub(crate) const ERROR: u8 = 1;

/// Code of a run that a signal ended.
pub(crate) fn by_signal(number: i32) -> u8 {
    u8::try_from(number).ok().and_then(|number| number.checked_add(128)).unwrap_or(LOST)
}

/// Code for a kind of failure. `own` is what the process ended with, `signal` the number of what it died of.
pub(crate) fn of_kind(kind: &str, own: Option<i64>, signal: Option<i32>) -> u8 {
    match EXITS.iter().find(|exit| exit.kind == kind).map(|exit| exit.code) {
        Some(Code::Fixed(code)) => code,
        Some(Code::Own) => own.and_then(|code| u8::try_from(code).ok()).unwrap_or(ERROR),
        Some(Code::Signal) => signal.map_or(LOST, by_signal),
        None => LOST,
    }
}

impl Exit {
    /// The code as a reader sees it.
    pub(crate) fn code_text(&self) -> String {
        match self.code {
            Code::Fixed(code) => code.to_string(),
            Code::Own => "n".to_owned(),
            Code::Signal => "128+n".to_owned(),
        }
    }
}

/// The table as plain text, a row a line.
pub(crate) fn text() -> String {
    let row = |exit: &Exit| format!("  {:>5}  {:<9} {}\n", exit.code_text(), exit.kind, exit.meaning);
    EXITS.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the table below a heading that starts with `| code |`, as cells.
    fn rows(page: &str) -> Vec<Vec<String>> {
        let start = page.find("| code |").expect("the page has a table of codes");
        let table = page[start..].lines().skip(2).take_while(|line| line.starts_with('|'));
        table
            .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect())
            .collect()
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let page = include_str!("../../../docs/run.md");
        let ours: Vec<Vec<String>> = EXITS
            .iter()
            .map(|exit| vec![exit.code_text(), exit.kind.to_owned(), exit.meaning.to_owned()])
            .collect();
        assert_eq!(rows(page), ours);
    }

    #[test]
    fn every_kind_of_failure_that_a_run_can_have_has_a_row() {
        let api = include_str!("../../../docs/api.md");
        let failures = api.split("## Failures").nth(1).expect("the page has failures");
        let failures = failures.split("\n## ").next().unwrap_or_default();
        let kinds: Vec<&str> = failures
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            // An await's own time, and what `task:kill` and `task:close` do: nobody calls them here.
            .filter(|kind| !["timeout", "killed", "closed"].contains(kind))
            .collect();
        assert!(kinds.len() >= 9, "{kinds:?}");
        for kind in kinds {
            assert!(EXITS.iter().any(|exit| exit.kind == kind), "{kind} has no exit code");
        }
    }

    #[test]
    fn codes_are_bytes_and_no_two_kinds_share_one() {
        let mut fixed: Vec<u8> = EXITS
            .iter()
            .filter_map(|exit| if let Code::Fixed(code) = exit.code { Some(code) } else { None })
            .collect();
        fixed.sort_unstable();
        fixed.dedup();
        assert_eq!(fixed.len(), EXITS.len() - 2);
        assert_eq!(of_kind("exit", Some(7), None), 7);
        assert_eq!(of_kind("signal", None, Some(11)), 139);
        assert_eq!(of_kind("deadline", None, Some(9)), 124);
        assert_eq!(of_kind("of the future", None, None), LOST);
    }
}
