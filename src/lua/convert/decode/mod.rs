//! Bytes to Lua values.
//!
//! The decoder is driven by the bytes: a tag that opens a container pushes it and starts a frame, and each
//! complete value is delivered to the innermost frame. Metatables are set after everything else, so that
//! finalizers and weak modes meet complete objects and no metamethod runs during decoding.
//!
//! **Memory** that a message of `n` bytes can make the receiver use is at most [`MEMORY_FACTOR`] times `n`
//! plus a few kilobytes, unless it contains code, constructors or names of modules: those are for trusted
//! senders.

mod function;
mod globals;
mod named;
mod table;
mod userdata;
mod value;

use std::ffi::c_int;

use mlua::ffi::*;

use super::collector::Pause;
use super::error::DecodeError;
use super::format::*;
use super::options::{DecodeOptions, Handles, NoHandles};
use super::protect::{FIRST, Protected, protected};
use super::source::{Cursor, Read, Source};
use super::stack::{ROOM, Stack};

/// Bytes of memory per byte of message, see above. The worst measured is 31, for tables in each other's items
/// that are all remembered for references; frames on the Rust heap add some 20 to that.
pub const MEMORY_FACTOR: usize = 100;

/// Slots of the protected function: objects that references may name, moved stack slots, metatables to be
/// set, globals that could not be sent; then the values.
const RECORD: c_int = FIRST;
const AWAY: c_int = FIRST + 1;
const METAS: c_int = FIRST + 2;
const MISSED: c_int = FIRST + 3;

/// The error is in the decoder: it has a destructor and must not be on a frame that Lua may leave.
struct Stop;

type Step<T = ()> = Result<T, Stop>;

/// One open container, and where it continues. The comments name its stack slots.
#[derive(Clone, Copy)]
enum Frame {
    /// `table`: items follow.
    Items { index: usize, items: usize },
    /// `table`, then `table key`
    Pairs { has_key: bool },
    /// `table`: its metatable follows.
    Meta,
    /// `function`
    Upvalues { index: c_int },
    /// `function arguments`, nothing before the function came.
    Built { offset: usize, shared: bool, count: usize, metas: c_int },
}

struct Decoder<'a> {
    lua: *mut lua_State,
    cursor: Cursor,
    /// Where the next blob starts.
    blobs: usize,
    total: usize,
    options: &'a DecodeOptions,
    handles: &'a mut dyn Handles,
    frames: Vec<Frame>,
    /// Private copy of code, names, handles and objects.
    scratch: Vec<u8>,
    stack: Stack,
    /// Table slots that may still be reserved.
    budget: u64,
    /// Entries in the table at `METAS`.
    metas: c_int,
    values: c_int,
    error: Option<DecodeError>,
}

/// Decodes a message and pushes its values; returns their number. On error the stack is as it was.
///
/// The source may change meanwhile: that gives an error or other values, never more. The garbage collector
/// is held back; finalizers may run at the end (hold it back with a [`Pause`] of your own to move that end).
///
/// # Safety
/// `lua` is a valid state with a few free slots. With [`DecodeOptions::functions`] or
/// [`DecodeOptions::constructors`] the sender must be trusted.
pub unsafe fn decode(
    lua: *mut lua_State,
    source: Source,
    options: &DecodeOptions,
    handles: &mut dyn Handles,
) -> Result<c_int, DecodeError> {
    if source.len() > options.max_len {
        return Err(DecodeError::TooLong { len: source.len(), limit: options.max_len });
    }
    let mut decoder = Decoder {
        lua,
        cursor: Cursor::new(source),
        blobs: 0,
        total: source.len(),
        options,
        handles,
        frames: Vec::new(),
        scratch: Vec::new(),
        stack: Stack::new(lua, AWAY, 0),
        budget: source.len() as u64,
        metas: 0,
        values: 0,
        error: None,
    };
    // SAFETY: the state is valid; the stack is checked before anything is pushed and restored on failure.
    unsafe {
        let top = lua_gettop(lua);
        let head = decoder.head();
        let count = head.and_then(|()| {
            let count = decoder.cursor.varint()?;
            if count > decoder.cursor.left() as u64 {
                return Err(DecodeError::Corrupt { at: decoder.cursor.at, what: "more values than bytes" });
            }
            // The results are on both stacks for a moment.
            match c_int::try_from(count) {
                Ok(fits) if fits < c_int::MAX - 8 && lua_checkstack(lua, fits + 8) != 0 => Ok(fits),
                _ => Err(no_stack(lua, count)),
            }
        })?;
        decoder.values = count;
        let pause = Pause::new(lua, source.len().saturating_mul(MEMORY_FACTOR));
        let outcome = protected(lua, &mut decoder, || 0, LUA_MULTRET);
        pause.end();
        match (decoder.error.take(), outcome) {
            (Some(error), _) => {
                lua_settop(lua, top);
                Err(error)
            }
            (None, Err(failure)) => Err(failure.into()),
            (None, Ok(())) => Ok(count),
        }
    }
}

