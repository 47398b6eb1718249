//! A job in the timeline, see [`trace`].

use std::cell::RefCell;
use std::sync::atomic::Ordering;

use llib_core::observe::trace::{self, Args, Track};
use llib_core::shm::{Slot, job_id};
use llib_core::sys::clock;

/// What ends a job's line there. Empty where there is no timeline, or the line has ended.
#[derive(Default)]
pub(super) struct Traced(RefCell<Option<Box<Line>>>);

struct Line {
    track: Track,
    name: String,
    id: String,
}

impl Traced {
    /// Begins a job's line on the track of the host, just before a worker gets the job. `worker` is that, where it is
    /// there already.
    pub(super) fn begin(slot: Slot<'_>, generation: u32, started: u64, worker: Option<i32>) -> Traced {
        if trace::on() { Traced::write(slot, generation, started, worker) } else { Traced::default() }
    }

    #[cold]
    fn write(slot: Slot<'_>, generation: u32, started: u64, worker: Option<i32>) -> Traced {
        trace::introduce();
        let pool = slot.entry.pool.load(Ordering::SeqCst) >> 16;
        let name = slot.mailbox.job_name().filter(|name| !name.is_empty());
        let name = name
            .unwrap_or_else(|| if pool == 0 { "job".to_owned() } else { format!("worker of pool {pool}") });
        let (track, job) = (Track::own(), job_id(slot.index, generation));
        let id = format!("{} {job} {started}", std::process::id());
        let deadline = slot.entry.deadline.load(Ordering::SeqCst);
        let mut args = Args::default().number("job", job);
        if deadline != 0 {
            args = args.number("timeout_ms", deadline.saturating_sub(started) / 1_000_000);
        }
        track.apart(true, "job", &name, &id, started, args);
        let args = Args::default().text("job", &name);
        match worker {
            Some(pid) => {
                begin_run(pid, &name, job, clock::now());
                track.instant("dispatch", "to a spare", args.number("worker", pid));
            }
            None => track.instant("dispatch", "to a new process", args),
        }
        Traced(RefCell::new(Some(Box::new(Line { track, name, id }))))
    }

    /// Ends it; the first one to say how has said it.
    pub(super) fn end(&self, outcome: &str, at: u64) {
        if let Some(line) = self.0.borrow_mut().take() {
            let args = Args::default().text("outcome", outcome);
            line.track.apart(false, "job", &line.name, &line.id, at, args);
        }
    }
}

/// A job begins on the track of its worker, which is called after it.
pub fn begin_run(pid: i32, name: &str, job: u64, at: u64) {
    let track = Track::of(pid);
    track.name(name);
    track.begin("run", name, at, Args::default().number("job", job).number("by", std::process::id()));
}
