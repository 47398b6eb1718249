//! The environment of this process, environ(7), without a copy of it.
//!
//! Read as getenv(3) does, and with its condition: no other thread of the program changes it meanwhile.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char};

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// Bytes of values that [`fingerprint`] reads. glibc never gives a string's place to another one, so where they are is enough.
const READ: usize = if cfg!(target_env = "gnu") { 0 } else { 4 << 10 };

/// Its strings, in their order, also those that are no variables.
pub fn strings() -> Vec<CString> {
    entries().map(CStr::to_owned).collect()
}

fn entries() -> impl Iterator<Item = &'static CStr> {
    // SAFETY: callers keep none of them beyond a change of the environment, and copy what they need.
    pointers().map(|string| unsafe { CStr::from_ptr(string) })
}

fn pointers() -> impl Iterator<Item = *const c_char> {
    // SAFETY: the C library keeps the list, which ends with null; only a change from another thread could end it earlier.
    let mut at = unsafe { environ };
    std::iter::from_fn(move || {
        // SAFETY: as above: this is an entry of the list, and the next one is there unless it was the last.
        unsafe {
            let string = *at.as_ref()?;
            at = at.add(1);
            (!string.is_null()).then_some(string)
        }
    })
    .fuse()
}

/// A number that another environment does not have: it is made of where the strings are, for setenv(3) puts a changed variable
/// elsewhere. A program that writes into a string that it gave to putenv(3) is not noticed. Some 40 ns.
pub fn fingerprint() -> u64 {
    let (mut hash, mut left) = (0, READ);
    for string in pointers() {
        hash = mix(hash, string.addr() as u64);
        // Reading all of thousands of variables would cost more than the start of a job.
        if left > 0 {
            // SAFETY: as in `entries`.
            let bytes = unsafe { CStr::from_ptr(string) }.to_bytes();
            hash = mix_bytes(hash, &bytes[..bytes.len().min(left)]);
            left = left.saturating_sub(bytes.len());
        }
    }
    hash
}

fn mix_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<16>();
    for pair in pairs {
        let pair = u128::from_ne_bytes(*pair);
        hash = mix(hash ^ (pair >> 64) as u64, pair as u64);
    }
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    let last = u128::from_ne_bytes(last);
    mix(hash ^ (last >> 64) as u64, last as u64 ^ rest.len() as u64)
}

fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xa076_1d64_78bd_642f;
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strings_are_the_environment_and_the_fingerprint_stays_while_that_does() {
        let names: Vec<_> = std::env::vars_os().map(|(name, _)| name.into_encoded_bytes()).collect();
        let strings = strings();
        assert!(!names.is_empty() && names.len() <= strings.len());
        assert!(names.iter().all(|name| strings.iter().any(|string| string.as_bytes().starts_with(name))));
        assert_eq!(fingerprint(), fingerprint());
    }

    #[test]
    fn bytes_that_differ_anywhere_differ_in_what_they_are_mixed_to() {
        let text = b"A=0123456789abcdef0123456789abcdef";
        let whole = mix_bytes(7, text);
        for at in 0..text.len() {
            let mut other = *text;
            other[at] ^= 1;
            assert_ne!(mix_bytes(7, &other), whole);
            assert_ne!(mix_bytes(7, &text[..at]), whole);
        }
    }
}
