//! Messages on C's standard error, the stream that the script's `io.stderr` is: a script may have given
//! it a buffer, and the message has to come after what is in there.

use std::ffi::CStr;

use libc::FILE;

unsafe extern "C" {
    #[link_name = "stderr"]
    static STDERR: *mut FILE;
}

/// Writes `program: text` and a line end. A message with a NUL byte ends there, as in stock Lua.
pub(super) fn message(program: &CStr, text: &CStr) {
    // SAFETY: the C runtime sets `stderr` before `main` and nothing assigns it later. The stream stays
    // valid also when a script closes it, since Lua's `io.stderr:close()` does nothing. All strings are
    // NUL-terminated. Results are ignored: there is nobody left to tell.
    unsafe {
        for part in [program, c": ", text, c"\n"] {
            libc::fputs(part.as_ptr(), STDERR);
        }
        libc::fflush(STDERR);
    }
}
