//! The monitor's part: which files it opens for others, and how.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::shm::OFlags;

use super::super::stale::{self, is_session};
use super::LONGEST;
use crate::wire::monitor::{Answer, Request};

/// What it may open: files of its tree, of its own session, and of those whose first file was made through it. Nothing of any
/// other program that this user has.
pub struct Files {
    first: BTreeSet<String>,
}

impl Files {
    /// Those of a tree and a session.
    pub fn new(tree: &str, session: &str) -> Files {
        Files { first: [tree.to_owned(), session.to_owned()].into() }
    }

    fn has(&self, name: &str) -> bool {
        stale::is_ours(name) && name.split('.').next().is_some_and(|first| self.first.contains(first))
    }

    /// Answers a question about files.
    pub fn serve(&mut self, request: &Request) -> (Answer, Option<OwnedFd>) {
        let done = match request {
            Request::Open(name) => self.open(name, OFlags::RDWR).map(Some),
            Request::Create(name) => self.create(name).map(Some),
            Request::Remove(name) => self.remove(name).map(|()| None),
            Request::Mark(name) => {
                let marked = self.open(name, OFlags::RDWR).and_then(|file| fchmod(file, Mode::RWXU));
                marked.map(|()| None)
            }
            Request::List => return (Answer::Names(self.list()), None),
            Request::Stay | Request::Session { .. } => Err(Errno::INVAL),
        };
        match done {
            Ok(file) => (Answer::Done, file),
            Err(error) => (Answer::Failed(error.raw_os_error()), None),
        }
    }

    fn open(&self, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        if !self.has(name) {
            return Err(Errno::ACCESS);
        }
        rustix::shm::open(name, flags, Mode::empty())
    }

    fn create(&mut self, name: &str) -> Result<OwnedFd, Errno> {
        let begins = stale::is_ours(name) && is_session(name);
        if !begins && !self.has(name) {
            return Err(Errno::ACCESS);
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        let file = rustix::shm::open(name, flags, Mode::RUSR | Mode::WUSR)?;
        if begins {
            self.first.insert(name.to_owned());
        }
        Ok(file)
    }

    fn remove(&mut self, name: &str) -> Result<(), Errno> {
        if !self.has(name) {
            return Err(Errno::ACCESS);
        }
        rustix::shm::unlink(name)
    }

    fn list(&self) -> String {
        let mut names = String::new();
        for name in stale::listed().filter(|name| self.has(name)) {
            if names.len() + name.len() + 64 > LONGEST {
                break;
            }
            names.push_str(&name);
            names.push('\n');
        }
        names
    }
}
