//! The process's environment, environ(7), as memory.

use std::ffi::{CStr, CString, c_char};
use std::sync::{Mutex, PoisonError};

unsafe extern "C" {
    static mut environ: *const *mut c_char;
}

/// What [`replace`] made.
struct Made {
    /// The strings, one behind the other.
    _block: Vec<u8>,
    /// Their addresses, and null.
    _list: Vec<usize>,
}

/// What the environment consists of, if it was replaced.
static MADE: Mutex<Option<Made>> = Mutex::new(None);

/// Overwrites every variable where it stands, and empties the environment. For a process with one thread.
pub fn erase() {
    // SAFETY: the list ends with null, its strings are writable memory of this process: the kernel put them on the
    // stack, or setenv(3) into the heap. Nobody keeps a reference into them here.
    unsafe {
        let mut at: *const *mut c_char = environ;
        while !at.is_null() && !(*at).is_null() {
            let variable = *at;
            let len = CStr::from_ptr(variable).to_bytes().len();
            variable.write_bytes(0, len);
            at = at.add(1);
        }
        libc::clearenv();
    }
}

/// Makes strings the environment, each with a zero byte behind it; what was there is overwritten. For a process with one
/// thread.
pub fn replace(mut block: Vec<u8>) {
    erase();
    let start = block.as_mut_ptr().expose_provenance();
    let ends = block.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at + 1);
    let mut list: Vec<usize> = std::iter::once(0).chain(ends).map(|at| start + at).collect();
    // Behind the last string.
    list.pop();
    list.push(0);
    // SAFETY: a list of addresses of strings in writable memory, with null behind them. Both stay until the environment is
    // another; setenv(3) copies a list that is not its own before it changes it.
    unsafe { environ = list.as_ptr().cast() };
    // What it was made of before goes now that nothing leads there.
    *MADE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Made { _block: block, _list: list });
    read_time_zone();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_replaced_and_what_was_there_is_gone_also_from_memory() {
        replace(b"A=1\0B=\xff\xfe\0no variable\0".to_vec());
        assert_eq!(std::env::vars_os().count(), 2);
        assert_eq!(std::env::var("A").as_deref(), Ok("1"));
        set(b"C", b"3");
        // SAFETY: nobody else changes it: this is the only test of this program that does.
        let old = unsafe { *environ };
        replace(b"A=22\0".to_vec());
        assert_eq!(std::env::var("A").as_deref(), Ok("22"));
        assert!(std::env::var_os("C").is_none() && std::env::var_os("B").is_none());
        assert_ne!(old.addr(), 0);
        replace(Vec::new());
        assert_eq!(std::env::vars_os().count(), 0);
    }
}
