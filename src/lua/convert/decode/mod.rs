//! Bytes to Lua values.
//!
//! The decoder is driven by the bytes: a tag that opens a container pushes it and starts a frame, and each
//! complete value is delivered to the innermost frame. Metatables are set after everything else, so that
//! finalizers and weak modes meet complete objects and no metamethod runs during decoding.
//!
//! **Memory** that a message of `n` bytes can make the receiver use is at most [`MEMORY_FACTOR`] times `n`
//! plus a few kilobytes, unless it contains code, constructors or names of modules: those are for trusted
//! senders. [`DecodeOptions::max_memory`] bounds it further.

mod budget;
mod class;
mod environment;
mod field;
mod function;
mod fuzz;
mod globals;
mod inert;
mod key;
mod named;
mod placed;
mod scalar;
mod skip;
mod table;
mod userdata;
mod value;

use std::ffi::c_int;

use crate::ffi::*;

pub use inert::register_inert;

use super::error::DecodeError;
use super::format::*;
use super::options::{DecodeOptions, Handles};
use super::protect::{FIRST, Protected, protected};
use super::source::{Cursor, Read, Source};
use super::stack::{ROOM, Stack};
use crate::version::collector::Pause;
use crate::version::prototypes::Prototypes;
use budget::Budget;
pub use field::{Field, decode_field};
pub use fuzz::fuzz_decode;
use scalar::Scalar;
use skip::Position;

/// Bytes of memory per byte of message, see above. The worst measured is 31, for tables in each other's items
/// that are all remembered for references; frames on the Rust heap add some 20 to that.
pub const MEMORY_FACTOR: usize = 100;

/// What objects of Lua take up, roughly and rather too much: a table, a place in its array and in its hash part, a
/// string beside its bytes, and a place in the growing table of what references may name.
const A_TABLE: usize = 64;
const AN_ITEM: usize = 16;
const A_PAIR: usize = 24;
/// A pair that was not announced, in a table that doubles when it is full.
const A_GROWING_PAIR: usize = 2 * A_PAIR;
const A_STRING: usize = 40;
const RECORDED: usize = 80;
/// An object of llib: its userdata, and what is kept for it outside of Lua.
const AN_OBJECT: usize = 256;

/// Slots of the protected function: objects that references may name, moved stack slots, metatables to be
/// set, globals that could not be sent, classes; then the values.
const RECORD: c_int = FIRST;
const AWAY: c_int = FIRST + 1;
const METAS: c_int = FIRST + 2;
const MISSED: c_int = FIRST + 3;
const CLASSES: c_int = FIRST + 4;

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
    /// Where the part that is decoded starts; 0 if that is the whole message.
    start: usize,
    options: &'a DecodeOptions,
    handles: &'a mut dyn Handles,
    /// Loads and keeps code, where it is kept.
    prototypes: Option<&'a mut Prototypes>,
    frames: Vec<Frame>,
    /// Private copy of code, names, handles and objects.
    scratch: Vec<u8>,
    stack: Stack,
    /// Table slots that may still be reserved.
    budget: u64,
    /// Bytes of memory that may still be taken.
    memory: usize,
    /// Time that may still be taken, if it is limited.
    time: Option<Budget>,
    /// Entries in the table at `METAS`.
    metas: c_int,
    /// The identity of the table that is next, if it is a class.
    class: Option<[u8; IDENTITY]>,
    /// Whether there is a table at `CLASSES`.
    classes: bool,
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
    // SAFETY: as demanded.
    unsafe { decode_with(lua, source, options, handles, None) }
}

/// Like [`decode`], but `prototypes` loads the code, and keeps it for later messages.
///
/// # Safety
/// As for [`decode`]. `prototypes` is always used with the same state.
pub unsafe fn decode_keeping(
    lua: *mut lua_State,
    source: Source,
    options: &DecodeOptions,
    handles: &mut dyn Handles,
    prototypes: &mut Prototypes,
) -> Result<c_int, DecodeError> {
    // SAFETY: as demanded.
    unsafe { decode_with(lua, source, options, handles, Some(prototypes)) }
}

unsafe fn decode_with(
    lua: *mut lua_State,
    source: Source,
    options: &DecodeOptions,
    handles: &mut dyn Handles,
    prototypes: Option<&mut Prototypes>,
) -> Result<c_int, DecodeError> {
    let mut cursor = stream(source, options)?;
    let blobs = cursor.end;
    let count = match cursor.varint() {
        Ok(count) if count <= cursor.left() as u64 => count,
        Ok(_) => return Err(DecodeError::Corrupt { at: cursor.at, what: "more values than bytes" }),
        Err(what) => return Err(DecodeError::Corrupt { at: cursor.at, what }),
    };
    if count == 1
        && let Some(scalar) = Scalar::alone(cursor, source.len())
    {
        // SAFETY: the state is valid and has a few free slots.
        unsafe { scalar.push(lua)? };
        return Ok(1);
    }
    let mut decoder = Decoder::new(lua, Position { cursor, blobs, total: source.len() }, options, handles);
    decoder.prototypes = prototypes;
    // SAFETY: the state is valid; the stack is checked before anything is pushed.
    unsafe {
        // The results are on both stacks for a moment.
        decoder.values = match c_int::try_from(count) {
            Ok(fits) if fits < c_int::MAX - 8 && lua_checkstack(lua, fits + 8) != 0 => fits,
            _ => return Err(no_stack(lua, count)),
        };
        decoder.results(source.len())
    }
}

