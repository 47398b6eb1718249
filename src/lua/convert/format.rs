//! The bytes of a message: every tag and layout in one table.
//!
//! ```text
//! message   head:u64le  count:varint  value*count  section*  END  blob*
//! head      low byte VERSION, the other seven: length of everything before the blobs
//! blob      the bytes of the strings with tag BLOB, in order of appearance
//! varint    LEB128 of at most 64 bits; may be padded, since a count is sometimes lowered afterwards
//! bytes     length:varint  then as many bytes
//!
//! value     0x00..=0x7f   the integers -16..=111
//!           0x80..=0x88   a string of 0..=8 bytes, which follow
//!           NIL FALSE TRUE NULL GLOBALS
//!           INT           zigzag varint
//!           FLOAT         8 bytes, little endian
//!           STR*          bytes
//!           BLOB*         length:varint; the bytes follow after END
//!           TABLE*        items:varint  hint:u8  value*items  (key value)*  then END or META value
//!           CODE*         bytes (a binary chunk, and its check sum of 8 bytes)  upvalue*  END
//!           AGAIN*        offset of the bytes of a CODE before  upvalue*  END
//!           NAMED*        bytes: module, then field names, each after a NUL
//!           RAW*          bytes (type name)  bytes (content of the userdata)
//!           BUILT*        value (function)  value*  END: the result of calling it
//!           HANDLE*       kind:u8  bytes
//!           VALUE*        kind:u8  bytes: a copy of an object of llib
//!           TYPE*         bytes: a metatable of llib's own by its name in the registry
//!           CLASS         16 bytes  bytes (name): the identity of the TABLE whose tag follows, and where the receiver may have it, or ""
//!           ENV*          reaches:u8: the environment of functions; its fields are in sections
//!           REF           offset:varint: the value whose tag stands there, again
//! upvalue   value, or CELL offset:varint index:u8: the variable of that function's upvalue `index`
//! section   GLOBAL bytes (name) value, or MISSING bytes (name) bytes (reason)
//!           FIELD offset of an ENV  key value, or LACKS offset  bytes (name) bytes (reason)
//!           PLACED kind:u8 bytes (name) value, or UNPLACED kind:u8 bytes (name) bytes (reason): LOADED, PRELOAD, SEARCHER, LIBRARY
//! ```
//!
//! *Tags with a star come in pairs*: the even one, and the odd one for an object that is met again. The
//! writer learns that only later and then sets the lowest bit ([`SHARED`]) of the tag already written, so the
//! reader remembers those objects alone that a reference will name. An offset counts from the message's start.
//!
//! `hint` is 0 for no pairs, otherwise `1 + ceil(log2(pairs))`: the size of the hash part to reserve.
//! What all tables of a message reserve together (`items + 2^(hint-1)`, slots) is less than the message has
//! bytes, since an item takes a byte and a pair two. A reader holds a message to that, so nested claims
//! cannot multiply.

use std::hash::Hasher;

use rustc_hash::FxHasher;

/// Bytes of a [`check_sum`] in a message.
pub(super) const CHECK_SUM: usize = 8;

/// The check sum of a binary chunk. Lua checks no bytecode, so that a chunk with a single wrong bit can crash whoever
/// runs it. This is for bytes that somebody overwrote by mistake; who means harm can make a sum that is right.
pub(super) fn check_sum(chunk: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(chunk);
    hasher.finish()
}

/// Version of this format; messages do not outlive the processes that exchange them.
pub(super) const VERSION: u8 = 1;
/// Bytes of the head.
pub(super) const HEAD: usize = 8;

/// Integer of tag 0.
pub(super) const INLINE_MIN: i64 = -16;
/// Integer of tag 0x7f.
pub(super) const INLINE_MAX: i64 = 111;
/// Tag of the empty string; the tag grows with the length.
pub(super) const SHORT: u8 = 0x80;
/// Longest string whose length is in the tag. A reference would take as many bytes: none is ever made.
pub(super) const SHORT_MAX: usize = 8;
/// Tag of the longest short string.
pub(super) const SHORT_LAST: u8 = SHORT + SHORT_MAX as u8;

pub(super) const NIL: u8 = 0x90;
pub(super) const FALSE: u8 = 0x91;
pub(super) const TRUE: u8 = 0x92;
pub(super) const NULL: u8 = 0x93;
pub(super) const GLOBALS: u8 = 0x94;
pub(super) const INT: u8 = 0x95;
pub(super) const FLOAT: u8 = 0x96;
pub(super) const REF: u8 = 0x97;
pub(super) const CLASS: u8 = 0x98;

/// The bit that tells the reader to remember an object.
pub(super) const SHARED: u8 = 1;
pub(super) const STR: u8 = 0xa0;
pub(super) const BLOB: u8 = 0xa2;
pub(super) const TABLE: u8 = 0xa4;
pub(super) const CODE: u8 = 0xa6;
pub(super) const AGAIN: u8 = 0xa8;
pub(super) const NAMED: u8 = 0xaa;
pub(super) const RAW: u8 = 0xac;
pub(super) const BUILT: u8 = 0xae;
pub(super) const HANDLE: u8 = 0xb0;
pub(super) const TYPE: u8 = 0xb2;
pub(super) const VALUE: u8 = 0xb4;
pub(super) const ENV: u8 = 0xb6;

pub(super) const END: u8 = 0xf0;
pub(super) const META: u8 = 0xf1;
pub(super) const CELL: u8 = 0xf2;
pub(super) const GLOBAL: u8 = 0xf3;
pub(super) const MISSING: u8 = 0xf4;
pub(super) const FIELD: u8 = 0xf5;
pub(super) const LACKS: u8 = 0xf6;
pub(super) const PLACED: u8 = 0xf7;
pub(super) const UNPLACED: u8 = 0xf8;

/// Kind of something placed: an entry of `package.loaded`.
pub(super) const LOADED: u8 = 0;
/// An entry of `package.preload`.
pub(super) const PRELOAD: u8 = 1;
/// An entry of `package.searchers`; its name is one byte, its index.
pub(super) const SEARCHER: u8 = 2;
/// A field of a library; its name is the library's, NUL, the field's.
pub(super) const LIBRARY: u8 = 3;

/// Bytes of the identity of a class.
pub(super) const IDENTITY: usize = 16;

/// Strings of this length and more are blobs: copied once, from Lua's memory to the message's place.
pub(super) const BLOB_MIN: usize = 32 * 1024;
/// Most arguments of a constructor: they are pushed onto the Lua stack for the call.
pub(super) const MAX_ARGUMENTS: usize = 200;

/// Size hint for `pairs` pairs.
pub(super) fn hint(pairs: u64) -> u8 {
    if pairs == 0 { 0 } else { 1 + (64 - (pairs - 1).leading_zeros()) as u8 }
}

/// Signed to unsigned, small magnitudes to small numbers.
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Reverse of [`zigzag`].
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
