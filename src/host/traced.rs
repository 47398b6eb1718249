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
    category: &'static str,
    name: String,
    id: String,
}

impl Traced {
    /// Begins a job's line on the track of the host, just before a worker gets the job. `worker` is that, where it is
    /// there already.
    pub(super) fn begin(slot: Slot<'_>, generation: u32, started: u64, worker: Option<i32>) -> Traced {
        if trace::on() { Traced::write(slot, generation, started, worker) } else { Traced::default() }
    }

    /// The same for a job that is queued in a pool.
    pub(super) fn begin_pooled(pool: u32, number: u64, submitted: u64) -> Traced {
        if !trace::on() {
            return Traced::default();
        }
        let name = format!("job {number} of pool {pool}");
        let id = format!("{} {name}", std::process::id());
        Traced::line("pool", name, id, submitted, Args::default())
    }

    #[cold]
    fn line(category: &'static str, name: String, id: String, at: u64, args: Args) -> Traced {
        trace::introduce();
        let track = Track::own();
        track.apart(true, category, &name, &id, at, args);
        Traced(RefCell::new(Some(Box::new(Line { track, category, name, id }))))
    }

    #[cold]
    fn write(slot: Slot<'_>, generation: u32, started: u64, worker: Option<i32>) -> Traced {
        let pool = slot.entry.pool.load(Ordering::SeqCst) >> 16;
        let name = slot.mailbox.job_name().filter(|name| !name.is_empty());
        let name = name
            .unwrap_or_else(|| if pool == 0 { "job".to_owned() } else { format!("worker of pool {pool}") });
        let job = job_id(slot.index, generation);
        let id = format!("{} {job} {started}", std::process::id());
        let deadline = slot.entry.deadline.load(Ordering::SeqCst);
        let mut args = Args::default().number("job", job);
        if deadline != 0 {
            args = args.number("timeout_ms", deadline.saturating_sub(started) / 1_000_000);
        }
        let traced = Traced::line("job", name.clone(), id, started, args);
        let args = Args::default().text("job", &name);
        match worker {
            Some(pid) => {
                Track::of(pid).begin_job(&name, job, std::process::id().cast_signed(), clock::now());
                Track::own().instant("dispatch", "to a spare", args.number("worker", pid));
            }
            None => Track::own().instant("dispatch", "to a new process", args),
        }
        traced
    }

    /// Ends it; the first one to say how has said it.
    pub(super) fn end(&self, outcome: &str, at: u64) {
        if let Some(line) = self.0.borrow_mut().take() {
            let args = Args::default().text("outcome", outcome);
            line.track.apart(false, line.category, &line.name, &line.id, at, args);
        }
    }
}
