//! `LLIB_LOG`: what supervisors do, and why, a line each.
//!
//! The variable is read as that of `tracing`'s environment filter: a level, and `ROLE=LEVEL` for roles of which more or
//! less is wanted, with commas in between. Lines go to standard error, or are appended to the file `LLIB_LOG_FILE`.
//! A worker writes to such a file alone: its standard error is its job's.
//!
//! Without the variable each place where a line could be written is one load and a jump.

use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use humantime::format_rfc3339_micros;
use strum::{EnumString, FromRepr, IntoStaticStr};

use super::sink::Sink;
use crate::sys::fork::{self, PerProcess};

/// The variable that says what is wanted.
pub const VARIABLE: &str = "LLIB_LOG";
/// The one that says where to.
pub const FILE: &str = "LLIB_LOG_FILE";

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[repr(u8)]
#[strum(ascii_case_insensitive, serialize_all = "lowercase")]
pub enum Level {
    /// Something that llib promised is not the case.
    Error = 1,
    /// Something went wrong, and llib goes on.
    Warn,
    /// What happens rarely: starts, ends, deaths.
    Info,
    /// What happens for each job.
    Debug,
    /// What happens more often than that.
    Trace,
}

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, FromRepr, IntoStaticStr)]
#[repr(u8)]
#[strum(serialize_all = "lowercase")]
pub enum Role {
    /// A program that uses llib.
    Host,
    /// Its supervisor.
    Guard,
    /// The other one.
    Zygote,
    /// A process of a job.
    Worker,
}

/// In [`MOST`]: not looked at yet.
const UNKNOWN: u8 = u8::MAX;

/// The level up to which this process writes; 0 is none.
static MOST: AtomicU8 = AtomicU8::new(UNKNOWN);
static ROLE: AtomicU8 = AtomicU8::new(Role::Host as u8);
static SINK: Sink = Sink::new();
static FILTER: OnceLock<Filter> = OnceLock::new();

/// Up to which level each role writes, in the order of [`Role`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Filter([u8; 4]);

impl Filter {
    /// Reads the variable's value. What makes no sense is left out, and told.
    fn parse(text: &str) -> (Filter, Vec<String>) {
        let (mut filter, mut wrong) = (Filter::default(), Vec::new());
        let level = |name: &str| match name {
            "off" => Some(0),
            name => Level::from_str(name).ok().map(|level| level as u8),
        };
        let role = |name: &str| Role::from_str(name).ok();
        let no_level = |name: &str| format!("'{name}' is no level (off, error, warn, info, debug or trace)");
        let words = || text.split(',').map(str::trim).filter(|word| !word.is_empty());
        for word in words().filter(|word| !word.contains('=')) {
            match level(word) {
                Some(level) => filter.0 = [level; 4],
                // A role alone means all of it, as it does elsewhere.
                None if role(word).is_some() => {}
                None => wrong.push(no_level(word)),
            }
        }
        for word in words() {
            let (name, most) = word.split_once('=').unwrap_or((word, "trace"));
            match (role(name), level(most)) {
                (Some(role), Some(level)) => filter.0[role as usize] = level,
                (Some(_), None) => wrong.push(no_level(most)),
                (None, _) if word.contains('=') => {
                    wrong.push(format!("'{name}' is no role (host, guard, zygote or worker)"));
                }
                (None, _) => {}
            }
        }
        (filter, wrong)
    }
}

/// Whether a line of this level is written.
#[inline]
pub fn on(level: Level) -> bool {
    level as u8 <= MOST.load(Ordering::Relaxed) && look(level)
}

#[cold]
fn look(level: Level) -> bool {
    static LOOKING: PerProcess<Mutex<()>> = PerProcess::new();
    if fork::happened() {
        return false;
    }
    if MOST.load(Ordering::Relaxed) == UNKNOWN {
        let _looking = LOOKING.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        FILTER.get_or_init(start);
        settle();
    }
    level as u8 <= MOST.load(Ordering::Relaxed)
}

