//! Reading what a sandboxed job asks for when it starts a job. It is bytes of code that nobody trusts, and what they are held to,
//! the starter's charter, is full of what the new job need not know. So a process of its own reads both, which can do nothing else
//! and ends; the new worker gets its answer.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;

use llib_core::shm::{Mailbox, SharedBytes, charter_of};
use llib_core::wire::charter::{Answer, Charter, answer_from_bytes, answer_to_bytes};
use llib_core::wire::settings::{PREFIX, Settings};
use llib_worker_sys::{self as sys, Forked};
use rustix::io::DupFlags;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::job::Errand;

/// The longest answer: a charter and some settings.
const LONGEST: u64 = 32 << 20;

/// The settings in a payload, held to the charter in the room of this name; and how many bytes of the payload they take.
pub(crate) fn ask(payload: SharedBytes<'_>, room: &str, errand: &Errand) -> (Answer, usize) {
    match try_to_ask(payload, room, errand) {
        Ok((answer, used)) => (answer, used),
        Err(error) => (Err(format!("its request could not be read: {error}")), 0),
    }
}

fn try_to_ask(payload: SharedBytes<'_>, room: &str, errand: &Errand) -> io::Result<(Answer, usize)> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    match sys::fork()? {
        Forked::Child => {
            let told = answer(payload, room, errand, theirs);
            sys::exit_now(i32::from(told.is_err()))
        }
        Forked::Parent(pid) => {
            drop(theirs);
            let mut bytes = Vec::new();
            let read = File::from(ours).take(LONGEST).read_to_end(&mut bytes);
            sys::reap_child(pid);
            read?;
            answer_from_bytes(&bytes).ok_or_else(|| io::Error::other("it makes no sense"))
        }
    }
}

/// The reader's whole life.
fn answer(payload: SharedBytes<'_>, room: &str, errand: &Errand, to: OwnedFd) -> io::Result<()> {
    // What has to be opened; then nothing more can be.
    let charter = charter_of(room);
    sys::duplicate_to(&to, libc::STDIN_FILENO, DupFlags::empty())?;
    std::mem::forget(to);
    sys::close_from(libc::STDOUT_FILENO);
    // Closing it is not among its calls.
    let mut to = ManuallyDrop::new(File::from(sys::inherited(libc::STDIN_FILENO)));
    llib_sandbox::enclose_reader()?;
    let charter = charter.and_then(|bytes| Charter::from_bytes(&bytes));
    let prefix = payload.first(PREFIX).copy();
    let count = prefix.first_chunk::<PREFIX>().map_or(0, |prefix| u32::from_le_bytes(*prefix) as usize);
    // Those of a job that nobody trusts are few.
    let head = payload.first(PREFIX.saturating_add(count).min(Mailbox::READY)).copy();
    let (claim, used) = Settings::from_bytes(&head).unwrap_or_default();
    let answer: Answer = match charter {
        Some(mut charter) => {
            charter.settings.limits = errand.outer;
            charter.answer(claim, errand.granted)
        }
        None => Err("its starter has ended".to_owned()),
    };
    to.write_all(&answer_to_bytes(&(answer, used)))
}
