//! Moving over values without building them.

use super::super::format::*;
use super::super::source::{Cursor, Piece, Read};

/// A position in a message: in its stream and among its blobs.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub(super) cursor: Cursor,
    /// Where the next blob starts.
    pub(super) blobs: usize,
    /// Length of the message.
    pub(super) total: usize,
}

impl Position {
    /// Moves over the next value.
    #[inline]
    pub(super) fn skip(&mut self) -> Read<()> {
        self.pass(|_, _| {})
    }

    /// Moves over the next value. True if it can be decoded without the rest of the message: it has no code
    /// and no constructor in it, and refers to parts of its own and to strings.
    pub(super) fn skip_part(&mut self) -> Read<bool> {
        let cursor = self.cursor;
        let mut apart = true;
        self.pass(|tag, offset| {
            let inside = offset >= cursor.at as u64;
            apart &= tag == REF && (inside || matches!(string_at(cursor, offset), Ok(Some(_))));
        })?;
        Ok(apart)
    }

    /// Moves over the next value, and calls `met` for what ties values to others: references, functions and
    /// constructors, with the tag and the offset that follows it or 0.
    ///
    /// Nesting is a counter. The tags that end a container are none of values, so a container is all up to its
    /// end. A table that ends in META has one more value: that value takes the place of the table, which
    /// makes no difference inside another container and is one more round outside of all.
    #[inline]
    fn pass(&mut self, mut met: impl FnMut(u8, u64)) -> Read<()> {
        let cursor = &mut self.cursor;
        let mut depth = 0usize;
        loop {
            let tag = cursor.byte()?;
            match tag {
                0..=0x7f | NIL..=GLOBALS => {}
                SHORT..=SHORT_LAST => {
                    cursor.piece((tag - SHORT) as usize)?;
                }
                INT => {
                    cursor.varint()?;
                }
                FLOAT => {
                    cursor.word()?;
                }
                CLASS => {
                    // The table itself follows.
                    met(CLASS, 0);
                    cursor.piece(IDENTITY)?;
                    cursor.counted()?;
                    continue;
                }
                REF => met(REF, cursor.varint()?),
                END if depth > 0 => depth -= 1,
                META if depth > 0 => {
                    depth -= 1;
                    continue;
                }
                CELL if depth > 0 => {
                    met(CELL, cursor.varint()?);
                    cursor.byte()?;
                }
                _ => match tag & !SHARED {
                    TABLE => {
                        cursor.varint()?;
                        cursor.byte()?;
                        depth += 1;
                    }
                    STR | NAMED | TYPE => {
                        cursor.counted()?;
                    }
                    BLOB => {
                        let len = cursor.varint()?;
                        if len > (self.total - self.blobs) as u64 {
                            return Err("a long string is not there");
                        }
                        self.blobs += len as usize;
                    }
                    CODE => {
                        met(CODE, 0);
                        cursor.counted()?;
                        depth += 1;
                    }
                    AGAIN => {
                        met(AGAIN, cursor.varint()?);
                        depth += 1;
                    }
                    BUILT => {
                        met(BUILT, 0);
                        depth += 1;
                    }
                    RAW => {
                        cursor.counted()?;
                        cursor.counted()?;
                    }
                    ENV => {
                        met(ENV, 0);
                        cursor.byte()?;
                    }
                    HANDLE | VALUE => {
                        cursor.byte()?;
                        cursor.counted()?;
                    }
                    _ => return Err("an unknown tag"),
                },
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

/// The string whose tag stands at `offset`; none where another tag stands there, or that of a blob.
pub(super) fn string_at(cursor: Cursor, offset: u64) -> Read<Option<Piece>> {
    let (tag, mut cursor) = tag_at(cursor, offset)?;
    if tag & !SHARED != STR {
        return Ok(None);
    }
    cursor.counted().map(Some)
}

/// The tag at `offset`, and the place behind it.
pub(super) fn tag_at(mut cursor: Cursor, offset: u64) -> Read<(u8, Cursor)> {
    if offset >= cursor.at as u64 {
        return Err("a reference to nothing");
    }
    cursor.at = offset as usize;
    let tag = cursor.byte()?;
    Ok((tag, cursor))
}
