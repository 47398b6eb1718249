//! A snapshot: what is shown, and what `--json` prints.

use std::fmt;

use serde::{Serialize, Serializer};
use strum::IntoStaticStr;

use super::words::short;

/// Everything at one moment.
#[derive(Debug, Default, Serialize)]
pub(super) struct Snapshot {
    pub(super) sessions: Vec<Session>,
}

/// A host and what works for it.
#[derive(Debug, Serialize)]
pub(super) struct Session {
    pub(super) name: String,
    /// 0, or one more than that of the session whose job the host is.
    pub(super) depth: usize,
    /// Workers that wait for a job.
    pub(super) spares: usize,
    /// Host, guard and zygote, then the workers in the order of their slots.
    #[serde(rename = "processes")]
    pub(super) members: Vec<Member>,
}

/// What a process is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    Host,
    Guard,
    Zygote,
    #[default]
    Worker,
}

/// What it is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub(super) enum Status {
    /// Runs, or could.
    #[default]
    Running,
    /// Waits for a lock, a channel, a job.
    Waiting,
    /// Stopped by a signal.
    Paused,
    /// Was asked to end.
    Closing,
    /// A worker of a pool without a job.
    Idle,
    /// Waits for its first job.
    Spare,
    /// A job without a process yet.
    Queued,
    /// Has replied with values, which nobody has taken.
    Done,
    /// Has replied with a failure, likewise.
    Failed,
    /// Its process is gone, and nobody has taken note.
    Ended,
    /// Is about to go.
    Leaving,
}

/// A process of a session, or a job that has none.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Member {
    pub(super) role: Role,
    /// 0 for a job without a process.
    pub(super) pid: i32,
    #[serde(skip)]
    pub(super) started: u64,
    pub(super) status: Status,
    pub(super) name: String,
    /// Percent of one processor, since the last snapshot; in the first one since it began.
    pub(super) cpu: f64,
    /// Bytes; of what it shares with others its part.
    pub(super) memory: u64,
    /// Seconds since the process began, or the job.
    pub(super) age: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) job: Option<u64>,
    /// Number of the pool that it serves, with how many jobs wait there and how many it has done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pool: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queued: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) done: Option<u64>,
    pub(super) sandboxed: bool,
    /// Seconds until it will be killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deadline: Option<f64>,
    pub(super) holds: Vec<Held>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waits: Option<Wait>,
}

impl Member {
    /// Its name, and in words what there is to say of it.
    pub(super) fn description(&self) -> String {
        let mut text = self.name.clone();
        let mut add = |note: String| {
            if !text.is_empty() {
                text.push_str("  ");
            }
            text.push_str(&note);
        };
        if let (Some(pool), Some(queued), Some(done)) = (self.pool, self.queued, self.done) {
            add(format!("pool {pool}: {done} done, {queued} queued"));
        }
        if self.sandboxed {
            add("sandboxed".to_owned());
        }
        if let Some(left) = self.deadline {
            add(format!("{} left", super::words::time(left)));
        }
        if !self.holds.is_empty() {
            const SHOWN: usize = 4;
            let mut names: Vec<String> = self.holds.iter().take(SHOWN).map(Held::to_string).collect();
            if self.holds.len() > SHOWN {
                names.push(format!("{} more", self.holds.len() - SHOWN));
            }
            add(format!("holds {}", names.join(", ")));
        }
        if let Some(wait) = &self.waits {
            let holder = wait.holder.map(|pid| format!(" ({pid} has it)")).unwrap_or_default();
            add(format!("waits for {}{holder}", wait.what));
        }
        text
    }
}

/// A lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Lock(i64),
    Mutex(u64),
    Buffer(u64),
    Channel(u64),
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Held::Lock(id) => write!(f, "lock {id}"),
            Held::Mutex(id) => write!(f, "mutex {}", short(*id)),
            Held::Buffer(id) => write!(f, "buffer {}", short(*id)),
            Held::Channel(id) => write!(f, "channel {}", short(*id)),
        }
    }
}

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What somebody waits for.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Wait {
    pub(super) what: String,
    /// The process that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) holder: Option<i32>,
}
