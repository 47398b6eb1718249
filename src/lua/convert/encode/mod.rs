//! Lua values to bytes.
//!
//! The encoder walks the values depth first with a frame per open container; see the files of this folder
//! for each kind. What it remembers about the values it met (address to offset) makes references.

mod environment;
mod fields;
mod function;
mod globals;
mod message;
mod path;
mod required;
mod scalar;
mod seen;
mod table;
mod userdata;
mod value;

use std::cell::Cell;
use std::ffi::c_int;
use std::slice;

use crate::ffi::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::code::Code;
use super::error::EncodeError;
use super::format::*;
use super::names::{Names, own_address};
use super::options::{EncodeOptions, GlobalMode, Handles, Roots};
use super::protect::{FIRST, Protected, protected};
use super::sink::{Mark, Sink};
use super::stack::{ROOM, Stack};
use crate::version::collector;
use environment::Environment;
use globals::Place;
pub use message::Message;
use required::Required;
use seen::Seen;

/// Slots of the protected function: values that must stay reachable, the names' table, moved stack slots,
/// the globals table; then the values to encode.
const ANCHORS: c_int = FIRST;
const NAMES: c_int = FIRST + 1;
const AWAY: c_int = FIRST + 2;
const GLOBAL_TABLE: c_int = FIRST + 3;
const VALUES: c_int = FIRST + 4;

/// The error is in the encoder: it has a destructor and must not be on a frame that Lua may leave.
struct Stop;

type Step<T = ()> = Result<T, Stop>;

/// One open container. Its first stack slot is the container itself.
#[derive(Clone, Copy)]
struct Frame {
    slot: usize,
    at: At,
}

/// Where an open container continues. Comments name the stack slots at that time.
#[derive(Clone, Copy)]
enum At {
    /// `table key`: in the order of `lua_next`; items as long as the keys come as 1, 2, 3 …
    Next { head: usize, index: i64, items: i64, pairs: u64, in_key: bool },
    /// `table`: items by index, since the array has holes; `full` is end and index of the last one not nil.
    Sparse { head: usize, index: i64, items: i64, holes: i64, full: (usize, i64) },
    /// `table key`: the pairs after [`At::Sparse`], without the keys that were items.
    Pairs { head: usize, items: i64, pairs: u64, in_key: bool },
    /// `table`
    Meta,
    /// `function`
    Upvalue { offset: usize, index: c_int },
    /// `userdata results`: what `__clone` returned; the constructor is result 1.
    Built { offset: usize, index: c_int, count: c_int },
}

/// What the path of an error starts with.
#[derive(Clone, Copy)]
enum Root {
    Value(usize),
    Global,
}

/// Memory that outlives an encoding, so that a small one allocates nothing.
#[derive(Default)]
struct Buffers {
    sink: Sink,
    frames: Vec<Frame>,
    /// Address of an object to the offset of its tag.
    seen: Seen,
    /// Identity of an upvalue's variable to function and index.
    cells: FxHashMap<usize, (usize, c_int)>,
    /// Hash of a binary chunk to the offset of its length.
    codes: FxHashMap<u64, usize>,
    /// The chunk, or the content of a userdata, being encoded.
    chunk: Vec<u8>,
    /// What is to be sent beside the values, in the order in which it was found.
    queue: Vec<(Place, Box<[u8]>)>,
    /// The globals among it.
    queued: FxHashSet<Box<[u8]>>,
    /// The rest of it.
    wanted: FxHashSet<(Place, Box<[u8]>)>,
    environments: Vec<Environment>,
}

impl Buffers {
    /// Clears everything; drops what is unusually large.
    fn reset(&mut self) {
        const KEEP: usize = 64 * 1024;
        const KEEP_ENTRIES: usize = 2048;
        if self.sink.capacity() > KEEP {
            self.sink = Sink::default();
        }
        if self.chunk.capacity() > KEEP {
            self.chunk = Vec::new();
        }
        if self.frames.capacity() > KEEP_ENTRIES {
            self.frames = Vec::new();
        }
        if self.seen.capacity() > KEEP_ENTRIES {
            self.seen = Seen::default();
        }
        if self.cells.capacity() > KEEP_ENTRIES {
            self.cells = FxHashMap::default();
        }
        if self.codes.capacity() > KEEP_ENTRIES {
            self.codes = FxHashMap::default();
        }
        self.frames.clear();
        self.seen.clear();
        self.cells.clear();
        self.codes.clear();
        self.queue.clear();
        self.queued.clear();
        self.wanted.clear();
        self.environments.clear();
    }
}

