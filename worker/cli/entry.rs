//! The entry point, called by the C runtime.
//!
//! Rust's own start-up ignores SIGPIPE, catches SIGSEGV and SIGBUS on a stack of its own and opens
//! `/dev/null` where a standard descriptor is closed. A script would notice each of them, and undoing
//! them cannot bring back what the parent process had set (`nohup`, a shell's ignored SIGPIPE). So that
//! start-up does not run at all: signals and descriptors are what the command inherited, as under stock
//! Lua. The standard library works without it; only a panic's "thread main" loses its name.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};

/// The C entry point of the process.
///
/// A panic cannot leave it: unwinding out of an `extern "C"` function aborts.
// SAFETY: the one definition of the symbol, in the executable that the C runtime looks for it in: the
// crate root says `no_main`, so rustc makes none.
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let count = usize::try_from(argc).unwrap_or(0);
    let argv: Vec<CString> = (0..count)
        .map(|i| {
            // SAFETY: `argv` points to `argc` pointers (the C standard's promise to `main`), `i < argc`.
            let argument = unsafe { *argv.add(i) };
            // SAFETY: each of them is a NUL-terminated string that lives as long as the process; nothing
            // has had the chance to write to it yet, and it is copied here.
            unsafe { CStr::from_ptr(argument) }.to_owned()
        })
        .collect();
    crate::start(&argv)
}