/// The stream of a message, behind its head; the blobs start where it ends.
fn stream(source: Source, options: &DecodeOptions) -> Result<Cursor, DecodeError> {
    if source.len() > options.max_len {
        return Err(DecodeError::TooLong { len: source.len(), limit: options.max_len });
    }
    let mut cursor = Cursor::new(source);
    let head = cursor.word().map_err(|what| DecodeError::Corrupt { at: 0, what })?;
    let length = head >> 8;
    if head as u8 != VERSION {
        return Err(DecodeError::Corrupt { at: 0, what: "it is no message of this version" });
    }
    if length < HEAD as u64 || length > source.len() as u64 {
        return Err(DecodeError::Corrupt { at: 1, what: "its length is wrong" });
    }
    cursor.end = length as usize;
    Ok(cursor)
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

impl<'a> Decoder<'a> {
    /// A decoder of everything from `position` on.
    fn new(
        lua: *mut lua_State,
        position: Position,
        options: &'a DecodeOptions,
        handles: &'a mut dyn Handles,
    ) -> Self {
        let Position { cursor, blobs, total } = position;
        Self {
            lua,
            cursor,
            blobs,
            total,
            start: 0,
            options,
            handles,
            prototypes: None,
            frames: Vec::new(),
            scratch: Vec::new(),
            stack: Stack::new(lua, AWAY, 0),
            budget: total as u64,
            memory: options.max_memory,
            time: options.limited_time.then(|| Budget::new(total)),
            metas: 0,
            class: None,
            classes: false,
            values: 0,
            error: None,
        }
    }

    /// Pushes the values, from a part of the message that is `len` bytes long, and returns their number. On
    /// error the stack is as it was.
    ///
    /// # Safety
    /// The state is valid and has room for the values and a few more.
    unsafe fn results(mut self, len: usize) -> Result<c_int, DecodeError> {
        let lua = self.lua;
        // SAFETY: as demanded; the stack is restored on failure.
        unsafe {
            let top = lua_gettop(lua);
            let pause = Pause::new(lua, len.saturating_mul(MEMORY_FACTOR));
            let outcome = protected(lua, &mut self, || 0, LUA_MULTRET);
            pause.end();
            match (self.error.take(), outcome) {
                (Some(error), _) => {
                    lua_settop(lua, top);
                    Err(error)
                }
                (None, Err(failure)) => Err(failure.into()),
                (None, Ok(())) => Ok(self.values),
            }
        }
    }
}

impl Decoder<'_> {
    unsafe fn message(&mut self) -> Step {
        let lua = self.lua;
        // SAFETY: below `lua_pcall`; the stack is checked for all that follows.
        unsafe {
            if lua_checkstack(lua, self.values.saturating_add(ROOM)) == 0 {
                return self.fail(no_stack(lua, self.values as u64));
            }
            lua_settop(lua, CLASSES);
            for _ in 0..self.values {
                self.whole_value()?;
            }
            if self.start == 0 {
                self.sections()?;
            }
            self.set_metatables(0);
            self.remember_classes();
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
            self.known_class();
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
                        self.spend(A_GROWING_PAIR)?;
                        self.step()?;
                        lua_rawset(lua, -3);
                    }
                    Frame::Meta => {
                        // The metatable completes its table, which is a value to deliver in turn.
                        self.metatable()?;
                        self.frames.pop();
                        self.stack.shrunk();
                        self.known_class();
                        continue;
                    }
                    Frame::Upvalues { index } => {
                        *index += 1;
                        let index = *index;
                        self.set_upvalue(index)?;
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
    unsafe fn record(&mut self, offset: usize) -> Step {
        self.spend(RECORDED)?;
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
        Ok(())
    }

    /// The result of a read, its error kept.
    #[inline]
    fn read<T>(&mut self, read: Read<T>) -> Step<T> {
        match read {
            Ok(value) => Ok(value),
            Err(what) => self.corrupt(what),
        }
    }

    /// Takes bytes out of the memory that the values may have.
    #[inline]
    fn spend(&mut self, bytes: usize) -> Step {
        match self.memory.checked_sub(bytes) {
            Some(left) => self.memory = left,
            None => return self.fail(DecodeError::TooMuch { limit: self.options.max_memory }),
        }
        Ok(())
    }

    /// Notes a step that may take long.
    #[inline]
    fn step(&mut self) -> Step {
        if self.time.as_mut().is_some_and(Budget::is_used_up) {
            return self.fail(DecodeError::TooSlow);
        }
        Ok(())
    }

    /// Copies the bytes that follow their length into the scratch.
    fn copy_counted(&mut self) -> Step {
        let read = self.cursor.counted();
        let piece = self.read(read)?;
        if piece.copy_to(&mut self.scratch) { Ok(()) } else { self.fail(DecodeError::Memory) }
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