thread_local! {
    /// Taken while an encoding runs: one inside it (a `__clone` that starts a job) makes its own.
    static SPARE: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

struct Encoder<'a> {
    lua: *mut lua_State,
    options: &'a EncodeOptions<'a>,
    handles: &'a mut dyn Handles,
    buffers: Box<Buffers>,
    stack: Stack,
    names: Option<Names>,
    /// Address of the globals table, and whether the message refers to it.
    globals: usize,
    uses_globals: bool,
    anchors: c_int,
    /// Address of a job's `res`, if this is a job.
    own: usize,
    /// Whether the next table is a metatable.
    metatable_next: bool,
    /// Address of a metatable that does not say to leave its objects out.
    sent_metatable: usize,
    /// What `package` has that `require` would look for, as far as it was asked.
    required: Option<Required>,
    count: usize,
    root: Root,
    /// Whether the collector was running before the first `__clone`; `None` until then.
    collector: Option<bool>,
    /// How many `__clone` calls in a row returned another userdata.
    clones: usize,
    error: Option<EncodeError>,
}

/// Encodes `count` values of the stack, from index `first` on.
///
/// Pushes a value that keeps the message's long strings reachable: it stays on the stack as long as the message is used.
/// On error nothing is pushed.
///
/// # Safety
/// `lua` is a valid state with a free slot, `first..first+count` are valid absolute indices. The values stay there, and
/// nothing changes them or runs Lua code, as long as the message is used.
pub unsafe fn encode(
    lua: *mut lua_State,
    first: c_int,
    count: c_int,
    options: &EncodeOptions<'_>,
    handles: &mut dyn Handles,
) -> Result<Message, EncodeError> {
    let mut buffers = SPARE.take().unwrap_or_default();
    // A job's text names globals.
    let no_globals =
        options.globals != GlobalMode::All && options.extra_globals.is_empty() && options.roots != Roots::Job;
    // SAFETY: the caller vouches for state and index, and leaves the value where it is.
    if count == 1 && no_globals && unsafe { scalar::message(lua, first, &mut buffers.sink) } {
        let fits = buffers.sink.total() <= options.max_len;
        let message = Message::new(buffers, false);
        if !fits {
            return Err(EncodeError::TooLong { limit: options.max_len });
        }
        // SAFETY: a slot is free. The value itself stays where it is.
        unsafe { lua_pushnil(lua) };
        return Ok(message);
    }
    let exported = handles.exported();
    let mut encoder = Encoder {
        lua,
        options,
        handles,
        buffers,
        stack: Stack::new(lua, AWAY, 0),
        names: None,
        globals: 0,
        uses_globals: false,
        anchors: 0,
        own: 0,
        metatable_next: false,
        sent_metatable: 0,
        required: None,
        count: count.max(0) as usize,
        root: Root::Value(0),
        collector: None,
        clones: 0,
        error: None,
    };
    // SAFETY: the caller vouches for state and indices; the stack is checked before anything is pushed,
    // and put back to its height on error.
    unsafe {
        let top = lua_gettop(lua);
        let outcome = if lua_checkstack(lua, count + 8) == 0 {
            Err(no_stack(count))
        } else {
            let arguments = || {
                lua_settop(lua, lua_gettop(lua) + VALUES - FIRST);
                for index in first..first + count {
                    lua_pushvalue(lua, index);
                }
                VALUES - FIRST + count
            };
            // Its result keeps the blobs' strings reachable.
            protected(lua, &mut encoder, arguments, 1).map_err(EncodeError::from)
        };
        if encoder.collector == Some(true) {
            collector::restart(lua);
        }
        let outcome = encoder.error.take().map_or(outcome, Err);
        if outcome.is_err() {
            encoder.handles.withdraw(exported);
            lua_settop(lua, top);
        }
        let message = Message::new(encoder.buffers, true);
        outcome.map(|()| message)
    }
}

/// Why the stack cannot grow for so many values: some versions allow a few thousand.
#[cold]
fn no_stack(count: c_int) -> EncodeError {
    if count > 1000 {
        EncodeError::Lua(format!("{count} are too many for the Lua stack"))
    } else {
        EncodeError::Memory
    }
}

impl Protected for Encoder<'_> {
    unsafe fn run(&mut self, lua: *mut lua_State) -> c_int {
        // SAFETY: below `lua_pcall` with the slots that `encode` laid out.
        unsafe {
            // Errors are in `self.error`.
            let _ = self.message();
            lua_settop(lua, ANCHORS);
        }
        1
    }
}

