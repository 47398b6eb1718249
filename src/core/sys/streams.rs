//! The C library's standard streams.

#![allow(unsafe_code)]

use std::ffi::c_void;

unsafe extern "C" {
    static stdin: *mut c_void;
    static stdout: *mut c_void;
    static stderr: *mut c_void;
}

/// The addresses of the standard streams, by their names in Lua.
pub fn standard() -> [(&'static str, usize); 3] {
    // SAFETY: the C library sets these before a program starts.
    unsafe { [("stdin", stdin as usize), ("stdout", stdout as usize), ("stderr", stderr as usize)] }
}
