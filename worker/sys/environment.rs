//! The process's environment, environ(7), as memory.

use std::ffi::{CStr, CString, c_char};
use std::ops::Range;
use std::sync::{Mutex, OnceLock, PoisonError};

unsafe extern "C" {
    static mut environ: *const *mut c_char;
}

/// What [`replace`] made.
struct Made {
    /// The strings, one behind the other.
    block: Vec<u8>,
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

/// Where the strings stand that the process was started with.
static FIRST: OnceLock<Range<usize>> = OnceLock::new();

/// Notes the strings that the process was started with, for [`replace`]. Before anything changes the environment.
pub fn note() {
    /// More than the kernel lets arguments and variables take, execve(2).
    const MOST: usize = 8 << 20;
    let mut strings = Vec::new();
    // SAFETY: the list ends with null, its strings with zero bytes, and nothing changes it meanwhile.
    unsafe {
        let mut at: *const *mut c_char = environ;
        while !at.is_null() && !(*at).is_null() {
            let start = (*at).addr();
            strings.push(start..start + CStr::from_ptr(*at).to_bytes().len());
            at = at.add(1);
        }
    }
    let (start, end) = (strings.iter().map(|it| it.start).min(), strings.iter().map(|it| it.end).max());
    let range = start.unwrap_or(0)..end.unwrap_or(0);
    // The kernel puts them one behind the other. Where one stands elsewhere something has changed it already.
    let _ = FIRST.set(if range.len() <= MOST { range } else { 0..0 });
}

/// Makes strings the environment, each with a zero byte behind it. What the process was started with, and what this has made
/// before, is overwritten; what modules have made is theirs, and may be read-only. For a process with one thread.
pub fn replace(mut block: Vec<u8>) {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let old = made.as_ref().map(|made| made.block.as_ptr_range());
    let old = old.map_or(0..0, |range| range.start.addr()..range.end.addr());
    let first = FIRST.get().cloned().unwrap_or_default();
    // SAFETY: as for `note`; what is overwritten lies in memory of the stack, or in that of the block.
    unsafe {
        let mut at: *const *mut c_char = environ;
        while !at.is_null() && !(*at).is_null() {
            let variable = *at;
            if first.contains(&variable.addr()) || old.contains(&variable.addr()) {
                variable.write_bytes(0, CStr::from_ptr(variable).to_bytes().len());
            }
            at = at.add(1);
        }
        libc::clearenv();
    }
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
    *made = Some(Made { block, _list: list });
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
    fn an_environment_is_replaced_also_after_changes_and_what_was_there_is_gone() {
        note();
        replace(b"A=1\0B=\xff\xfe\0no variable\0".to_vec());
        assert_eq!(std::env::vars_os().count(), 2);
        assert_eq!(std::env::var("A").as_deref(), Ok("1"));
        set(b"C", b"3");
        replace(b"A=22\0".to_vec());
        assert_eq!(std::env::var("A").as_deref(), Ok("22"));
        assert!(std::env::var_os("C").is_none() && std::env::var_os("B").is_none());
        replace(Vec::new());
        assert_eq!(std::env::vars_os().count(), 0);
    }
}