impl Encoder<'_> {
    unsafe fn message(&mut self) -> Step {
        // SAFETY: as in `run`; the stack is checked for all that the walk needs.
        unsafe {
            if lua_checkstack(self.lua, ROOM) == 0 {
                return self.fail(EncodeError::Memory);
            }
            self.stack.base = lua_gettop(self.lua);
            lua_pushglobaltable(self.lua);
            self.globals = lua_topointer(self.lua, -1) as usize;
            lua_replace(self.lua, GLOBAL_TABLE);
            self.own = own_address(self.lua);
            self.buffers.sink.start();
            self.buffers.sink.varint(self.count as u64);
            for index in 0..self.count {
                self.root = Root::Value(index);
                lua_pushvalue(self.lua, VALUES + index as c_int);
                if index == 0 && self.options.roots == Roots::Job && lua_type(self.lua, -1) == LUA_TSTRING {
                    self.found_text(bytes_at(self.lua, -1));
                }
                self.whole_value()?;
            }
            self.send_globals()?;
            self.buffers.sink.byte(END);
            self.buffers.sink.finish();
            self.check_length()
        }
    }

    /// Encodes the value on top with all that is below it, and pops it.
    unsafe fn whole_value(&mut self) -> Step {
        // SAFETY: as in `message`.
        unsafe {
            self.value()?;
            while let Some(&Frame { at, .. }) = self.buffers.frames.last() {
                self.check_length()?;
                match at {
                    At::Next { .. } => self.table_next(at)?,
                    At::Sparse { .. } => self.table_sparse(at)?,
                    At::Pairs { .. } => self.table_pairs(at)?,
                    At::Meta => self.close(),
                    At::Upvalue { offset, index } => self.upvalues(offset, index)?,
                    At::Built { .. } => self.built_next(at)?,
                }
            }
        }
        Ok(())
    }

    /// Starts a frame for the container on top, whose slots are it and `below` slots before.
    unsafe fn open(&mut self, at: At, below: usize) -> Step {
        // SAFETY: the frame's slots are on the stack.
        unsafe {
            let slot = self.stack.height() - 1 - below;
            if self.buffers.frames.try_reserve(1).is_err() {
                return self.fail(EncodeError::Memory);
            }
            self.buffers.frames.push(Frame { slot, at });
            self.stack.grown();
        }
        Ok(())
    }

    /// Keeps where the innermost frame continues.
    #[inline]
    fn continue_at(&mut self, at: At) {
        if let Some(frame) = self.buffers.frames.last_mut() {
            frame.at = at;
        }
    }

    /// Ends the innermost frame and drops its slots.
    unsafe fn close(&mut self) {
        if let Some(frame) = self.buffers.frames.pop() {
            // SAFETY: the frame's own slots are the topmost ones, and on the Lua stack.
            unsafe {
                let slots = self.stack.height() - frame.slot;
                lua_settop(self.lua, -(slots as c_int) - 1);
                self.stack.shrunk();
            }
        }
    }

    /// Keeps the value on top reachable until the message was used. Leaves it there.
    unsafe fn anchor(&mut self) {
        // SAFETY: below `lua_pcall`, free slots are there.
        unsafe {
            if self.anchors == 0 {
                lua_createtable(self.lua, 4, 0);
                lua_replace(self.lua, ANCHORS);
            }
            self.anchors += 1;
            lua_pushvalue(self.lua, -1);
            lua_rawseti(self.lua, ANCHORS, self.anchors.into());
        }
    }

    /// The names of C functions and modules, brought up to date at the first use.
    unsafe fn names(&mut self) -> Names {
        if let Some(names) = self.names {
            return names;
        }
        // SAFETY: below `lua_pcall`, `NAMES` is a slot of this function.
        let names = unsafe { Names::open(self.lua, NAMES) };
        self.names = Some(names);
        names
    }

    /// Writes a reference to the object whose tag stands at `offset`.
    #[inline]
    fn reference(&mut self, offset: usize) {
        self.buffers.sink.mark_shared(offset);
        self.buffers.sink.byte(REF);
        self.buffers.sink.varint(offset as u64);
    }

    fn check_length(&mut self) -> Step {
        if self.buffers.sink.total() > self.options.max_len {
            return self.fail(EncodeError::TooLong { limit: self.options.max_len });
        }
        Ok(())
    }

    #[cold]
    fn fail<T>(&mut self, error: EncodeError) -> Step<T> {
        self.error = Some(error);
        Err(Stop)
    }
}

/// Bytes of the string at `idx`, as a slice that no borrow is tied to.
///
/// # Safety
/// The value is a string and stays reachable.
unsafe fn bytes_at<'b>(lua: *mut lua_State, idx: c_int) -> &'b [u8] {
    let mut len = 0;
    // SAFETY: for a string the call converts and raises nothing; its bytes never move.
    unsafe { slice::from_raw_parts(lua_tolstring(lua, idx, &mut len).cast(), len) }
}
