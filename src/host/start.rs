//! Starting a session: run the worker program, shake hands, map its segment.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::Duration;

use ipc_channel::ipc::IpcOneShotServer;

use super::reap::reap_later;
use super::session::Session;
use llib_core::shm::{RegionError, Segment, Tree, TreeError};
use llib_core::sys::ring::{Ring, Rung};
use llib_core::sys::spawn;
use llib_core::wire::control::{Hello, PROTOCOL, Ready};

/// How long a worker program may take until it is ready. It takes some 5 ms on an idle machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Descriptors that have to be free for a start: it uses six at once, and keeps three.
const DESCRIPTORS: usize = 8;

/// What a session needs to know of the process that starts it.
pub struct Host {
    /// The worker program.
    pub program: PathBuf,
    /// Header of the host interpreter's precompiled chunks.
    pub bytecode: Vec<u8>,
}

/// Why no session can be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A channel to the worker program cannot be made, for instance for want of descriptors.
    #[error("failed to make a channel to the worker program: {0}")]
    Channel(io::Error),
    /// The worker program cannot be run.
    #[error("failed to run the worker program '{}': {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error("the worker program '{}' ended before it was ready", program.display())]
    Ended {
        /// The program.
        program: PathBuf,
    },
    /// It runs, but was not ready in time.
    #[error("the worker program '{}' was not ready within {} s", program.display(), PATIENCE.as_secs())]
    Late {
        /// The program.
        program: PathBuf,
    },
    /// It says that it cannot serve.
    #[error("the worker program cannot serve: {0}")]
    Refused(String),
    /// It is of another release than the module.
    #[error(
        "the worker program '{}' is of another release (it speaks protocol {theirs}, this module {PROTOCOL})",
        program.display()
    )]
    Protocol {
        /// The program.
        program: PathBuf,
        /// Its protocol number.
        theirs: u32,
    },
    /// Its Lua cannot run this interpreter's functions.
    #[error(
        "the worker program '{}' has {theirs}, which cannot run functions of this interpreter's {ours}",
        program.display()
    )]
    Bytecode {
        /// The program.
        program: PathBuf,
        /// Its Lua.
        theirs: String,
        /// This interpreter's.
        ours: String,
    },
    /// Its shared memory cannot be mapped.
    #[error("{0}")]
    Memory(RegionError),
    /// What it shares with others cannot be had.
    #[error("{0}")]
    Tree(TreeError),
}

pub(super) fn start(host: &Host) -> Result<Session, StartError> {
    let _plugs = plug_standard_streams();
    let (ours, theirs) = Ring::pair().map_err(StartError::Channel)?;
    ours.check_room(DESCRIPTORS).map_err(StartError::Channel)?;
    let (server, address) = one_shot_server().map_err(StartError::Channel)?;
    let own_pid = std::process::id().to_string();
    let tree = Tree::current().map_err(StartError::Tree)?;
    let args = [&address, &own_pid, tree.name()];
    let guard = spawn::worker(&host.program, &args, &theirs, &llib_core::observe::variables())
        .map_err(|source| StartError::Spawn { program: host.program.clone(), source })?;
    drop(theirs);
    // Accepting blocks without a limit, so it waits until the other side says that it has connected, or is
    // gone.
    let in_time = ours.wait(PATIENCE);
    let connected = in_time && matches!(ours.receive(), Rung::Plain);
    let hello = if connected { server.accept().ok().map(|(_, hello)| hello) } else { None };
    let outcome = match hello {
        Some(Hello::Ready(ready)) => check(host, ready),
        Some(Hello::Failed(reason)) => Err(StartError::Refused(reason)),
        None if in_time => Err(StartError::Ended { program: host.program.clone() }),
        None => {
            // It may not be a worker program at all, and then the ring's end tells it nothing.
            spawn::kill(guard);
            Err(StartError::Late { program: host.program.clone() })
        }
    };
    match outcome {
        Ok((segment, ready)) => Ok(Session::new(segment, ours, guard, ready)),
        Err(error) => {
            drop(ours);
            reap_later(guard);
            Err(error)
        }
    }
}

/// Takes the numbers of standard streams that are closed, for as long as a start lasts: a script that prints
/// must not write into what llib holds.
fn plug_standard_streams() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).take_while(|file| file.as_raw_fd() <= 2).collect()
}

/// Some of `ipc-channel`'s set-up panics for want of descriptors; a host gets an error instead.
fn one_shot_server() -> io::Result<(IpcOneShotServer<Hello>, String)> {
    std::panic::catch_unwind(IpcOneShotServer::<Hello>::new)
        .unwrap_or_else(|_| Err(io::Error::other("the channel could not be set up")))
}

fn check(host: &Host, ready: Ready) -> Result<(Segment, Ready), StartError> {
    let program = &host.program;
    if ready.protocol != PROTOCOL {
        return Err(StartError::Protocol { program: program.clone(), theirs: ready.protocol });
    }
    if ready.bytecode != host.bytecode {
        let ours = lua_name(&host.bytecode);
        let mut theirs = lua_name(&ready.bytecode);
        if theirs == ours {
            theirs.push_str(" with other number formats");
        }
        return Err(StartError::Bytecode { program: program.to_path_buf(), theirs, ours });
    }
    let segment = Segment::open(&ready.segment).map_err(StartError::Memory)?;
    Ok((segment, ready))
}

/// The fifth byte of every precompiled chunk of Lua 5.x is its version, a nibble a part.
fn lua_name(header: &[u8]) -> String {
    match header {
        [0x1b, b'L', b'u', b'a', version, ..] => format!("Lua {}.{}", version >> 4, version & 15),
        // Its fifth byte holds flags (lj_bcdump.h): 8 is the layout of frames that came with GC64.
        [0x1b, b'L', b'J', _, flags, ..] if flags & 8 == 0 => "LuaJIT without GC64".to_owned(),
        [0x1b, b'L', b'J', ..] => "LuaJIT".to_owned(),
        _ => "an unknown Lua".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_header_is_named_by_its_version() {
        assert_eq!(lua_name(b"\x1bLua\x54\0"), "Lua 5.4");
        assert_eq!(lua_name(b"\x1bLJ\x02\x08"), "LuaJIT");
        assert_eq!(lua_name(b"\x1bLJ\x02\x00"), "LuaJIT without GC64");
        assert_eq!(lua_name(b""), "an unknown Lua");
    }

    #[test]
    fn a_program_that_is_not_there_or_ends_at_once_is_an_error_that_names_it() {
        let host = |program: &str| Host { program: program.into(), bytecode: Vec::new() };
        let error = start(&host("/nowhere/llib-worker")).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("'/nowhere/llib-worker'") && error.contains("No such file"), "{error}");
        let error = start(&host("/bin/true")).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "the worker program '/bin/true' ended before it was ready");
    }
}
