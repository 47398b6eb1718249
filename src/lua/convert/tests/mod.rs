//! Claims about the codec. Each makes values in one Lua state, sends them, and checks them in another.

mod by_value;
mod depth;
mod errors;
mod field;
mod functions;
mod globals;
mod hostile;
mod names;
mod random;
mod userdata;
mod values;

use std::ffi::{CStr, c_int};

use crate::ffi::*;
use crate::version::prototypes::Prototypes;
use llib_core::shm::Payload;

use super::protect::error_text;
use super::*;

/// Whether this Lua tells integers from floats.
const HAS_INTEGERS: bool = cfg!(any(feature = "lua53", feature = "lua54", feature = "lua55"));
/// Whether the globals of a function are its environment, not an upvalue.
const HAS_ENVIRONMENTS: bool = cfg!(any(feature = "lua51", feature = "luajit"));
/// Whether tables have finalizers.
const TABLES_HAVE_FINALIZERS: bool = !cfg!(any(feature = "lua51", feature = "luajit"));

/// `debug.upvalueid`, which Lua 5.1 lacks.
#[cfg(feature = "lua51")]
unsafe extern "C-unwind" fn upvalueid(lua: *mut lua_State) -> c_int {
    // SAFETY: called with a function and the number of one of its upvalues.
    unsafe {
        let number = luaL_checkinteger(lua, 2) as c_int;
        let identity = crate::version::upvalue::identity(lua, 1, number).unwrap();
        lua_pushlightuserdata(lua, std::ptr::with_exposed_provenance_mut(identity));
    }
    1
}

/// A Lua state with the standard libraries.
pub(super) struct State(pub(super) *mut lua_State);

impl State {
    pub(super) fn new() -> Self {
        // SAFETY: a new state; opening the libraries raises nothing but memory errors.
        unsafe {
            let lua = luaL_newstate();
            assert!(!lua.is_null());
            luaL_openlibs(lua);
            crate::version::function::open_libraries_with(|lua| luaL_openlibs(lua));
            remember_names(lua).unwrap();
            let state = Self(lua);
            state.complete();
            state
        }
    }

    /// Adds what the tests use and older versions lack.
    fn complete(&self) {
        #[cfg(feature = "lua51")]
        self.unfiled_library(c"debug", c"upvalueid", upvalueid);
        self.run(
            "if not table.unpack then table.unpack = unpack end
            if not table.pack then function table.pack(...) return {n = select('#', ...), ...} end end
            if not rawlen then function rawlen(t) return #t end end
            if not math.type then
                function math.type(x) return type(x) == 'number' and (x % 1 == 0 and 'integer' or 'float') or nil end
            end
            if not table.move then
                function table.move(a, f, e, t, b) for i = f, e do b[t + i - f] = a[i] end return b end
            end",
            0,
        );
    }

    /// Runs `code` with the top `arguments` values as `...`; all results stay on the stack.
    #[track_caller]
    pub(super) fn run(&self, code: &str, arguments: c_int) -> c_int {
        self.try_run(code, arguments).unwrap_or_else(|error| panic!("{error}\n{code}"))
    }

    pub(super) fn try_run(&self, code: &str, arguments: c_int) -> Result<c_int, String> {
        // SAFETY: the state is valid; the call is protected.
        unsafe {
            let lua = self.0;
            let base = lua_gettop(lua) - arguments;
            let loaded =
                luaL_loadbufferx(lua, code.as_ptr().cast(), code.len(), c"=test".as_ptr(), std::ptr::null());
            if loaded != LUA_OK {
                let error = error_text(lua);
                lua_settop(lua, base);
                return Err(error);
            }
            lua_rotate(lua, base + 1, 1);
            if lua_pcall(lua, arguments, LUA_MULTRET, 0) != LUA_OK {
                let error = error_text(lua);
                lua_settop(lua, base);
                return Err(error);
            }
            Ok(lua_gettop(lua) - base)
        }
    }

    pub(super) fn top(&self) -> c_int {
        // SAFETY: the state is valid.
        unsafe { lua_gettop(self.0) }
    }

