//! Something to do when the process exits.

#![allow(unsafe_code)]

/// Has `action` run when the process ends by `exit` or by returning from `main`, atexit(3). The module's code
/// stays mapped until then (it is linked with `-z nodelete`).
pub fn at_exit(action: extern "C" fn()) {
    // SAFETY: the function is valid as long as the process lives. Without memory for the entry nothing is
    // registered, and what the action would do is left to whoever looks next.
    let _ = unsafe { libc::atexit(action) };
}
