//! Functions: code and upvalues.

use crate::ffi::*;

use super::super::finalizers::note_code;
use super::super::protect::error_text;
use super::*;
use crate::version::{chunk, upvalue};

impl Decoder<'_> {
    pub(super) unsafe fn function(&mut self, tag: u8, shared: bool, offset: usize) -> Step<bool> {
        if !self.options.functions {
            if self.options.inert {
                // SAFETY: as below.
                return unsafe { self.inert_function(tag, shared, offset) };
            }
            return self.fail(DecodeError::Refused("a function"));
        }
        if tag == CODE {
            self.copy_counted()?;
        } else {
            let read = self.cursor.varint();
            let at = self.read(read)?;
            if at >= self.cursor.at as u64 {
                return self.corrupt("code that has not come yet");
            }
            let after = self.cursor;
            self.cursor.at = at as usize;
            self.copy_counted()?;
            self.cursor = after;
        }
        let dumped = self.scratch.len().saturating_sub(CHECK_SUM);
        let (code, sum) = self.scratch.split_at(dumped);
        let checked = check_sum(code);
        if sum != checked.to_le_bytes() {
            return self.corrupt("code that is not what was sent");
        }
        note_code(code);
        let lua = self.lua;
        // SAFETY: below `lua_pcall` with room. The code comes from a trusted sender, as the option says;
        // it is loaded from private memory.
        unsafe {
            let code = &raw const self.scratch[..dumped];
            let status = match &mut self.prototypes {
                Some(prototypes) => prototypes.load(lua, code, checked),
                None => chunk::load(lua, code),
            };
            if status != LUA_OK {
                let error = if status == LUA_ERRMEM {
                    DecodeError::Memory
                } else {
                    DecodeError::Code(error_text(lua))
                };
                return self.fail(error);
            }
            if shared {
                self.record(offset)?;
            }
            self.open(Frame::Upvalues { index: upvalue::FIRST - 1 })?;
        }
        Ok(true)
    }

    /// Continues with the upvalue after `index`.
    ///
    /// Every upvalue is set: Lua puts the globals table into the first one of a loaded chunk, whatever that is.
    pub(super) unsafe fn upvalues(&mut self, mut index: c_int) -> Step {
        // SAFETY: `function` is on top. `upvalue::set` checks the index.
        unsafe {
            loop {
                let offset = self.cursor.at;
                let read = self.cursor.byte();
                let tag = self.read(read)?;
                match tag {
                    END => return self.close(),
                    CELL if self.options.functions => self.shared_upvalue(index + 1)?,
                    CELL => self.skip_cell()?,
                    _ => {
                        if self.tagged(tag, offset)? {
                            return Ok(());
                        }
                        self.set_upvalue(index + 1)?;
                    }
                }
                index += 1;
                if let Some(Frame::Upvalues { index: kept }) = self.frames.last_mut() {
                    *kept = index;
                }
            }
        }
    }

    /// Makes the value on top upvalue `index` of the function below it, and pops it. One without use has none.
    pub(super) unsafe fn set_upvalue(&mut self, index: c_int) -> Step {
        let lua = self.lua;
        // SAFETY: a function, or a table in its place, and a value are on top; the index is checked.
        unsafe {
            if !self.options.functions {
                lua_settop(lua, -2);
            } else if !upvalue::set(lua, -2, index) {
                return self.corrupt("more upvalues than the function has");
            }
        }
        Ok(())
    }

    /// Makes upvalue `index` of the function on top the same variable as an upvalue that came before.
    unsafe fn shared_upvalue(&mut self, index: c_int) -> Step {
        let lua = self.lua;
        // SAFETY: both functions are Lua functions and both upvalues exist.
        unsafe {
            self.reference()?;
            let read = self.cursor.byte();
            let number = c_int::from(self.read(read)?);
            let function = lua_type(lua, -1) == LUA_TFUNCTION && lua_iscfunction(lua, -1) == 0;
            if !function || !upvalue::exists(lua, -1, number) || !upvalue::exists(lua, -2, index) {
                return self.corrupt("a shared upvalue that does not exist");
            }
            upvalue::join(lua, -2, index, -1, number);
            lua_settop(lua, -2);
        }
        Ok(())
    }
}