    /// Makes `function` the C function `module.name`, as a module that was loaded, from a file that is there.
    pub(super) fn library(&self, module: &CStr, name: &CStr, function: lua_CFunction) {
        let folder = std::env::temp_dir().join(format!("llib-codec-libraries-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(module.to_str().unwrap()).with_extension("so"), "").unwrap();
        self.run(&format!("package.cpath = '{}/?.so'", folder.display()), 0);
        self.unfiled_library(module, name, function);
    }

    /// As [`library`](State::library), but there is no file.
    pub(super) fn unfiled_library(&self, module: &CStr, name: &CStr, function: lua_CFunction) {
        // SAFETY: the state is valid; memory errors aside nothing is raised.
        unsafe {
            luaL_getsubtable(self.0, LUA_REGISTRYINDEX, c"_LOADED".as_ptr());
            luaL_getsubtable(self.0, -1, module.as_ptr());
            lua_pushcfunction(self.0, function);
            lua_setfield(self.0, -2, name.as_ptr());
            lua_settop(self.0, -3);
        }
    }

    /// Encodes the top `count` values and pops them.
    pub(super) fn encode(&self, count: c_int, options: &EncodeOptions<'_>) -> Result<Vec<u8>, EncodeError> {
        let first = self.top() - count + 1;
        // SAFETY: the values are on the stack.
        let message = unsafe { encode(self.0, first, count, options, &mut NoHandles) };
        let more = c_int::from(message.is_ok());
        assert_eq!(self.top(), first + count - 1 + more, "all that is pushed keeps the message's strings");
        let bytes = message.map(|message| message.to_vec());
        // SAFETY: drops the values.
        unsafe { lua_settop(self.0, first - 1) };
        bytes
    }

    pub(super) fn decode(&self, bytes: &[u8], options: &DecodeOptions) -> Result<c_int, DecodeError> {
        let top = self.top();
        // SAFETY: the slice lives meanwhile.
        let source = unsafe { Source::new(bytes.as_ptr(), bytes.len()) };
        // SAFETY: the tests are their own trusted sender.
        let count = unsafe { decode(self.0, source, options, &mut NoHandles) };
        assert_eq!(self.top(), top + *count.as_ref().unwrap_or(&0));
        count
    }
}

impl State {
    /// Decodes a trusted message, whose code `prototypes` keeps.
    #[track_caller]
    pub(super) fn decode_keeping(&self, bytes: &[u8], prototypes: &mut Prototypes) -> c_int {
        // SAFETY: the slice lives meanwhile.
        let source = unsafe { Source::new(bytes.as_ptr(), bytes.len()) };
        // SAFETY: the tests are their own trusted sender, and have one state for these prototypes.
        unsafe {
            decode_keeping(self.0, source, &DecodeOptions::TRUSTED, &mut NoHandles, prototypes).unwrap()
        }
    }

    /// Replaces the key on top by what [`decode_field`] pushes for it, if it does.
    pub(super) fn field(&self, bytes: &[u8], options: &DecodeOptions) -> Result<Field, DecodeError> {
        let key = self.top();
        // SAFETY: the slice lives meanwhile.
        let source = unsafe { Source::new(bytes.as_ptr(), bytes.len()) };
        // SAFETY: the tests are their own trusted sender; the key is on the stack.
        unsafe {
            let field = decode_field(self.0, source, key, options, &mut NoHandles);
            let pushed = c_int::from(field == Ok(Field::Pushed));
            assert_eq!(self.top(), key + pushed);
            lua_rotate(self.0, key, -pushed);
            lua_settop(self.0, key + pushed - 1);
            field
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: the state is valid and not used again.
        unsafe { lua_close(self.0) };
    }
}

/// Passes the values that `send` returns to `check` in another state, and in one that has kept their code.
#[track_caller]
pub(super) fn trip(send: &str, check: &str) {
    trip_between(&State::new(), &State::new(), send, check);
    let (bytes, receiver, mut kept) = (encoded(send), State::new(), Prototypes::default());
    receiver.decode_keeping(&bytes, &mut kept);
    // SAFETY: the state is valid.
    unsafe { lua_settop(receiver.0, 0) };
    let count = receiver.decode_keeping(&bytes, &mut kept);
    receiver.run(check, count);
}

#[track_caller]
pub(super) fn trip_between(sender: &State, receiver: &State, send: &str, check: &str) {
    let count = sender.run(send, 0);
    let bytes = sender.encode(count, &EncodeOptions::default()).unwrap_or_else(|e| panic!("{e}\n{send}"));
    let count = receiver.decode(&bytes, &DecodeOptions::TRUSTED).unwrap_or_else(|e| panic!("{e}\n{send}"));
    receiver.run(check, count);
}

/// The bytes of what `send` returns.
#[track_caller]
pub(super) fn encoded(send: &str) -> Vec<u8> {
    let sender = State::new();
    let count = sender.run(send, 0);
    sender.encode(count, &EncodeOptions::default()).unwrap_or_else(|e| panic!("{e}\n{send}"))
}

/// The error that sending what `send` returns gives.
#[track_caller]
pub(super) fn refused(send: &str, roots: Roots) -> String {
    let sender = State::new();
    let count = sender.run(send, 0);
    let options = EncodeOptions { roots, ..EncodeOptions::default() };
    sender.encode(count, &options).expect_err(send).to_string()
}
