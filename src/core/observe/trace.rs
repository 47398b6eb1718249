//! `LLIB_TRACE=FILE`: a timeline of what processes do, in Chrome's Trace Event Format.
//!
//! One JSON array, an event a line, without its closing bracket, which readers do not ask for. So the file can be loaded
//! at any time, also after everybody was killed. Times are microseconds of CLOCK_MONOTONIC, the same for all processes.
//!
//! | event | written by | on the track of |
//! |---|---|---|
//! | a job from `async` to its end | the host | the host, as an asynchronous one |
//! | a job in its process | begin: who gave it a worker; end: the zygote, once the process is gone | the worker |
//! | waits, `mod`, `kill`, a pool's jobs | the process itself | itself |
//! | a held lock | begin: who takes it; end: who gives it back, or takes it from one that has left it | who takes it, as an asynchronous one |
//! | forks, signals, deaths | the zygote | itself |
//!
//! A sandboxed worker writes nothing: it has no descriptor for it, and shall not have one. Without the variable each
//! place where something could be written is one load and a jump.

use std::cell::RefCell;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::sink::Sink;
use crate::sys::clock;
use crate::sys::fork::{self, PerProcess};
use crate::sys::process::command_line;

/// The variable.
pub const VARIABLE: &str = "LLIB_TRACE";

const UNKNOWN: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
static SINK: Sink = Sink::new();

/// What a timeline needs to know of the process that writes to it.
pub struct Context {
    /// Name of the tree that the process belongs to.
    pub tree: String,
    /// In a worker: where its supervisor reads how many of its spans are open.
    pub spans: Option<&'static AtomicU32>,
}

static CONTEXT: PerProcess<Context> = PerProcess::new();

impl Context {
    /// Sets that of this process. A later call changes nothing: a process joins one tree.
    pub fn set(self) {
        CONTEXT.set(self);
    }

    /// None in a process that was forked from one that has a context, until it uses what they share.
    fn of_this_process() -> Option<&'static Context> {
        CONTEXT.get()
    }
}

/// Whether there is a timeline.
#[inline]
pub fn on() -> bool {
    match STATE.load(Ordering::Relaxed) {
        OFF => false,
        _ => look(),
    }
}

#[cold]
fn look() -> bool {
    static LOOKING: PerProcess<Mutex<()>> = PerProcess::new();
    if fork::happened() {
        return false;
    }
    if STATE.load(Ordering::Relaxed) == UNKNOWN {
        let _looking = LOOKING.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if STATE.load(Ordering::Relaxed) == UNKNOWN {
            STATE.store(if start() { ON } else { OFF }, Ordering::SeqCst);
        }
    }
    STATE.load(Ordering::Relaxed) == ON
}

fn start() -> bool {
    let Some(given) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else { return false };
    // Supervisors find the file that their host has begun.
    let head = if super::serves() { None } else { Some(&b"[\n"[..]) };
    super::open(&SINK, VARIABLE, &given, head)
}

/// The file, for the variable of processes that this one starts: they may start elsewhere.
pub fn path() -> Option<&'static PathBuf> {
    if on() { SINK.path() } else { None }
}

/// Nothing more is written by this process: it is about to lose the means, or the right.
pub(super) fn hush() {
    STATE.store(OFF, Ordering::SeqCst);
}

/// See [`Sink::forget`].
pub(super) fn forget() {
    if STATE.load(Ordering::Relaxed) == ON {
        SINK.forget();
    }
}

/// What an event tells beside its name: the inside of a JSON object.
#[derive(Default)]
pub struct Args(String);

impl Args {
    /// Adds a text.
    pub fn text(mut self, key: &str, value: &str) -> Args {
        self.key(key);
        quote(&mut self.0, value);
        self
    }

    /// Adds a number.
    pub fn number(mut self, key: &str, value: impl Into<i128>) -> Args {
        self.key(key);
        let _ = write!(self.0, "{}", value.into());
        self
    }

    fn key(&mut self, key: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        quote(&mut self.0, key);
        self.0.push(':');
    }
}

/// Text as JSON has it, of a length that leaves a line short.
fn quote(to: &mut String, text: &str) {
    const MOST: usize = 300;
    to.push('"');
    for c in text.chars().take(MOST) {
        match c {
            '"' | '\\' => to.extend(['\\', c]),
            c if c.is_control() || c == '\u{2028}' || c == '\u{2029}' => {
                let _ = write!(to, "\\u{:04x}", c as u32);
            }
            c => to.push(c),
        }
    }
    to.push('"');
}

/// A process's line in the timeline.
#[derive(Clone, Copy)]
pub struct Track {
    process: i32,
    thread: i32,
}

impl Track {
    /// That of the thread that calls.
    pub fn own() -> Track {
        let thread = rustix::thread::gettid().as_raw_pid();
        Track { process: std::process::id().cast_signed(), thread }
    }

    /// That of a worker.
    pub fn of(pid: i32) -> Track {
        Track { process: pid, thread: pid }
    }

    /// Something begins here.
    pub fn begin(self, category: &str, name: &str, at: u64, args: Args) {
        self.write('B', category, name, at, "", args);
    }

    /// What began last here ends.
    pub fn end(self, at: u64, args: Args) {
        self.write('E', "", "", at, "", args);
    }

