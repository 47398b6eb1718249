//! How a run ended, without Lua.

use serde::Serialize;
use serde_json::Value;

use super::{exits, json, report};

/// Everything there is to tell.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) ending: Ending,
    pub(crate) usage: Option<Usage>,
    /// What it printed, where that was asked for.
    pub(crate) output: Option<Output>,
}

/// The ways to end.
#[derive(Debug)]
pub(crate) enum Ending {
    /// With values, or what keeps them from being JSON. None unless they were asked for.
    Returned(Result<Vec<Value>, String>),
    /// With a failure.
    Failed(Failure),
    /// `llib run` was told to end by this signal, and so ended the job.
    Interrupted(i32),
}

impl Default for Ending {
    fn default() -> Ending {
        Ending::Returned(Ok(Vec::new()))
    }
}

/// A failure as scripts see it, and the code for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Failure {
    pub(crate) kind: String,
    #[serde(serialize_with = "json::text")]
    pub(crate) message: Vec<u8>,
    #[serde(serialize_with = "json::traceback", skip_serializing_if = "report::is_hidden")]
    pub(crate) traceback: Option<Vec<u8>>,
    /// What it died of, without `SIG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signal: Option<String>,
    /// What its process ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<i64>,
    #[serde(serialize_with = "json::number", skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<f64>,
    /// The system call that the sandbox denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) call: Option<String>,
}

/// Times in milliseconds, `maxrss` in bytes.
#[derive(Debug, Serialize, PartialEq)]
pub(crate) struct Usage {
    pub(crate) wall: f64,
    pub(crate) user: f64,
    pub(crate) system: f64,
    pub(crate) maxrss: i64,
}

/// Captured streams.
#[derive(Debug, Serialize, PartialEq)]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Whether there was more of one than may be told.
    pub(crate) truncated: bool,
}

impl Failure {
    /// A failure of no job.
    pub(crate) fn new(kind: &str, message: impl Into<Vec<u8>>) -> Failure {
        Failure { kind: kind.to_owned(), message: message.into(), ..Failure::default() }
    }

    fn signal_number(&self) -> Option<i32> {
        let name = self.signal.as_deref()?;
        let real_time = || Some(libc::SIGRTMIN() + name.strip_prefix("RT+")?.parse::<i32>().ok()?);
        llib_core::sys::signal::number(name).or_else(|| name.parse().ok()).or_else(real_time)
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Outcome {
        Outcome { ending: Ending::Failed(failure), ..Outcome::default() }
    }
}

impl Outcome {
    /// The code that the command ends with.
    pub(crate) fn exit_code(&self) -> u8 {
        match &self.ending {
            Ending::Returned(_) => 0,
            Ending::Failed(failure) => exits::of_kind(&failure.kind, failure.code, failure.signal_number()),
            Ending::Interrupted(signal) => exits::by_signal(*signal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_of_any_name_makes_a_code() {
        let code = |name: &str| {
            let failure = Failure { signal: Some(name.to_owned()), ..Failure::new("signal", "") };
            Outcome::from(failure).exit_code()
        };
        assert_eq!(code("SEGV"), 139);
        assert_eq!(code("KILL"), 137);
        assert_eq!(i32::from(code("RT+2")), 128 + libc::SIGRTMIN() + 2);
        assert_eq!(code("33"), 161);
        assert_eq!(code("what"), exits::LOST);
        assert_eq!(Outcome { ending: Ending::Interrupted(2), ..Outcome::default() }.exit_code(), 130);
    }
}
