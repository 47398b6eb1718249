//! What goes along with the functions that name it: globals, fields of environments, what `require` looks for.

use crate::ffi::*;

use super::super::names::has_module;
use super::super::options::GlobalMode;
use super::*;
use crate::version::NUMBER;

/// Where something that goes along belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Global,
    /// An environment, by its place in the list: a field of this name.
    Field(usize),
    /// An item of it, whose index is the name's eight bytes.
    Item(usize),
    /// `package.loaded`
    Loaded,
    /// `package.preload`
    Preload,
    /// `package.searchers`, whose index is the name's one byte.
    Searcher,
    /// A function of a library; its name is the library's, NUL, the function's.
    Library,
}

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

    /// What a job's source text names goes along.
    pub(super) unsafe fn found_text(&mut self, text: &[u8]) {
        self.uses_globals = true;
        if self.options.globals != GlobalMode::Named {
            return;
        }
        let code = Code::Text(text);
        // SAFETY: below `lua_pcall`, and nothing changes the text, which is on the stack.
        unsafe {
            code.identifiers(|name| self.found_name(name));
            self.found_code(code);
        }
    }

    fn queue(&mut self, name: &[u8]) {
        if self.buffers.queued.insert(name.into()) {
            self.buffers.queue.push((Place::Global, name.into()));
        }
    }

    /// Puts something into the queue, once.
    pub(super) fn want(&mut self, place: Place, name: &[u8]) {
        if self.buffers.wanted.insert((place, name.into())) {
            self.buffers.queue.push((place, name.into()));
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
                    let name = bytes_at(lua, -1);
                    let same = name.strip_prefix(b"_G\0").is_some_and(|name| name == global)
                        || (global == b"rej" && name == b"llib\0rej");
                    lua_settop(lua, -2);
                    !same && !names.is_in_place(b"_G", global)
                }
                LUA_TTABLE if lua_topointer(lua, -1) as usize == self.globals => global != b"_G",
                LUA_TTABLE if lua_topointer(lua, -1) as usize == self.own => global != b"res",
                LUA_TTABLE => {
                    if !has_module(global) || !self.names().find() {
                        return true;
                    }
                    let same = bytes_at(lua, -1) == global;
                    lua_settop(lua, -2);
                    !same
                }
                LUA_TSTRING if global == b"_VERSION" => {
                    bytes_at(lua, -1).strip_prefix(b"Lua ") != Some(NUMBER.as_bytes())
                }
                _ => true,
            }
        }
    }

    /// Writes what was found beside the values, which may lead to more.
    pub(super) unsafe fn send_globals(&mut self) -> Step {
        let lua = self.lua;
        if !self.uses_globals {
            // No function can reach them: their names are just strings.
            self.buffers.queue.retain(|(place, _)| *place != Place::Global);
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
                self.all_required();
                self.all_fields();
            }
            for name in self.options.extra_globals {
                self.queue(name);
            }
            self.stack.base = lua_gettop(lua);
            let mut next = 0;
            loop {
                if next == self.buffers.queue.len() {
                    self.list_environments();
                }
                if next == self.buffers.queue.len() {
                    return Ok(());
                }
                self.entry(next)?;
                next += 1;
            }
        }
    }

    /// Writes an entry of the queue, or why it cannot be sent.
    unsafe fn entry(&mut self, index: usize) -> Step {
        let (place, name) = &self.buffers.queue[index];
        let (place, name): (Place, *const [u8]) = (*place, &raw const **name);
        // SAFETY: the name is on the heap and stays in the queue, which only loses later entries.
        let name = unsafe { &*name };
        // SAFETY: as in `send_globals`.
        unsafe {
            if !self.push_entry(place, name) {
                return Ok(());
            }
            // A reader has to keep the environment for its fields.
            if let Place::Field(at) | Place::Item(at) = place
                && let Some(offset) = self.buffers.environments[at].offset
            {
                self.buffers.sink.mark_shared(offset);
            }
            let mark = self.buffers.sink.mark();
            let found = self.buffers.queue.len();
            let exported = self.handles.exported();
            self.root = Root::Global;
            self.metatable_next = false;
            self.head(place, name, true);
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
            self.go_back(mark, found);
            self.handles.withdraw(exported);
            let error = self.error.take();
            if matches!(place, Place::Item(_)) {
                return Ok(());
            }
            self.head(place, name, false);
            if let Some(EncodeError::Unsendable { path, reason }) = error {
                let reason = if path.is_empty() { reason } else { format!("{path}: {reason}") };
                self.buffers.sink.counted(reason.as_bytes());
            }
        }
        Ok(())
    }

    /// Pushes the value of an entry and returns true, or pushes nothing if there is none, or nobody to have it.
    unsafe fn push_entry(&mut self, place: Place, name: &[u8]) -> bool {
        let lua = self.lua;
        // SAFETY: as in `send_globals`.
        unsafe {
            match place {
                Place::Global => {
                    lua_pushlstring(lua, name.as_ptr().cast(), name.len());
                    let found = lua_rawget(lua, GLOBAL_TABLE) != LUA_TNIL;
                    if !found {
                        lua_settop(lua, -2);
                    }
                    found
                }
                Place::Field(at) | Place::Item(at) => {
                    self.buffers.environments[at].offset.is_some()
                        && self.push_of_environment(at, matches!(place, Place::Item(_)), name)
                }
                Place::Loaded | Place::Preload | Place::Searcher => self.push_required(place, name),
                Place::Library => self.push_library_field(name),
            }
        }
    }

    /// Writes where an entry belongs and what it is called.
    fn head(&mut self, place: Place, name: &[u8], sent: bool) {
        let Buffers { sink, environments, .. } = &mut *self.buffers;
        match place {
            Place::Global => sink.byte(if sent { GLOBAL } else { MISSING }),
            Place::Field(at) | Place::Item(at) => {
                sink.byte(if sent { FIELD } else { LACKS });
                sink.varint(environments[at].offset.unwrap_or_default() as u64);
                if sent {
                    match name.first_chunk().filter(|_| matches!(place, Place::Item(_))) {
                        Some(number) => sink.integer(i64::from_le_bytes(*number)),
                        None => sink.string(name),
                    }
                    return;
                }
            }
            Place::Loaded | Place::Preload | Place::Searcher | Place::Library => {
                sink.byte(if sent { PLACED } else { UNPLACED });
                sink.byte(match place {
                    Place::Preload => PRELOAD,
                    Place::Searcher => SEARCHER,
                    Place::Library => LIBRARY,
                    _ => LOADED,
                });
            }
        }
        sink.counted(name);
    }

    /// Forgets what was written after the mark, and what was queued after the first `found` entries.
    fn go_back(&mut self, mark: Mark, found: usize) {
        let start = mark.bytes;
        let Buffers { sink, frames, seen, cells, codes, queue, queued, wanted, environments, .. } =
            &mut *self.buffers;
        sink.back_to(mark);
        frames.clear();
        seen.forget_from(start);
        cells.retain(|_, (offset, _)| *offset < start);
        codes.retain(|_, offset| *offset < start);
        for environment in environments.iter_mut() {
            environment.forget_from(start);
        }
        for later in queue.drain(found..) {
            match later.0 {
                Place::Global => _ = queued.remove(&later.1),
                Place::Field(at) => environments[at].forget(&later.1),
                _ => {}
            }
            wanted.remove(&later);
        }
    }
}
