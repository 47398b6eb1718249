//! A state with the libraries in it for the command's own Lua, which goes through mlua's safe interface.

use std::ffi::c_int;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::ptr;

use llib_lua::ffi::{self, lua_State};
use mlua::{AnyUserData, Lua, ObjectLike};

use super::libraries;
use crate::search_path::SearchPath;

/// Makes a state, hands it to `f` and closes it; none if there is no memory for it.
///
/// What is returned cannot be a Lua value, which would outlive its state: those are not `Send`.
pub(crate) fn with_state<R: Send + 'static>(search: &SearchPath, f: impl FnOnce(&Lua) -> R) -> Option<R> {
    // SAFETY: no precondition. A null result is handled.
    let state = unsafe { ffi::luaL_newstate() };
    if state.is_null() {
        return None;
    }
    let _closer = Closer(state);
    // SAFETY: a fresh state of this function's own; what the protected call gets outlives it. The state stays
    // open while mlua's handle is used, and its values cannot leave `f`.
    unsafe {
        ffi::lua_pushcfunction(state, open);
        ffi::lua_pushlightuserdata(state, ptr::from_ref(search).cast_mut().cast());
        if ffi::lua_pcall(state, 1, 0, 0) != ffi::LUA_OK {
            return None;
        }
        Some(f(Lua::get_or_init_from_ptr(state)))
    }
}

/// Closes the state also where `f` panics.
struct Closer(*mut lua_State);

impl Drop for Closer {
    fn drop(&mut self) {
        // SAFETY: `with_state` made it, and nothing uses it after this.
        unsafe { ffi::lua_close(self.0) }
    }
}

unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: only `with_state` calls this, in protected mode, with the address of a path that outlives the
    // call. This frame owns nothing.
    unsafe { libraries::open(state, false, &*ffi::lua_touserdata(state, 1).cast::<SearchPath>()) }
    0
}

/// The descriptor that polls readable when a task has ended, and the task, which keeps it open.
pub(crate) struct TaskDescriptor<'a> {
    number: RawFd,
    _task: &'a AnyUserData,
}

impl<'a> TaskDescriptor<'a> {
    /// Asks a task of `llib.thread` for it.
    pub(crate) fn of(task: &'a AnyUserData) -> mlua::Result<TaskDescriptor<'a>> {
        let number = task.call_method::<RawFd>("getfd", ())?;
        if number < 0 {
            return Err(mlua::Error::runtime("the task has no descriptor"));
        }
        Ok(TaskDescriptor { number, _task: task })
    }
}

impl AsFd for TaskDescriptor<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: not negative. The task, which is borrowed, keeps it open until it is cleaned or collected,
        // and `llib run` cleans it after the last use.
        unsafe { BorrowedFd::borrow_raw(self.number) }
    }
}
