//! A segment that is mapped whole: a session's, or one for a single thing, such as a message that is too long for its
//! mailbox, what a job printed, why a module could not be loaded.

use std::io;
use std::ops::Range;

use rustix::io::Errno;

use super::bytes::SharedBytesMut;
use super::error::RegionError;
use super::file::{SharedFile, unlink};
use super::mapping::Mapping;
use super::payload::Payload;
use crate::sys::fork;

/// Such a segment. Dropping it unmaps it and, where it is this process's own, removes its name.
pub struct Region {
    mapping: Mapping,
    name: String,
    /// The process whose it is, 0 for none: one that is forked from that leaves the name.
    owner: u64,
}

impl Region {
    /// Creates a segment of `len` bytes, all zero; it is this process's own.
    pub fn create(name: &str, len: usize) -> Result<Region, RegionError> {
        SharedFile::create(name, |file| {
            file.grow(len)?;
            let mapping = file.map(0..len).map_err(file.failed("create"))?;
            Ok(Region { mapping, name: name.to_owned(), owner: fork::process() })
        })
    }

    /// Creates a segment of these bytes, which stays when this returns: somebody is to [`take`](Region::take) it.
    ///
    /// The kernel copies the bytes in. Through a mapping each page would be zeroed, faulted in and unmapped as
    /// well, which costs twice as much (16 MiB: 14 ms, this way 7). A full file system is an error here, too.
    pub fn write_new(name: &str, payload: &dyn Payload) -> Result<(), RegionError> {
        SharedFile::create(name, |file| file.write_at(0, payload))
    }

    /// Maps a segment that exists, and stays when this is dropped.
    pub fn open(name: &str) -> Result<Region, RegionError> {
        let file = SharedFile::open(name).map_err(|error| RegionError::map("open", name, error))?;
        let mapped = file.len().and_then(|len| file.map(0..len));
        Ok(Region { mapping: mapped.map_err(file.failed("open"))?, name: name.to_owned(), owner: 0 })
    }

    /// The same for a segment that has to have this length.
    pub(super) fn open_exactly(name: &str, len: usize) -> Result<Region, RegionError> {
        let region = Region::open(name)?;
        if region.bytes().len() != len {
            return Err(RegionError::map("open", name, io::Error::other("it has an unexpected length")));
        }
        Ok(region)
    }

    /// As [`Region::open`]; it is this process's own from now on.
    pub fn take(name: &str) -> Result<Region, RegionError> {
        let mut region = Region::open(name)?;
        region.owner = fork::process();
        Ok(region)
    }

    /// What the crate `shared_memory` has mapped of a segment of this name, which stays when this is dropped.
    pub(super) fn of_session(name: &str, mapping: Mapping) -> Region {
        Region { mapping, name: name.to_owned(), owner: 0 }
    }

    /// A copy of the first `len` bytes of a segment, or of as many as there are, without mapping it.
    pub fn read_out(name: &str, len: usize) -> Result<Vec<u8>, RegionError> {
        SharedFile::open(name).map_err(|error| RegionError::map("read", name, error))?.read_out(len)
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Makes sure that the pages of a range exist, as [`SharedBytesMut::reserve`] does; also on an older kernel.
    pub(super) fn reserve(&self, range: Range<usize>) -> Result<(), RegionError> {
        match self.bytes().populate(range.clone()) {
            Err(Errno::INVAL) => SharedFile::open(&self.name)
                .map_err(|error| RegionError::map("open", &self.name, error))?
                .allocate(range),
            populated => populated.map_err(|_| RegionError::Full { bytes: range.len() }),
        }
    }

    /// Lets it stay when this is dropped.
    pub(super) fn keep(mut self) -> Region {
        self.owner = 0;
        self
    }

    /// Removes the segment's name now, and not when this is dropped. The mapping stays.
    pub fn remove_name(&mut self) {
        if std::mem::take(&mut self.owner) == fork::process() {
            unlink(&self.name);
        }
    }

    /// The mapping.
    pub(super) fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Its bytes. Others may have cut the file: who reads further than they wrote is ended by a signal.
    pub fn bytes(&self) -> SharedBytesMut<'_> {
        self.mapping.bytes()
    }

    /// Its bytes as text, for a segment that nobody writes any more.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes().copy()).into_owned()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.remove_name();
    }
}
