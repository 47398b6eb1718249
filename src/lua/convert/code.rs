//! The names in a job's code, whichever way it comes.

use rustc_hash::FxHashSet;

use crate::version::chunk;

/// Code whose names are looked for.
#[derive(Clone, Copy)]
pub(super) enum Code<'a> {
    /// A precompiled chunk.
    Chunk(&'a [u8]),
    /// Source text, which is not compiled here. Each of its words counts, also in comments: that a global goes along which
    /// is not used harms nobody.
    Text(&'a [u8]),
}

impl<'a> Code<'a> {
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Code::Chunk(bytes) | Code::Text(bytes) => bytes,
        }
    }

    /// Calls `found` with every identifier.
    pub(super) fn identifiers(self, found: impl FnMut(&[u8])) {
        match self {
            Code::Chunk(chunk) => chunk::identifiers(chunk, found),
            Code::Text(text) => pieces(text, |byte| byte == b'_' || byte.is_ascii_alphanumeric(), found),
        }
    }

    /// Calls `found` with all that may be the name of a module.
    pub(super) fn strings(self, found: impl FnMut(&[u8])) {
        match self {
            Code::Chunk(chunk) => chunk::strings(chunk, found),
            Code::Text(text) => pieces(text, |byte| !b"\"'[]\n".contains(&byte), found),
        }
    }
}

/// Calls `found` once with each different run of bytes that `belongs`, of those that are not too long for a name.
fn pieces(text: &[u8], belongs: impl Fn(u8) -> bool, mut found: impl FnMut(&[u8])) {
    let mut met = FxHashSet::default();
    for piece in text.split(|byte| !belongs(*byte)) {
        if (1..=chunk::MAX_NAME).contains(&piece.len()) && met.insert(piece) {
            found(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn the_words_of_a_text_are_found_once_each_and_its_strings_whole() {
        let text = br#"local x1, _y = require "my-mod.sub", x1 + f'a b' --[[ note ]]"#;
        let mut names = Vec::new();
        Code::Text(text).identifiers(|name| names.push(String::from_utf8_lossy(name).into_owned()));
        assert_eq!(names, ["local", "x1", "_y", "require", "my", "mod", "sub", "f", "a", "b", "note"]);
        let mut strings = Vec::new();
        Code::Text(text).strings(|name| strings.push(name.to_vec()));
        assert!(strings.contains(&b"my-mod.sub".to_vec()) && strings.contains(&b"a b".to_vec()));
    }
}
