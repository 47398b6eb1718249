//! Builds *factories* from LuaJIT's precompiled chunks. A factory is a chunk that returns a new closure of the same prototype
//! each time it is called.
//!
//! A chunk is a list of prototypes, inner ones first; each prototype takes its inner ones off a stack. So the prototypes of a
//! function f, followed by the main prototype of `local v return function() v = v end`, form a chunk that creates
//! closures of f. In f itself two things change: all entries of its list of upvalues refer to the local variable `v`, and
//! its prototypes count as having many closures. The format is described in lj_bcdump.h.
//!
//! No instruction is interpreted or written here. A chunk that is not exactly as expected has no factory.

/// All flags that a chunk may have.
const FLAGS: u8 = 0x1f;
/// Flag of chunks without debug information.
const STRIPPED: u8 = 0x02;
/// Flags that may differ between two chunks of the same LuaJIT: FFI literals and bit operators.
const NEEDS: u8 = 0x04 | 0x10;
/// Bits of a prototype's flags that count its closures, up to the number from which LuaJIT no longer specializes traces to a single
/// closure (`PROTO_CLC_POLY` in lj_obj.h). LuaJIT takes the flags from the chunk as they are.
const MANY_CLOSURES: u8 = 0x60;
/// Signature and version of the format.
const SIGNATURE: &[u8] = b"\x1bLJ\x02";

/// A chunk that returns closures with one upvalue. The assignment keeps LuaJIT from treating it as a constant.
pub(super) const SOURCE: &std::ffi::CStr = c"local v return function() v = v end";

/// The parts of a factory that are the same for all functions.
#[derive(Debug)]
pub(super) struct Template {
    flags: u8,
    /// The entry of `v` in a list of upvalues.
    variable: [u8; 2],
    /// The main prototype with its length, and the end mark of the chunk.
    main: Vec<u8>,
}

impl Template {
    /// From the chunk of [`SOURCE`]; `None` if it is not as expected.
    pub(super) fn of(chunk: &[u8]) -> Option<Template> {
        let whole = Chunk::of(chunk)?;
        // Without the main prototype it is the chunk of the inner function.
        let inner = [&chunk[..whole.last.0], &[0]].concat();
        let (start, end) = Chunk::of(&inner)?.upvalues(&inner)?;
        let variable = inner[start..end].try_into().ok()?;
        let main = chunk[whole.last.0..].to_vec();
        let template = Template { flags: whole.flags & !NEEDS, variable, main };
        let (mut again, mut expected) = (Vec::new(), chunk.to_vec());
        expected[whole.starts[0]] |= MANY_CLOSURES;
        (template.surround(&inner, &mut again) == Some(1) && again == expected).then_some(template)
    }

    /// Writes the factory of the function in `chunk` to `factory`, and returns the function's number of upvalues. `None` if
    /// there is no factory for it.
    pub(super) fn surround(&self, chunk: &[u8], factory: &mut Vec<u8>) -> Option<u8> {
        let parsed = Chunk::of(chunk)?;
        if parsed.flags & !NEEDS != self.flags {
            return None;
        }
        let (start, end) = parsed.upvalues(chunk)?;
        factory.clear();
        factory.extend_from_slice(&chunk[..chunk.len() - 1]);
        for start in parsed.starts {
            factory[start] |= MANY_CLOSURES;
        }
        for upvalue in factory[start..end].chunks_exact_mut(2) {
            upvalue.copy_from_slice(&self.variable);
        }
        factory.extend_from_slice(&self.main);
        u8::try_from((end - start) / 2).ok()
    }
}

/// A parsed chunk that has debug information.
struct Chunk {
    flags: u8,
    /// Starts of all prototypes, where their flags are.
    starts: Vec<usize>,
    /// Start of the last prototype, which is the function itself: with and without its length.
    last: (usize, usize),
}

