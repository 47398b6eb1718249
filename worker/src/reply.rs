//! Giving the job's outcome to the host, and what comes after: nothing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use llib_core::shared::{Object, retain};
use llib_core::shm::{Go, Mailbox, Payload, Region, RegionError, Spot, Tree, handles};
use llib_core::sys::{clock, futex};
use llib_host::Broker;

use crate::job::Job;
use crate::pool;
use llib_sandbox::limits;
use llib_worker_sys as sys;

/// Writes a reply where the host finds it, and tells it.
///
/// A payload with handles of `objects` ends as [`llib_core::shared::Parcel`] says.
pub(crate) fn publish(
    job: &Job,
    code: u32,
    payload: &dyn Payload,
    objects: &[&Object],
) -> Result<(), RegionError> {
    let length = payload.len();
    if job.rehearsal {
        // A host may be writing a job into the mailbox at this moment.
        drop(payload.to_vec());
        return Ok(());
    }
    if let Some(post) = pool::current() {
        return post.publish(code, payload, objects);
    }
    if length > Mailbox::READY {
        job.mailbox.large().store(1, Ordering::SeqCst);
    }
    match job.mailbox.spot(length) {
        Spot::Inline => {
            if length > Mailbox::READY {
                job.mailbox.reserve(length)?;
            }
            job.mailbox.write(payload);
        }
        Spot::Apart if job.settings.sandbox.is_some() => {
            let room = job.room().ok_or(RegionError::Full { bytes: length })?;
            room.write(payload)?;
        }
        Spot::Apart => {
            // From here on it is the host's.
            limits::beyond_file_limits(|| Region::write_new(&job.reply_name(), payload))?;
        }
    }
    if !objects.is_empty() {
        objects.iter().for_each(|object| retain(object));
        job.mailbox.carry(handles::REPLY, length);
    }
    if let Some(tree) = Tree::joined() {
        // This process lives on until the host frees the job: nobody should wait that long for what it holds.
        tree.abandon_locks();
    }
    sys::wait_until_passed_on();
    llib_core::log!(Debug, "replies to job {} with code {code}, {length} bytes", job.id());
    job.mailbox.publish_reply(code, length, clock::now());
    job.mailbox.ring();
    if job.mailbox.notify().load(Ordering::SeqCst) != 0 {
        sys::ring_doorbell(job.desk.doorbell);
    }
    Ok(())
}

/// Waits to be let go or killed: the job is over, and the host frees it when it likes.
pub(crate) fn stall(job: &Job) -> ! {
    if let Some(post) = pool::current() {
        // Nothing of the job may run on, so this process cannot take another. Its place is filled anew.
        post.leave();
        sys::exit_now(0);
    }
    // Nobody will, if no handle is left. The host looks at the reply after it has set the mark, and this looks
    // at the mark after the reply, so one of the two sees the other.
    if job.mailbox.detached().load(Ordering::SeqCst) != 0 {
        sys::exit_now(0);
    }
    // The jobs that a sandboxed job started end with it, which is now.
    if Broker::current().is_some_and(Broker::has_jobs) {
        sys::exit_now(0);
    }
    let go = job.mailbox.go();
    while go.load(Ordering::SeqCst) != Go::Leave as u32 {
        futex::wait(go, Go::Job as u32, Duration::from_secs(3600));
    }
    sys::exit_now(0)
}
