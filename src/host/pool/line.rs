//! A pool's jobs in the timeline, see [`trace`].

use super::{Ended, Pool, Ticket};
use llib_core::observe::trace::{self, Args, Track};
use llib_core::wire::cause::Cause;

/// How a job ended that has no result.
pub(super) fn outcome(ended: &Ended) -> &'static str {
    match ended {
        Ended::Reply(_) => "values",
        Ended::Death { .. } => "its worker died",
        Ended::Cancelled(Cause::Closed) => "closed",
        Ended::Cancelled(_) => "killed",
        Ended::Stopped(..) => "the pool stopped",
        Ended::Lost => "lost",
    }
}

impl Pool {
    /// Begins a job's line on the track of the host.
    #[inline]
    pub(super) fn begin_line(&mut self, ticket: Ticket) {
        if trace::on() {
            trace::introduce();
            self.records[ticket].traced = true;
            self.write_line(ticket, true, self.records[ticket].submitted, Args::default());
        }
    }

    /// Ends it, if it has not ended.
    #[inline]
    pub(super) fn end_line(&mut self, ticket: Ticket, outcome: &str, at: u64) {
        if std::mem::take(&mut self.records[ticket].traced) {
            self.write_line(ticket, false, at, Args::default().text("outcome", outcome));
        }
    }

    #[cold]
    fn write_line(&self, ticket: Ticket, begins: bool, at: u64, args: Args) {
        let name = format!("job {} of pool {}", self.records[ticket].number, self.number);
        let id = format!("{} {name}", std::process::id());
        Track::own().apart(begins, "pool", &name, &id, at, args);
    }
}
