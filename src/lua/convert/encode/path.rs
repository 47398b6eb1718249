//! Where in the values an unsendable one was found.

use crate::ffi::*;

use super::super::options::Roots;
use super::super::protect::{text, type_name};
use super::*;
use crate::version::upvalue;

/// Segments shown at either end of a long path.
const SHOWN: usize = 8;

impl Encoder<'_> {
    /// The path of the value that the innermost frame is at. Raises nothing.
    pub(super) unsafe fn path(&self) -> String {
        let frames = &self.buffers.frames;
        let mut segments = Vec::new();
        for (depth, frame) in frames.iter().enumerate() {
            if depth >= SHOWN && depth + SHOWN < frames.len() {
                if depth == SHOWN {
                    segments.push(format!("… ({} levels)", frames.len() - 2 * SHOWN));
                }
                continue;
            }
            // SAFETY: the frame's slots are in use.
            segments.push(unsafe { self.segment(*frame) });
        }
        let alone = segments.is_empty();
        let root = match (self.root, self.options.roots) {
            // The caller adds the global's name.
            (Root::Global, _) => None,
            (Root::Value(_), Roots::Values) if self.count == 1 => alone.then(|| "the value".to_owned()),
            (Root::Value(index), Roots::Values) => Some(format!("value {}", index + 1)),
            (Root::Value(0), Roots::Job) => alone.then(|| "the function".to_owned()),
            (Root::Value(index), Roots::Job) => Some(format!("argument {index}")),
            (Root::Value(index), Roots::Arguments) => Some(format!("argument {}", index + 1)),
            (Root::Value(index), Roots::Results) => Some(format!("result {}", index + 1)),
        };
        if let Some(root) = root {
            segments.insert(0, root);
        }
        segments.join(" → ")
    }

    unsafe fn segment(&self, frame: Frame) -> String {
        let lua = self.lua;
        // SAFETY: slots as the comments on `At` say; a raw read of them raises nothing.
        unsafe {
            match frame.at {
                At::Next { in_key: true, .. } | At::Pairs { in_key: true, .. } => "key".to_owned(),
                At::Next { .. } | At::Pairs { .. } => {
                    self.stack.push(frame.slot + 1);
                    let segment = self.key();
                    lua_settop(lua, -2);
                    segment
                }
                At::Sparse { index, .. } => format!("index {}", index - 1),
                At::Meta => "metatable".to_owned(),
                At::Upvalue { index, .. } => {
                    self.stack.push(frame.slot);
                    let name = upvalue::get(lua, -1, index - 1);
                    let name = if name.is_null() { c"?".as_ptr() } else { name };
                    let name = std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned();
                    lua_settop(lua, -3);
                    format!("upvalue '{name}'")
                }
                At::Built { index: 2, .. } => "constructor".to_owned(),
                At::Built { index, .. } => format!("constructor argument {}", index - 2),
            }
        }
    }

    /// The key on top.
    unsafe fn key(&self) -> String {
        let lua = self.lua;
        // SAFETY: a value is on top; strings alone are read as strings, so no number is converted.
        unsafe {
            match lua_type(lua, -1) {
                LUA_TSTRING => {
                    let mut name = text(lua, -1);
                    if name.chars().count() > 60 {
                        name = name.chars().take(60).chain(['…']).collect();
                    }
                    format!("field '{name}'")
                }
                LUA_TNUMBER if lua_isinteger(lua, -1) != 0 => format!("index {}", lua_tointeger(lua, -1)),
                LUA_TNUMBER => format!("index {}", lua_tonumber(lua, -1)),
                LUA_TBOOLEAN => format!("index {}", lua_toboolean(lua, -1) != 0),
                kind => format!("value of a {} key", type_name(lua, kind)),
            }
        }
    }
}
