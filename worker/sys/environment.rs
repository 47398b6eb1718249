//! The process's environment, environ(7), as memory.

use std::ffi::{CStr, CString, c_char};

unsafe extern "C" {
    static environ: *const *mut c_char;
}

/// Overwrites every variable where it stands, and empties the environment. For a process with one thread.
pub fn erase() {
    // SAFETY: the list ends with null, its strings are writable memory of this process: the kernel put them on the
    // stack, or setenv(3) into the heap. Nobody keeps a reference into them here.
    unsafe {
        let mut at = environ;
        while !at.is_null() && !(*at).is_null() {
            let variable = *at;
            let len = CStr::from_ptr(variable).to_bytes().len();
            variable.write_bytes(0, len);
            at = at.add(1);
        }
        libc::clearenv();
    }
}

/// Sets a variable; one whose name or value cannot be one is left out. For a process with one thread.
pub fn set(name: &[u8], value: &[u8]) {
    if let (Ok(name), Ok(value)) = (CString::new(name), CString::new(value)) {
        // SAFETY: both strings end with a zero byte; the call copies them.
        unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) };
    }
}

/// Has the C library read the time zone, tzset(3), so that its file need not be opened later.
pub fn read_time_zone() {
    unsafe extern "C" {
        fn tzset();
    }
    // SAFETY: the call takes nothing; the process has one thread.
    unsafe { tzset() }
}
