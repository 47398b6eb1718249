//! The script's text, read as stock Lua reads a file, with its messages.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A script that can be sent to a job.
#[derive(Debug, PartialEq)]
pub(crate) struct Script {
    /// Source text, without a first line that is for the shell.
    pub(crate) text: Vec<u8>,
    /// How Lua names the chunk: `@script.lua`.
    pub(crate) chunk: Vec<u8>,
    /// `arg[0]`
    pub(crate) given: Vec<u8>,
    /// What process lists and `res.name` show.
    pub(crate) name: Vec<u8>,
}

/// Reads a file, or standard input for `-`. The error is the message to print.
pub(crate) fn read(path: &OsStr) -> Result<Script, Vec<u8>> {
    let given = path.as_bytes().to_vec();
    let (text, chunk, name) = if path == "-" {
        (
            read_all(io::stdin().lock()).map_err(|error| problem("read", OsStr::new("stdin"), &error))?,
            b"=stdin".to_vec(),
            b"stdin".to_vec(),
        )
    } else {
        let file = File::open(path).map_err(|error| problem("open", path, &error))?;
        let text = read_all(file).map_err(|error| problem("read", path, &error))?;
        let name = path.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
        (text, [b"@", path.as_bytes()].concat(), name)
    };
    let text = strip(text);
    if text.first() == Some(&ESCAPE) {
        return Err([&chunk[1..], b": precompiled code is not run, only source text"].concat());
    }
    Ok(Script { text, chunk, given, name })
}

/// First byte of every precompiled chunk.
const ESCAPE: u8 = 0x1b;

fn read_all(mut from: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.read_to_end(&mut text)?;
    Ok(text)
}

/// `cannot open nofile.lua: No such file or directory`
fn problem(what: &str, path: &OsStr, error: &io::Error) -> Vec<u8> {
    let mut message = OsString::from(format!("cannot {what} "));
    message.push(path);
    // The standard library adds the number.
    let reason = error.to_string();
    let reason = reason.split(" (os error").next().unwrap_or_default();
    message.push(format!(": {reason}"));
    message.into_vec()
}

/// Leaves out a byte order mark and the text of a first line that starts with `#`, as luaL_loadfilex does; its
/// end stays, so that lines keep their numbers.
fn strip(mut text: Vec<u8>) -> Vec<u8> {
    if text.starts_with(b"\xEF\xBB\xBF") {
        text.drain(..3);
    }
    if text.first() == Some(&b'#') {
        let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
        text.drain(..end);
        // Behind such a line, precompiled code would start right after its end.
        if text.get(1) == Some(&ESCAPE) {
            text.remove(0);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn a_line_for_the_shell_is_no_lua_but_counts() {
        for (given, expected) in [
            (&b"return 1"[..], &b"return 1"[..]),
            (b"#!/usr/bin/env llib\nreturn 1", b"\nreturn 1"),
            (b"# only this", b""),
            (b"\xEF\xBB\xBFreturn 1", b"return 1"),
            (b"\xEF\xBB\xBF#!x\nreturn 1", b"\nreturn 1"),
            (b"\n#not the first", b"\n#not the first"),
            (b"#\n\x1bLua", b"\x1bLua"),
            (b"", b""),
        ] {
            assert_eq!(strip(given.to_vec()), expected);
        }
    }
}