    /// Something happens here.
    pub fn instant(self, category: &str, name: &str, args: Args) {
        self.write('i', category, name, clock::now(), r#","s":"p""#, args);
    }

    /// Something that took from `at` until now.
    pub fn took(self, category: &str, name: &str, at: u64, args: Args) {
        let micros = clock::now().saturating_sub(at) as f64 / 1000.0;
        self.write('X', category, name, at, &format!(r#","dur":{micros:.3}"#), args);
    }

    /// What does not nest with what else happens here begins or ends. `id` and the name tell it from others.
    pub fn apart(self, begins: bool, category: &str, name: &str, id: &str, at: u64, args: Args) {
        let mut more = String::from(r#","id":"#);
        quote(&mut more, id);
        self.write(if begins { 'b' } else { 'e' }, category, name, at, &more, args);
    }

    /// A job begins on the track of its worker, which is called after it; the process `by` gave it to that.
    pub fn begin_job(self, name: &str, job: u64, by: i32, at: u64) {
        self.name(name);
        self.begin("run", name, at, Args::default().number("job", job).number("by", by));
    }

    /// What the process is called.
    pub fn name(self, name: &str) {
        self.write('M', "", "process_name", clock::now(), "", Args::default().text("name", name));
    }

    fn write(self, phase: char, category: &str, name: &str, at: u64, more: &str, args: Args) {
        if !on() {
            return;
        }
        let Track { process, thread } = self;
        let mut line =
            format!(r#"{{"ph":"{phase}","pid":{process},"tid":{thread},"ts":{}.{:03}"#, at / 1000, at % 1000);
        for (key, value) in [("name", name), ("cat", category)] {
            if !value.is_empty() {
                let _ = write!(line, r#","{key}":"#);
                quote(&mut line, value);
            }
        }
        line.push_str(more);
        let _ = writeln!(line, r#","args":{{{}}}}},"#, args.0);
        SINK.append(line.as_bytes());
    }
}

/// Something that takes time on the track of this thread, until it is dropped.
pub struct Span(Option<Track>);

/// Begins it, if there is a timeline.
#[inline]
pub fn span(category: &str, name: impl FnOnce() -> String) -> Span {
    if on() { Span::begin(category, &name()) } else { Span(None) }
}

impl Span {
    #[cold]
    fn begin(category: &str, name: &str) -> Span {
        introduce();
        let track = Track::own();
        // Counted where the zygote finds it, which ends what a dead worker cannot.
        if let Some(spans) = Context::of_this_process().and_then(|context| context.spans) {
            spans.fetch_add(1, Ordering::SeqCst);
        }
        track.begin(category, name, clock::now(), Args::default());
        Span(Some(track))
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(track) = self.0 {
            track.end(clock::now(), Args::default());
            if let Some(spans) = Context::of_this_process().and_then(|context| context.spans) {
                spans.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}

/// Names the process that calls, once. A worker was named by who gave it its job.
pub fn introduce() {
    static DONE: Mutex<i32> = Mutex::new(0);
    let pid = std::process::id().cast_signed();
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    let is_worker = Context::of_this_process().is_some_and(|context| context.spans.is_some());
    if std::mem::replace(&mut *done, pid) != pid && !is_worker {
        Track::of(pid).name(&command_line(pid).unwrap_or_else(|| "host".to_owned()));
    }
}

thread_local! {
    /// Names of the locks whose holding stands in the timeline without its end.
    static HELD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A lock's line, which belongs to the lock: it may begin in one process and end in another.
fn lock_line(begins: bool, lock: &str, args: Args) {
    let tree = Context::of_this_process().map(|context| &*context.tree).unwrap_or_default();
    Track::own().apart(begins, "lock", lock, &format!("{tree} {lock}"), clock::now(), args);
}

/// This thread has a lock now. Of one that its last owner has left, that owner's hold ends here.
#[inline]
pub fn held(lock: impl FnOnce() -> String, abandoned: bool) {
    if on() {
        note_held(lock(), abandoned);
    }
}

#[cold]
fn note_held(lock: String, abandoned: bool) {
    introduce();
    if HELD.with(|held| held.borrow().contains(&lock)) {
        return;
    }
    if abandoned {
        lock_line(false, &lock, Args::default().text("end", "abandoned"));
    }
    let before = if abandoned { "abandoned" } else { "free" };
    lock_line(true, &lock, Args::default().text("before", before).number("holder", std::process::id()));
    HELD.with(|held| held.borrow_mut().push(lock));
}

/// It has given it back.
#[inline]
pub fn released(lock: impl FnOnce() -> String) {
    if on() {
        note_released(&lock());
    }
}

#[cold]
fn note_released(lock: &str) {
    let place = HELD.with(|held| held.borrow().iter().position(|held| held == lock));
    if let Some(place) = place {
        HELD.with(|held| held.borrow_mut().remove(place));
        lock_line(false, lock, Args::default().text("end", "released"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_name_holds_it_is_one_json_string() {
        let mut text = String::new();
        quote(&mut text, "a\"b\\c\n\u{1}\u{85}é\u{2028}");
        assert_eq!(text, r#""a\"b\\c\u000a\u0001\u0085é\u2028""#);
        let mut long = String::new();
        quote(&mut long, &"x".repeat(9999));
        assert_eq!(long.len(), 302);
        let args = Args::default().text("a", "b").number("c", -4);
        assert_eq!(args.0, r#""a":"b","c":-4"#);
    }

    #[test]
    fn without_the_variable_there_is_no_timeline() {
        assert!(!on() && path().is_none());
        let mut asked = false;
        drop(span("x", || {
            asked = true;
            String::new()
        }));
        assert!(!asked);
    }
}
