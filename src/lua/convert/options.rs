//! What a caller of the codec decides.

use std::ffi::c_int;

use crate::ffi::lua_State;

/// How the path of an unsendable value starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Roots {
    /// `value 2`; just the inner path where there is one value.
    #[default]
    Values,
    /// The first value is the job's function, whose upvalues need no further address; then `argument 1`.
    Job,
    /// `argument 1`
    Arguments,
    /// `result 1`
    Results,
    /// Values come before this place, from 0, that travel always; from there on `value 1`, or just the inner path where
    /// there is one.
    Failure(usize),
}

/// Which globals go along with functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GlobalMode {
    /// Those that a function in the message names.
    #[default]
    Named,
    /// Every global that is not part of the standard library.
    All,
    /// Only those listed in [`EncodeOptions::extra_globals`].
    None,
}

/// Options of [`encode`](super::encode()).
#[derive(Debug, Clone, Copy)]
pub struct EncodeOptions<'a> {
    /// How the values are called in errors.
    pub roots: Roots,
    /// Which globals go along.
    pub globals: GlobalMode,
    /// Names of further globals that go along.
    pub extra_globals: &'a [Vec<u8>],
    /// Whether classes of modules go as what they are, and not as copies. The receiver has to be one that accepts that.
    pub identities: bool,
    /// Longest message, in bytes.
    pub max_len: usize,
}

impl Default for EncodeOptions<'_> {
    fn default() -> Self {
        Self {
            roots: Roots::default(),
            globals: GlobalMode::default(),
            extra_globals: &[],
            identities: true,
            max_len: usize::MAX,
        }
    }
}

/// Options of [`decode`](super::decode()): what a message may contain.
#[derive(Debug, Clone, Copy)]
pub struct DecodeOptions {
    /// Lua functions. Bytecode from a hostile sender can take over the process: never set for one.
    pub functions: bool,
    /// Userdata made by calling a constructor, and userdata copied as raw bytes.
    pub constructors: bool,
    /// C functions and modules by name, which may call `require`; the globals table as a value.
    /// (With `functions` the globals table is accepted too: nearly every function refers to it.)
    pub requires: bool,
    /// Metatables. Those that llib registered itself and that have no finalizer are always accepted.
    pub metatables: bool,
    /// Globals: they are set in the receiver's globals table; and what `package` has that `require` looks for.
    pub globals: bool,
    /// Classes that have an identity: one that is here already, by this identity, is taken instead of the copy. And names of
    /// standard functions, which lead to those also where a script has taken them away.
    pub identities: bool,
    /// Whether functions, C functions, modules and the globals table that are not accepted arrive as objects
    /// without use, and metatables that are not are left out. Otherwise the message is refused.
    pub inert: bool,
    /// Longest message, in bytes.
    pub max_len: usize,
    /// Bytes of memory that its values may take, about.
    pub max_memory: usize,
    /// Whether it may only take a time that grows with its length: some messages take one that grows with the square.
    pub limited_time: bool,
}

impl DecodeOptions {
    /// Everything, for messages of trusted senders.
    pub const TRUSTED: Self = Self {
        functions: true,
        constructors: true,
        requires: true,
        metatables: true,
        globals: true,
        identities: true,
        inert: false,
        max_len: usize::MAX,
        max_memory: usize::MAX,
        limited_time: false,
    };
    /// Plain data and llib's own objects, for messages of hostile senders.
    pub const PLAIN: Self = Self {
        functions: false,
        constructors: false,
        requires: false,
        metatables: false,
        globals: false,
        identities: false,
        inert: false,
        max_len: usize::MAX,
        max_memory: usize::MAX,
        limited_time: true,
    };
    /// As [`PLAIN`](DecodeOptions::PLAIN), but what is not accepted arrives without effect.
    pub const INERT: Self = Self { inert: true, ..Self::PLAIN };
}

/// How objects of llib itself (buffers, channels, …) travel: by a kind and a few bytes.
///
/// Both main methods are called below `lua_pcall` and may raise Lua errors, but only while no Rust value
/// with a destructor is alive in them.
pub trait Handles {
    /// The handle for the userdata at `idx`, `None` where it is no object of llib. Leaves the stack as it is.
    ///
    /// # Safety
    /// `lua` is a valid state, `idx` a full userdata on its stack.
    unsafe fn export(&mut self, lua: *mut lua_State, idx: c_int) -> Option<Result<(u8, Vec<u8>), String>>;

    /// Pushes the object of a handle, or pushes nothing and says why.
    ///
    /// # Safety
    /// `lua` is a valid state with some free stack slots. `bytes` come from the sender, who may be hostile.
    unsafe fn import(&mut self, lua: *mut lua_State, kind: u8, bytes: &[u8]) -> Result<(), String>;

    /// Number of exports so far; see [`Handles::withdraw`].
    fn exported(&self) -> usize {
        0
    }

    /// The exports after the first `keep` ones are not part of the message after all.
    fn withdraw(&mut self, keep: usize) {
        let _ = keep;
    }
}

/// For messages without objects of llib.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHandles;

impl Handles for NoHandles {
    unsafe fn export(&mut self, _: *mut lua_State, _: c_int) -> Option<Result<(u8, Vec<u8>), String>> {
        None
    }

    unsafe fn import(&mut self, _: *mut lua_State, kind: u8, _: &[u8]) -> Result<(), String> {
        Err(format!("unknown kind of handle ({kind})"))
    }
}
