//! Functions: code, upvalues and the variables they share.

use crate::ffi::*;

use super::super::code::Code;
use super::environment::is_environment;
use super::*;
use crate::version::{chunk, upvalue};

impl Encoder<'_> {
    pub(super) unsafe fn function(&mut self) -> Step<bool> {
        let lua = self.lua;
        // SAFETY: a function is on top; free slots are there.
        unsafe {
            let address = lua_topointer(lua, -1) as usize;
            if self.met_before(address) {
                return Ok(false);
            }
            if lua_iscfunction(lua, -1) != 0 {
                let mut names = self.names();
                let found = names.find_anew();
                self.names = Some(names);
                if found {
                    return self.by_name_there();
                }
                if let Some(name) = names.no_name() {
                    let reason = format!(
                        "the C function '{}' of this program's Lua, which the Lua of workers does not have",
                        String::from_utf8_lossy(name)
                    );
                    return self.unsendable(&reason);
                }
                return self.unsendable("a C function that no loaded module has as a field");
            }
            let environment = self.environment_of();
            self.buffers.chunk.clear();
            match chunk::dump(lua, &mut self.buffers.chunk) {
                0 => {}
                // LuaJIT does not raise this here.
                LUA_ERRMEM => return self.fail(EncodeError::Memory),
                _ => return self.unsendable("its code cannot be dumped"),
            }
            let offset = self.buffers.sink.at();
            self.buffers.seen.insert(address, offset);
            self.code(environment);
            self.open(At::Upvalue { offset, index: upvalue::FIRST }, 0)?;
            Ok(true)
        }
    }

    /// Writes the chunk, or where the same one was written before: closures of one function share it.
    ///
    /// The names in it are looked up in the environment, where that is not the globals: once for each environment.
    unsafe fn code(&mut self, environment: Option<usize>) {
        if let Some(environment) = environment {
            let chunk: *const [u8] = &raw const *self.buffers.chunk;
            // SAFETY: the chunk is not touched while its names are looked up.
            chunk::identifiers(unsafe { &*chunk }, |name| unsafe { self.name_in(environment, name) });
        }
        let Buffers { sink, chunk, codes, .. } = &mut *self.buffers;
        let dumped = chunk.len();
        let hash = check_sum(chunk);
        chunk.extend_from_slice(&hash.to_le_bytes());
        if let Some(&at) = codes.get(&hash) {
            let mut width = 1;
            while sink.written(at + width - 1, 1)[0] >= 0x80 {
                width += 1;
            }
            let same = at + width + chunk.len() <= sink.at()
                && sink.written(at + width, chunk.len()) == &chunk[..]
                && length_is(sink.written(at, width), chunk.len());
            if same {
                sink.byte(AGAIN);
                sink.varint(at as u64);
                return;
            }
        }
        sink.byte(CODE);
        codes.insert(hash, sink.at());
        sink.counted(chunk);
        let chunk: *const [u8] = &raw const **chunk;
        // SAFETY: the chunk is not touched while its names are looked up.
        let code = unsafe { &(&*chunk)[..dumped] };
        if environment.is_none() {
            // SAFETY: as above.
            chunk::identifiers(code, |name| unsafe { self.found_name(name) });
        }
        // SAFETY: as above.
        unsafe { self.found_code(Code::Chunk(code)) };
    }

    /// Continues with upvalue `index`.
    pub(super) unsafe fn upvalues(&mut self, offset: usize, mut index: c_int) -> Step {
        let lua = self.lua;
        // SAFETY: `function` is on top, a Lua function. An index past its last upvalue gives NULL.
        unsafe {
            loop {
                let name = upvalue::get(lua, -1, index);
                if name.is_null() {
                    break;
                }
                let cell = upvalue::identity(lua, -2, index);
                if let Some(&(owner, number)) = cell.and_then(|cell| self.buffers.cells.get(&cell)) {
                    let sink = &mut self.buffers.sink;
                    sink.mark_shared(owner);
                    sink.byte(CELL);
                    sink.varint(owner as u64);
                    sink.byte(number as u8);
                    lua_settop(lua, -2);
                    index += 1;
                    continue;
                }
                if let Some(cell) = cell {
                    self.buffers.cells.insert(cell, (offset, index));
                }
                index += 1;
                self.continue_at(At::Upvalue { offset, index });
                if !self.buffers.environments.is_empty() && is_environment(name) && self.environment_again() {
                    continue;
                }
                if self.value()? {
                    return Ok(());
                }
            }
            self.buffers.sink.byte(END);
            self.close();
        }
        Ok(())
    }
}

/// Whether a varint says `len`.
fn length_is(varint: &[u8], len: usize) -> bool {
    varint.iter().rev().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f)) == len
}
