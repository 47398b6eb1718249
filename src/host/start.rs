//! Starting a session: run the worker program, shake hands, map its segment.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipc_channel::ipc::{self, IpcReceiver, IpcSender};

use super::attributes::Told;
use super::monitor::{Monitor, NoGuard};
use super::program::NotFound;
use super::reap::{Guard, reap_later};
use super::session::Session;
use llib_core::shm::{RegionError, Segment, Tree, TreeError, monitor};
use llib_core::sys::credentials::Credentials;
use llib_core::sys::handshake::{self, Greeting, Handed};
use llib_core::sys::ring::Ring;
use llib_core::sys::spawn::{self, Started};
use llib_core::sys::{channel, process};
use llib_core::wire::control::{Command, Hello, PROTOCOL, Ready};

/// How long a worker program may take until it is ready. It takes some 5 ms on an idle machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Descriptors that have to be free for a start: it uses ten at once, and keeps five.
const DESCRIPTORS: usize = 12;

/// What a session needs to know of the process that starts it.
pub struct Host {
    /// The worker program.
    pub program: Result<PathBuf, NotFound>,
    /// Header of the host interpreter's precompiled chunks.
    pub bytecode: Vec<u8>,
}

/// Why no session can be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no worker program.
    #[error("{0}")]
    NotFound(NotFound),
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
    /// What it shares was made with privileges that it has given up, and there are no supervisors from then.
    #[error(
        "the shared memory of this program is from before it gave up its user or its root directory, and supervisors cannot open it \
         any more: start a job before that, or use nothing of llib before"
    )]
    OutOfReach,
    /// The monitor does not answer.
    #[error("the supervisors of before do not answer: {0}")]
    Unheard(io::Error),
    /// The process has changed, and there are no supervisors for what it is now.
    #[error(
        "this program has another user, other capabilities or another root directory than before, and no supervisors that have no \
         more than it can be had: {first}; and {second}"
    )]
    Changed {
        /// Why not in the first way.
        first: Box<StartError>,
        /// Why not in the second.
        second: Box<StartError>,
    },
}

/// What both sides of a session hold from its start on.
struct Ends {
    ours: Ring,
    theirs: Ring,
    commands: IpcSender<Command>,
    receiver: IpcReceiver<Command>,
    own: OwnedFd,
}

impl Ends {
    fn new() -> io::Result<Ends> {
        let (ours, theirs) = Ring::pair()?;
        ours.check_room(DESCRIPTORS)?;
        channel::prepare()?;
        let (commands, receiver) = ipc::channel::<Command>()?;
        Ok(Ends { ours, theirs, commands, receiver, own: process::own()? })
    }
}

/// Starts the process's first session; or a later one of a process that is not what it was any more.
///
/// That one's supervisors are started by the program as well, which makes them what any program is that this process
/// starts; or they are forked by the monitor, where the program cannot be run. In another root directory that is tried first:
/// what is found there by the program's name may be something else.
pub(super) fn start(host: &Host) -> Result<Session, StartError> {
    // A closed stream is as /dev/null to jobs, so what is plugged below is no change.
    let told = Told::at_start();
    let _plugs = plug_standard_streams();
    let now = Credentials::own();
    let Some(monitor) = Monitor::of_before(&now).map_err(StartError::Channel)? else {
        return by_program(host, None, told, now);
    };
    let other_root = monitor.has_other_root();
    let by = |fork: bool| {
        if fork {
            by_monitor(host, &monitor, told.clone(), now.clone())
        } else {
            by_program(host, Some(&monitor), told.clone(), now.clone())
        }
    };
    by(other_root).or_else(|first| {
        let second = by(!other_root);
        second.map_err(|second| StartError::Changed { first: Box::new(first), second: Box::new(second) })
    })
}

