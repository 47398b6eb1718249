//! Globals that go along with the functions that name them.

use crate::ffi::*;

use super::super::names::STANDARD;
use super::super::options::GlobalMode;
use super::*;

impl Encoder<'_> {
    /// A function's code contains this identifier: if it is a global of the script's own, it goes along.
    pub(super) unsafe fn found_name(&mut self, name: &[u8]) {
        if self.options.globals != GlobalMode::Named || self.buffers.queued.contains(name) {
            return;
        }
        let lua = self.lua;
        // SAFETY: below `lua_pcall`; nothing with a destructor lives on the frames up to here.
        unsafe {
            lua_pushlstring(lua, name.as_ptr().cast(), name.len());
            let own = lua_rawget(lua, GLOBAL_TABLE) != LUA_TNIL && self.is_own(name);
            lua_settop(lua, -2);
            if own {
                self.queue(name);
            }
        }
    }

    fn queue(&mut self, name: &[u8]) {
        if self.buffers.queued.insert(name.into()) {
            self.buffers.queue.push(name.into());
        }
    }

    /// Whether the value on top is something the receiver does not have under this global name anyway.
    unsafe fn is_own(&mut self, global: &[u8]) -> bool {
        let lua = self.lua;
        // SAFETY: a value is on top; free slots are there.
        unsafe {
            match lua_type(lua, -1) {
                LUA_TFUNCTION if lua_iscfunction(lua, -1) != 0 => {
                    let mut names = self.names();
                    let named = names.find_anew();
                    self.names = Some(names);
                    if !named {
                        return true;
                    }
                    let same = bytes_at(lua, -1).strip_prefix(b"_G\0").is_some_and(|name| name == global);
                    lua_settop(lua, -2);
                    !same
                }
                LUA_TTABLE if lua_topointer(lua, -1) as usize == self.globals => global != b"_G",
                LUA_TTABLE => {
                    if !STANDARD.iter().any(|s| s.as_bytes() == global) || !self.names().find() {
                        return true;
                    }
                    let same = bytes_at(lua, -1) == global;
                    lua_settop(lua, -2);
                    !same
                }
                LUA_TSTRING => global != b"_VERSION",
                _ => true,
            }
        }
    }

    /// Writes the globals that were found, which may lead to more.
    pub(super) unsafe fn send_globals(&mut self) -> Step {
        let lua = self.lua;
        if !self.uses_globals {
            // No function can reach them: their names are just strings.
            self.buffers.queue.clear();
            self.buffers.queued.clear();
        }
        // SAFETY: below `lua_pcall` with free slots; the globals table is not changed during the loop.
        unsafe {
            if self.options.globals == GlobalMode::All {
                lua_pushnil(lua);
                while lua_next(lua, GLOBAL_TABLE) != 0 {
                    if lua_type(lua, -2) == LUA_TSTRING {
                        let name = bytes_at(lua, -2);
                        if self.is_own(name) {
                            self.queue(name);
                        }
                    }
                    lua_settop(lua, -2);
                }
            }
            for name in self.options.extra_globals {
                self.queue(name);
            }
            self.stack.base = lua_gettop(lua);
            let mut next = 0;
            while next < self.buffers.queue.len() {
                self.global(next)?;
                next += 1;
            }
        }
        Ok(())
    }

    /// Writes a global, or why it cannot be sent.
    unsafe fn global(&mut self, index: usize) -> Step {
        let lua = self.lua;
        let name: *const [u8] = &raw const *self.buffers.queue[index];
        // SAFETY: the name is on the heap and stays in the queue, which only loses later entries.
        let name = unsafe { &*name };
        let mark = self.buffers.sink.mark();
        let found = self.buffers.queue.len();
        let exported = self.handles.exported();
        // SAFETY: as in `send_globals`.
        unsafe {
            lua_pushlstring(lua, name.as_ptr().cast(), name.len());
            if lua_rawget(lua, GLOBAL_TABLE) == LUA_TNIL {
                lua_settop(lua, -2);
                return Ok(());
            }
            self.root = Root::Global;
            self.buffers.sink.byte(GLOBAL);
            self.buffers.sink.counted(name);
            if self.whole_value().is_ok() {
                return Ok(());
            }
            if !matches!(self.error, Some(EncodeError::Unsendable { .. })) {
                return Err(Stop);
            }
            // As if it had never been tried. Tags before the mark that were made shared meanwhile stay so,
            // which costs the reader a table entry and nothing else.
            self.stack.clear();
            self.clones = 0;
        }
        let start = mark.bytes;
        let Buffers { sink, frames, seen, cells, codes, queue, queued, .. } = &mut *self.buffers;
        sink.back_to(mark);
        frames.clear();
        seen.forget_from(start);
        cells.retain(|_, (offset, _)| *offset < start);
        codes.retain(|_, offset| *offset < start);
        for later in queue.drain(found..) {
            queued.remove(&later);
        }
        sink.byte(MISSING);
        sink.counted(name);
        if let Some(EncodeError::Unsendable { path, reason }) = self.error.take() {
            let reason = if path.is_empty() { reason } else { format!("{path}: {reason}") };
            sink.counted(reason.as_bytes());
        }
        self.handles.withdraw(exported);
        Ok(())
    }
}