impl Chunk {
    fn of(chunk: &[u8]) -> Option<Chunk> {
        let mut rest = Rest { chunk, at: 0 };
        let flags = if rest.take(SIGNATURE.len())? == SIGNATURE { rest.byte()? } else { return None };
        if flags & !FLAGS != 0 || flags & STRIPPED != 0 {
            return None;
        }
        let name = rest.number()?;
        rest.take(name)?;
        let (mut starts, mut last) = (Vec::new(), None);
        loop {
            let at = rest.at;
            let length = rest.number()?;
            if length == 0 {
                break;
            }
            last = Some((at, rest.at));
            starts.push(rest.at);
            rest.take(length)?;
        }
        (rest.at == chunk.len()).then_some(Chunk { flags, starts, last: last? })
    }

    /// Start and end of the last prototype's list of upvalues.
    fn upvalues(&self, chunk: &[u8]) -> Option<(usize, usize)> {
        let mut rest = Rest { chunk, at: self.last.1 };
        // Flags, number of parameters, frame size.
        rest.take(3)?;
        let upvalues = usize::from(rest.byte()?);
        let _objects = rest.number()?;
        let _numbers = rest.number()?;
        let instructions = rest.number()?;
        if rest.number()? > 0 {
            // Debug information follows later: skip the first line and the number of lines.
            rest.number()?;
            rest.number()?;
        }
        rest.take(instructions.checked_mul(4)?)?;
        let start = rest.at;
        rest.take(upvalues * 2)?;
        // The chunk's end mark does not belong to the prototype.
        (rest.at < chunk.len()).then_some((start, rest.at))
    }
}

/// The bytes that have not been read yet.
struct Rest<'a> {
    chunk: &'a [u8],
    at: usize,
}

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.chunk.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    /// A 32-bit number in groups of seven bits, lowest first. All groups but the last have the high bit set.
    fn number(&mut self) -> Option<usize> {
        let mut number = 0u64;
        for group in 0..5 {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * group);
            if byte & 0x80 == 0 {
                return Some(u32::try_from(number).ok()? as usize);
            }
        }
        None
    }
}

#[cfg(all(test, feature = "luajit"))]
mod tests {
    use super::*;
    use crate::ffi::*;
    use crate::version::chunk;

    /// The chunk of a text, as this LuaJIT writes it.
    fn dumped(text: &std::ffi::CStr) -> Vec<u8> {
        let mut bytes = Vec::new();
        // SAFETY: a new state, closed at the end.
        unsafe {
            let lua = luaL_newstate();
            assert_eq!(luaL_loadstring(lua, text.as_ptr()), LUA_OK);
            assert_eq!(chunk::dump(lua, &mut bytes), 0);
            lua_close(lua);
        }
        bytes
    }

    #[test]
    fn chunks_of_this_luajit_have_factories() {
        let template = Template::of(&dumped(SOURCE)).unwrap();
        let mut factory = Vec::new();
        let text = c"local a, b = ... return function(...) return a, b, 1LL, {x = 2.5, ...}, function() return a end end";
        for chunk in [dumped(text), dumped(c""), dumped(SOURCE)] {
            assert_eq!(template.surround(&chunk, &mut factory), Some(0));
            assert!(
                factory.len() == chunk.len() - 1 + template.main.len() && factory.ends_with(&template.main)
            );
        }
    }

    #[test]
    fn what_is_cut_off_has_no_factory_and_what_is_damaged_harms_nobody() {
        let template = Template::of(&dumped(SOURCE)).unwrap();
        let chunk = dumped(c"local a = ... return function(x) return a + x, 'text' end");
        let mut factory = Vec::new();
        for length in 0..chunk.len() {
            assert_eq!(template.surround(&chunk[..length], &mut factory), None, "{length} bytes");
            assert!(Template::of(&chunk[..length]).is_none());
        }
        for at in 0..chunk.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = chunk.clone();
                damaged[at] = byte;
                if template.surround(&damaged, &mut factory).is_some() {
                    assert_eq!(factory.len(), chunk.len() - 1 + template.main.len());
                }
                Template::of(&damaged);
            }
        }
        for head in [*b"\x1bLJ\x01\x08", *b"\x1bLJ\x02\x0a", *b"\x1bLJ\x02\x48", *b"\x1bLua\x08"] {
            let other = [&head, &chunk[5..]].concat();
            assert_eq!(template.surround(&other, &mut factory), None, "{head:x?}");
        }
    }
}