/// Runs the worker program.
fn by_program(
    host: &Host,
    monitor: Option<&Monitor>,
    told: Told,
    now: Credentials,
) -> Result<Session, StartError> {
    let program = host.program.as_ref().map_err(|error| StartError::NotFound(error.clone()))?;
    let ends = Ends::new().map_err(StartError::Channel)?;
    let tree = Tree::current().map_err(StartError::Tree)?;
    if !tree.can_be_opened() {
        return Err(StartError::OutOfReach);
    }
    let hand_over = |monitor: BorrowedFd<'_>, first: bool| {
        let commands = channel::descriptor(&ends.receiver)?;
        handshake::hand_over(&ends.ours, Handed { commands, host: ends.own.as_fd(), monitor, first })
    };
    let mut socket = None;
    let handed = match monitor {
        Some(monitor) => hand_over(monitor.socket(), false),
        None => monitor::pair().and_then(|(ours, theirs)| {
            socket = Some(ours);
            hand_over(theirs.as_fd(), true)
        }),
    };
    handed.map_err(StartError::Channel)?;
    let own_pid = std::process::id().to_string();
    let sets = now.sets_as_word();
    let args = [&own_pid, tree.name(), &sets];
    let guard = spawn::worker(program, &args, &ends.theirs, &llib_core::observe::variables())
        .map_err(|source| StartError::Spawn { program: program.clone(), source })?;
    let session = greet(host, ends, program, guard, told, &now)?;
    if let Some(socket) = socket {
        Monitor::note(socket, now);
    }
    Ok(session)
}

/// Has the monitor fork a guard.
fn by_monitor(host: &Host, monitor: &Monitor, told: Told, now: Credentials) -> Result<Session, StartError> {
    let ends = Ends::new().map_err(StartError::Channel)?;
    let tree = Tree::current().map_err(StartError::Tree)?;
    let commands = channel::descriptor(&ends.receiver).map_err(StartError::Channel)?;
    let guard = monitor.fork_guard(tree.name(), ends.theirs.as_fd(), commands, ends.own.as_fd());
    let guard = guard.map_err(|error| match error {
        NoGuard::Unheard(error) => StartError::Unheard(error),
        NoGuard::Refused(reason) => StartError::Refused(reason),
    })?;
    let session = greet(host, ends, Path::new("llib-guard"), guard, told, &now)?;
    // What it was forked from is as this process was then.
    session.refresh().map_err(StartError::Channel)?;
    Ok(session)
}

/// Waits until the supervisors are ready.
fn greet(
    host: &Host,
    ends: Ends,
    program: &Path,
    guard: Started,
    told: Told,
    now: &Credentials,
) -> Result<Session, StartError> {
    let Ends { ours, theirs, commands, receiver, own } = ends;
    drop((theirs, receiver, own));
    let guard = Guard::from(guard);
    let program = || program.to_path_buf();
    let outcome = match handshake::hear(&ours, PATIENCE) {
        Greeting::Hello(Hello::Ready(ready)) => check(&program(), &host.bytecode, ready),
        Greeting::Hello(Hello::Failed(reason)) => Err(StartError::Refused(reason)),
        Greeting::Foreign(theirs) => Err(StartError::Protocol { program: program(), theirs }),
        Greeting::Ended => Err(StartError::Ended { program: program() }),
        Greeting::Late => {
            // It may not be a worker program at all, and then the ring's end tells it nothing.
            guard.kill();
            Err(StartError::Late { program: program() })
        }
    };
    match outcome {
        Ok((segment, zygote)) => Ok(Session::new(segment, ours, commands, told, guard, zygote, now.clone())),
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

fn check(program: &Path, bytecode: &[u8], ready: Ready) -> Result<(Segment, i32), StartError> {
    if ready.bytecode != bytecode {
        let ours = lua_name(bytecode);
        let mut theirs = lua_name(&ready.bytecode);
        if theirs == ours {
            theirs.push_str(" with other number formats");
        }
        return Err(StartError::Bytecode { program: program.to_path_buf(), theirs, ours });
    }
    let segment = Segment::open(&ready.segment).map_err(StartError::Memory)?;
    Ok((segment, ready.zygote))
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
        let host = |program: &str| Host { program: Ok(program.into()), bytecode: Vec::new() };
        let error = start(&host("/nowhere/llib-worker")).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("'/nowhere/llib-worker'") && error.contains("No such file"), "{error}");
        let error = start(&host("/bin/true")).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "the worker program '/bin/true' ended before it was ready");
    }
}