fn start() -> Filter {
    let given = std::env::var_os(VARIABLE).unwrap_or_default();
    let (filter, wrong) = Filter::parse(&given.to_string_lossy());
    wrong.iter().for_each(|reason| super::complain(&format!("{VARIABLE}: {reason}")));
    if filter != Filter::default()
        && let Some(file) = std::env::var_os(FILE).filter(|value| !value.is_empty())
    {
        super::open(&SINK, FILE, &file, None);
    }
    filter
}

/// Takes the level of this process's role.
fn settle() {
    let Some(filter) = FILTER.get() else { return };
    let role = ROLE.load(Ordering::Relaxed);
    let silent = role == Role::Worker as u8 && SINK.path().is_none();
    MOST.store(if silent { 0 } else { filter.0[usize::from(role)] }, Ordering::SeqCst);
}

/// Says what this process is from now on.
pub fn act_as(role: Role) {
    ROLE.store(role as u8, Ordering::Relaxed);
    settle();
}

/// The file, for the variable of processes that this one starts: they may start elsewhere.
pub fn path() -> Option<&'static PathBuf> {
    if on(Level::Error) { SINK.path() } else { None }
}

/// Nothing more is written by this process.
pub(super) fn hush() {
    MOST.store(0, Ordering::SeqCst);
}

/// See [`Sink::forget`].
pub(super) fn forget() {
    if MOST.load(Ordering::Relaxed) != 0 {
        SINK.forget();
    }
}

/// Writes a line.
#[cold]
pub fn write(level: Level, text: fmt::Arguments<'_>) {
    const MOST_BYTES: usize = 2000;
    let role = Role::from_repr(ROLE.load(Ordering::Relaxed)).map_or("", <&str>::from);
    let name = <&str>::from(level).to_ascii_uppercase();
    let mut line =
        format!("{} {name:<5} {role}[{}] ", format_rfc3339_micros(SystemTime::now()), std::process::id());
    // A name can hold anything, and one line is one line.
    let text = text.to_string();
    line.extend(text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(MOST_BYTES));
    line.push('\n');
    if SINK.path().is_some() {
        SINK.append(line.as_bytes());
    } else {
        // Nobody is left to read it where standard error is gone. It may be a terminal, too: one write a line.
        let _ = std::io::stderr().write(line.as_bytes());
    }
}

/// Writes a line of `LLIB_LOG`, if its level is wanted: `log!(Debug, "forked {pid}")`. Its arguments are looked at then
/// alone.
#[macro_export]
macro_rules! log {
    ($level:ident, $($text:tt)+) => {
        if $crate::observe::log::on($crate::observe::log::Level::$level) {
            $crate::observe::log::write($crate::observe::log::Level::$level, format_args!($($text)+));
        }
    };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_filter_is_a_level_with_exceptions() {
        let parse = |text: &str| Filter::parse(text).0.0;
        assert_eq!(parse(""), [0; 4]);
        assert_eq!(parse("info"), [3; 4]);
        assert_eq!(parse("zygote=debug"), [0, 0, 4, 0]);
        // Whatever the order.
        assert_eq!(parse("guard=off, WARN,zygote=trace"), [2, 0, 5, 2]);
        assert_eq!(parse("worker,error"), [1, 1, 1, 5]);
        let (filter, wrong) = Filter::parse("info,zygote=loud,cook=debug,verbose");
        assert_eq!((filter.0, wrong.len()), ([3; 4], 3));
        assert!(wrong.iter().any(|reason| reason.contains("'cook' is no role")), "{wrong:?}");
    }

    #[test]
    fn a_time_is_a_date() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_709_251_199, "2024-02-29T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, 1_234_000);
            assert_eq!(format_rfc3339_micros(time).to_string(), format!("{date}.001234Z"));
        }
    }

    #[test]
    fn without_the_variable_nothing_is_written_or_even_looked_at() {
        assert!(!on(Level::Error) && path().is_none());
        let mut asked = false;
        let mut ask = || asked = true;
        crate::log!(Error, "{:?}", ask());
        assert!(!asked);
    }
}