/// Why the stack cannot grow for so many values.
#[cold]
unsafe fn no_stack(lua: *mut lua_State, count: u64) -> DecodeError {
    // SAFETY: the state is valid.
    let used = unsafe { lua_gettop(lua) };
    if count.saturating_add((used + ROOM + 8) as u64) > LUAI_MAXSTACK as u64 {
        DecodeError::TooMany(count as usize)
    } else {
        DecodeError::Memory
    }
}

impl Protected for Decoder<'_> {
    unsafe fn run(&mut self, lua: *mut lua_State) -> c_int {
        // SAFETY: below `lua_pcall`; the first slot is taken.
        match unsafe { self.message() } {
            Ok(()) => self.values,
            Err(Stop) => {
                // SAFETY: dropping values raises nothing.
                unsafe { lua_settop(lua, 0) };
                0
            }
        }
    }
}

impl Decoder<'_> {
    /// Reads the head: where the blobs start.
    fn head(&mut self) -> Read<()> {
        let head = self.cursor.word()?;
        let length = head >> 8;
        if head as u8 != VERSION {
            return Err(DecodeError::Corrupt { at: 0, what: "it is no message of this version" });
        }
        if length < HEAD as u64 || length > self.total as u64 {
            return Err(DecodeError::Corrupt { at: 1, what: "its length is wrong" });
        }
        self.blobs = length as usize;
        self.cursor.end = length as usize;
        Ok(())
    }

    unsafe fn message(&mut self) -> Step {
        let lua = self.lua;
        // SAFETY: below `lua_pcall`; the stack is checked for all that follows.
        unsafe {
            if lua_checkstack(lua, self.values.saturating_add(ROOM)) == 0 {
                return self.fail(no_stack(lua, self.values as u64));
            }
            lua_settop(lua, MISSED);
            for _ in 0..self.values {
                self.whole_value()?;
            }
            self.sections()?;
            self.set_metatables(0);
            Ok(())
        }
    }

    /// Decodes one value with all that is in it, and leaves it on top.
    unsafe fn whole_value(&mut self) -> Step {
        // SAFETY: as in `message`.
        unsafe {
            self.stack.base = lua_gettop(self.lua);
            self.value()?;
            while let Some(&frame) = self.frames.last() {
                match frame {
                    Frame::Items { index, items } => self.items(index, items)?,
                    Frame::Pairs { has_key } => self.pairs(has_key)?,
                    Frame::Meta => {
                        self.value()?;
                    }
                    Frame::Upvalues { index } => self.upvalues(index)?,
                    Frame::Built { .. } => self.built(frame)?,
                }
            }
        }
        Ok(())
    }

    /// Starts a frame for the container on top.
    unsafe fn open(&mut self, frame: Frame) -> Step {
        if self.frames.try_reserve(1).is_err() {
            return self.fail(DecodeError::Memory);
        }
        self.frames.push(frame);
        // SAFETY: below `lua_pcall` with room.
        unsafe { self.stack.grown() };
        Ok(())
    }

    /// Ends the innermost frame; its value is on top and goes to the frame around it.
    unsafe fn close(&mut self) -> Step {
        self.frames.pop();
        // SAFETY: as for `open`.
        unsafe {
            self.stack.shrunk();
            self.deliver()
        }
    }

    /// Hands the complete value on top to the innermost frame.
    #[inline]
    unsafe fn deliver(&mut self) -> Step {
        let lua = self.lua;
        // SAFETY: the frame's slots lie below the value.
        unsafe {
            while let Some(frame) = self.frames.last_mut() {
                match frame {
                    Frame::Items { index, .. } => {
                        *index += 1;
                        lua_rawseti(lua, -2, *index as lua_Integer);
                    }
                    Frame::Pairs { has_key } => {
                        *has_key = !*has_key;
                        if *has_key {
                            return self.check_key();
                        }
                        lua_rawset(lua, -3);
                    }
                    Frame::Meta => {
                        // The metatable completes its table, which is a value to deliver in turn.
                        self.metatable()?;
                        self.frames.pop();
                        self.stack.shrunk();
                        continue;
                    }
                    Frame::Upvalues { index } => {
                        *index += 1;
                        let index = *index;
                        if lua_setupvalue(lua, -2, index).is_null() {
                            return self.corrupt("more upvalues than the function has");
                        }
                    }
                    Frame::Built { count, .. } => {
                        *count += 1;
                        let count = *count;
                        return self.argument(count);
                    }
                }
                break;
            }
        }
        Ok(())
    }

    /// Remembers the value on top for references to `offset`.
    unsafe fn record(&mut self, offset: usize) {
        let lua = self.lua;
        // SAFETY: below `lua_pcall`, free slots are there.
        unsafe {
            if lua_type(lua, RECORD) == LUA_TNIL {
                lua_createtable(lua, 0, 0);
                lua_replace(lua, RECORD);
            }
            lua_pushvalue(lua, -1);
            lua_rawseti(lua, RECORD, offset as lua_Integer);
        }
    }

    /// The result of a read, its error kept.
    #[inline]
    fn read<T>(&mut self, read: Read<T>) -> Step<T> {
        match read {
            Ok(value) => Ok(value),
            Err(error) => self.fail(error),
        }
    }

    /// Takes table slots out of the budget.
    fn claim(&mut self, slots: u64) -> Step<c_int> {
        if slots > self.budget {
            return self.corrupt("it claims more table slots than it can fill");
        }
        self.budget -= slots;
        Ok(c_int::try_from(slots).unwrap_or(c_int::MAX))
    }

    #[cold]
    fn corrupt<T>(&mut self, what: &'static str) -> Step<T> {
        let at = self.cursor.at;
        self.fail(DecodeError::Corrupt { at, what })
    }

    #[cold]
    fn fail<T>(&mut self, error: DecodeError) -> Step<T> {
        self.error = Some(error);
        Err(Stop)
    }
}

