//! Stopping workers and letting them go on.
//!
//! A worker is never left stopped while it holds a lock of something shared, see [`llib_core::sync::Marks`]: it is asked to take
//! none, stopped, and looked at; one that has a lock goes on at once. That is one try and takes milliseconds at most. Whoever
//! wants it stopped sees in the slot table whether it is, and asks again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use llib_core::shm::Mailbox;
use llib_core::sys::clock;
use llib_core::wire::cause::Cause;
use rustix::process::{Pid, getpgid};

use super::Zygote;
use llib_worker_sys as sys;

/// How long a worker is waited for that is just about to give its lock back.
const HELD: Duration = Duration::from_millis(1);
/// How long a signal may take to stop a process. One that takes longer is in a system call that nothing interrupts, and stops
/// before it does anything else.
const STOPPING: Duration = Duration::from_millis(10);
/// Stops in one try, of a worker that is found with a lock each time.
const STOPS: u32 = 3;

impl Zygote {
    /// Stops a worker and everything in its process group, unless it holds a lock.
    pub(super) fn stop(&mut self, pid: i32) {
        let Some(index) = self.crew.slot_of(pid) else { return };
        let marks = self.segment.slot(index).mailbox.marks();
        marks.ask();
        let stopped = marks.wait_until_free(HELD) && (0..STOPS).any(|_| self.try_to_stop(pid, index));
        marks.release();
        llib_core::log!(
            Debug,
            "worker {pid} is {}stopped",
            if stopped { "" } else { "busy with a lock and not " }
        );
        if stopped {
            self.note_paused(index, true);
        }
    }

    fn try_to_stop(&mut self, pid: i32, index: u32) -> bool {
        let mailbox: Mailbox<'static> = self.segment.slot(index).mailbox;
        self.send_to_group(pid, libc::SIGSTOP);
        let end = clock::after(STOPPING);
        let already = self.segment.slot(index).entry.paused.load(Ordering::SeqCst) != 0;
        while !already && !sys::has_stopped(pid) && !clock::until(end).is_zero() {
            std::thread::sleep(Duration::from_micros(20));
        }
        if mailbox.marks().is_free() {
            return true;
        }
        self.send_to_group(pid, libc::SIGCONT);
        mailbox.marks().wait_until_free(HELD);
        false
    }

    /// Lets a worker go on that was stopped.
    pub(super) fn resume(&mut self, pid: i32) {
        self.send_to_group(pid, libc::SIGCONT);
        if let Some(index) = self.crew.slot_of(pid) {
            self.note_paused(index, false);
        }
    }

    /// To everything in the worker's process group, and to the worker if it has left that.
    fn send_to_group(&mut self, pid: i32, signal: i32) {
        let worker = Pid::from_raw(pid);
        if sys::kill(-pid, signal).is_err() || getpgid(worker).ok() != worker {
            self.send(pid, signal, Cause::Killed);
        }
    }

    pub(super) fn note_paused(&self, index: u32, paused: bool) {
        self.segment.slot(index).entry.paused.store(paused.into(), Ordering::SeqCst);
        self.note_paused_nested(index, paused);
    }

    /// Notes which workers were stopped or let go on, whoever did it.
    pub(super) fn note_stops(&mut self) {
        while let Some((pid, paused)) = sys::next_stop() {
            if let Some(index) = self.crew.slot_of(pid) {
                self.note_paused(index, paused);
            } else if self.templates.current.as_ref().is_some_and(|template| paused && template.pid == pid) {
                // It would keep everybody waiting who wants a worker. Its death leads to another one.
                let _ = sys::kill(pid, libc::SIGKILL);
            }
        }
    }
}
