//! Where code was loaded from, dladdr(3), what else was, dlsym(3), and the program that runs.

#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The file that this code was loaded from: module or executable.
pub fn own_file() -> Option<PathBuf> {
    let name = file_of(own_file as *const c_void as usize)?;
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}

/// The file that the code at an address was loaded from, by the name by which it was opened. Files of C code that are
/// loaded into Lua are never unloaded while a state is open.
pub fn file_of(address: usize) -> Option<&'static CStr> {
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: the call only compares the address with those of loaded objects; on success the name is a
    // string that lives as long as the object.
    unsafe {
        let address: *const c_void = std::ptr::without_provenance(address);
        if libc::dladdr(address, &mut info) == 0 || info.dli_fname.is_null() {
            return None;
        }
        Some(CStr::from_ptr(info.dli_fname))
    }
}

/// A symbol that this module could have named itself. One that it does name has to be there for the module to be loaded at all.
pub fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends with a zero byte.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// The executable that runs. Without /proc it is what execve(2) was given, as getauxval(3) tells it.
pub fn executable() -> Option<PathBuf> {
    std::env::current_exe().ok().or_else(|| {
        // SAFETY: the entry, if there is one, is a string that lives as long as the process.
        let name = unsafe {
            let name = libc::getauxval(libc::AT_EXECFN) as *const std::ffi::c_char;
            (!name.is_null()).then(|| CStr::from_ptr(name))?
        };
        std::path::absolute(OsStr::from_bytes(name.to_bytes())).ok()
    })
}