/// What the fuzz targets call: decodes the bytes in a fresh state as if from a hostile sender, where every
/// outcome but a crash is right.
#[doc(hidden)]
pub fn fuzz_decode(data: &[u8]) {
    /// Accepts every handle, as a string.
    struct Strings;
    impl Handles for Strings {
        unsafe fn export(&mut self, _: *mut lua_State, _: c_int) -> Option<Result<(u8, Vec<u8>), String>> {
            None
        }
        unsafe fn import(&mut self, lua: *mut lua_State, kind: u8, bytes: &[u8]) -> Result<(), String> {
            if kind > 3 {
                return Err("unknown kind".to_owned());
            }
            // SAFETY: `decode` calls this below `lua_pcall` with free slots.
            unsafe { lua_pushlstring(lua, bytes.as_ptr().cast(), bytes.len()) };
            Ok(())
        }
    }
    // SAFETY: the state is new and closed here; the source is a slice that lives meanwhile.
    unsafe {
        let lua = luaL_newstate();
        if lua.is_null() {
            return;
        }
        let source = Source::new(data.as_ptr(), data.len());
        let options = DecodeOptions { metatables: true, requires: true, ..DecodeOptions::PLAIN };
        let _ = decode(lua, source, &options, &mut Strings);
        let _ = decode(lua, source, &DecodeOptions::PLAIN, &mut NoHandles);
        if data.len() >= HEAD {
            // Again with the length put right, since hardly any mutant has a right one.
            let mut framed = data.to_vec();
            let head = (data.len() as u64) << 8 | u64::from(VERSION);
            framed[..HEAD].copy_from_slice(&head.to_le_bytes());
            let source = Source::new(framed.as_ptr(), framed.len());
            let _ = decode(lua, source, &options, &mut Strings);
        }
        lua_close(lua);
    }
}
