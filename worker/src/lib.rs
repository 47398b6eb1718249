//! llib's worker program: what the supervisors fork, and the job's Lua in it.
//!
//! `fork` and everything that restricts a process live below this folder alone: the module's host is never touched.
//! The page that explains it is `docs/architecture.md`.

extern crate lua_runtime as _;

mod child;
mod job;
mod lua;
mod pool;
mod reader;
mod reply;

use llib_core::sys::credentials;
use llib_core::wire::control::Preload;
use llib_supervisor::{Seat, Worker};

/// A worker with a Lua state.
pub(crate) struct LuaWorker {
    pub(crate) lua: *mut llib_lua::ffi::lua_State,
    /// A job for practice.
    pub(crate) rehearsal: Vec<u8>,
}

impl Worker for LuaWorker {
    fn bytecode(&self) -> Vec<u8> {
        lua::state::bytecode(self.lua)
    }

    fn preload(&self, wanted: &Preload) -> Result<(), String> {
        lua::state::preload(self.lua, &wanted.name, wanted.path.as_deref(), wanted.cpath.as_deref())
    }

    fn run(&self, seat: Seat<'_>) -> ! {
        child::run(self, seat)
    }
}

fn prepare() -> Result<Box<dyn Worker>, String> {
    let (lua, rehearsal) = lua::state::prepare()?;
    llib_sandbox::prepare();
    if let Ok(directory) = std::env::current_dir() {
        let _ = child::START.set(directory);
    }
    if let Some(own) = llib_core::sys::module::executable() {
        llib_host::serve_as_worker(own);
    }
    Ok(Box::new(LuaWorker { lua, rehearsal }))
}

/// Serves as a worker program with the arguments after `--llib-worker`: the host's process id, the name of the
/// memory that its processes share, and the host's capabilities. Returns an exit code where it cannot even start.
pub fn run_worker(args: &[String]) -> i32 {
    let host = args.first().and_then(|pid| pid.parse().ok());
    let sets = args.get(2).and_then(|sets| credentials::parse_sets(sets));
    let (Some(host), Some(tree), Some(sets)) = (host, args.get(1), sets) else {
        eprintln!("llib-worker: this program is started by llib itself, not by hand");
        return 2;
    };
    llib_supervisor::run(host, tree, sets, prepare)
}
