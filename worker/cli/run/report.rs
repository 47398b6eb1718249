//! A failure's reason, for a reader.

use super::outcome::{Ending, Outcome};

/// The chunk name of `job.lua`, as tracebacks show it.
pub(crate) const OWN_CHUNK: &str = "[llib run]";

/// What goes to standard error: empty, or whole lines without the program's name.
pub(crate) fn reason(outcome: &Outcome) -> Vec<u8> {
    match &outcome.ending {
        Ending::Returned(_) => Vec::new(),
        Ending::Interrupted(number) => {
            let name = llib_core::sys::signal::name(*number);
            format!("killed: llib run was told to end by SIG{name}\n").into_bytes()
        }
        Ending::Failed(failure) => match failure.kind.as_str() {
            // The script's own decision.
            "exit" => Vec::new(),
            // The reader of its output has seen enough.
            "signal" if failure.signal.as_deref() == Some("PIPE") => Vec::new(),
            // As stock Lua tells it, and as `clap` does.
            "error" | "usage" => {
                let traceback = failure.traceback.as_deref().and_then(own_part).unwrap_or_default();
                [failure.message.as_slice(), b"\n", &traceback].concat()
            }
            kind => [kind.as_bytes(), b": ", &failure.message, b"\n"].concat(),
        },
    }
}

/// The part of a traceback that is of the script, with a line end. None where the script did not run: it could
/// not be compiled.
pub(crate) fn own_part(traceback: &[u8]) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = traceback.split(|byte| *byte == b'\n').collect();
    let is_ours = |line: &&[u8]| line.trim_ascii_start().starts_with(OWN_CHUNK.as_bytes());
    let end = lines.iter().rposition(is_ours).unwrap_or(lines.len());
    // The first line is a heading.
    let of_script = lines.get(1..end)?.iter().any(|line| !line.starts_with(b"\t[C]:"));
    let mut part = lines.get(..end)?.join(&b'\n');
    part.push(b'\n');
    of_script.then_some(part)
}

/// Whether there is nothing of a traceback to show.
pub(crate) fn is_hidden(traceback: &Option<Vec<u8>>) -> bool {
    traceback.as_deref().and_then(own_part).is_none()
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Failure;
    use super::*;

    #[test]
    fn the_commands_own_frames_are_not_shown() {
        let traceback = b"stack traceback:\n\t[C]: in function 'error'\n\ta.lua:1: in main chunk\n\t[llib run]:9: in function <[llib run]:4>";
        let expected = b"stack traceback:\n\t[C]: in function 'error'\n\ta.lua:1: in main chunk\n";
        assert_eq!(own_part(traceback), Some(expected.to_vec()));
        let traceback =
            b"stack traceback:\n\t[C]: in function 'error'\n\t[llib run]:9: in function <[llib run]:4>";
        assert_eq!(own_part(traceback), None);
        assert_eq!(own_part(b""), None);
    }

    #[test]
    fn what_is_the_scripts_own_doing_needs_no_words() {
        let exit = Failure { code: Some(3), ..Failure::new("exit", "the worker process exited") };
        assert!(reason(&exit.into()).is_empty());
        let pipe = Failure { signal: Some("PIPE".to_owned()), ..Failure::new("signal", "died") };
        assert!(reason(&pipe.into()).is_empty());
        assert_eq!(reason(&Failure::new("cpu", "used up").into()), b"cpu: used up\n");
    }
}
