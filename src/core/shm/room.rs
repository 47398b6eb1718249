//! What a sandboxed worker has in shared memory beside its mailbox. Behind its walls it can neither make a segment nor
//! make one longer, so all of it is there before.
//!
//! One sparse file, `SESSION.SLOT.room`:
//!
//! | part | mapped by | for |
//! |---|---|---|
//! | reply | the worker; its host reads the file | a reply that is too long for the mailbox |
//! | nest | the worker, its zygote; each place's mailbox by the worker of that | jobs that the worker starts, see [`Nest`] |
//! | charter | nobody | what the worker was given, for its zygote to read. The worker wrote it while it could be trusted, and has no way to it any more |

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, fstat};
use rustix::io::{Errno, pread, pwrite};
use rustix::shm::OFlags;

use super::mailbox::{INLINE, Mailbox};
use super::mapping::{Mapping, PAGE};
use super::nest::{Nest, Shape};
use super::region::{RegionError, check_length, populate};
use super::stale;
use crate::wire::charter::Charter;

/// Bytes at the end of the file: the length of the charter before them.
const TRAILER: usize = 8;

/// The longest charter that is taken for one.
const LONGEST: u64 = 16 << 20;

/// A worker's own.
pub struct Room {
    reply: Option<Mapping>,
    nest: Option<Nest>,
}

/// Where the parts stand.
struct Plan {
    /// Bytes of the reply, whole pages; 0 where the mailbox does.
    reply: usize,
    nest: Option<Shape>,
}

impl Plan {
    fn of(charter: &Charter) -> Plan {
        let result = charter.settings.limits.result.unwrap_or(0);
        let longest = usize::try_from(result).unwrap_or(usize::MAX);
        // A nested worker's reply goes into its starter's nest.
        let reply =
            if longest <= INLINE || charter.nested { 0 } else { longest.div_ceil(PAGE).saturating_mul(PAGE) };
        let nest = charter.settings.sandbox.as_ref().and_then(|policy| Shape::new(policy.jobs, result));
        Plan { reply, nest }
    }

    fn charter_at(&self) -> usize {
        self.reply.saturating_add(self.nest.map_or(0, |nest| nest.len()))
    }
}

impl Room {
    /// Makes what a worker with this charter may need. Whoever frees its slot removes the name.
    pub fn create(name: &str, charter: &Charter) -> Result<Room, RegionError> {
        let failed = |source: io::Error| RegionError::Map { action: "create", name: name.to_owned(), source };
        let plan = Plan::of(charter);
        let mut bytes = charter.to_bytes();
        bytes.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        check_length(plan.charter_at().saturating_add(bytes.len())).map_err(|error| failed(error.into()))?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        let file =
            rustix::shm::open(name, flags, Mode::RUSR | Mode::WUSR).map_err(|error| failed(error.into()))?;
        let map = |offset: usize, len: usize| Mapping::new(&file, offset, len, true).map_err(failed);
        match pwrite(&file, &bytes, plan.charter_at() as u64) {
            Ok(count) if count == bytes.len() => {}
            Ok(_) | Err(Errno::NOSPC) => return Err(RegionError::Full { bytes: bytes.len() }),
            Err(error) => return Err(failed(error.into())),
        }
        let reply = (plan.reply > 0).then(|| map(0, plan.reply)).transpose()?;
        let nest = plan.nest.map(|shape| Nest::map(&file, plan.reply, shape)).transpose().map_err(failed)?;
        Ok(Room { reply, nest })
    }

    /// Lets `write` fill the first `len` bytes of the reply; their pages are made to exist first, where the kernel has
    /// the call for that.
    pub fn fill(&self, len: usize, write: impl FnOnce(&mut [u8])) -> Result<(), RegionError> {
        let Some(reply) = self.reply.as_ref().filter(|reply| len <= reply.len()) else {
            return Err(RegionError::Full { bytes: len });
        };
        // SAFETY: the first `len` bytes are mapped. The host reads them when it is told of them, so the slice is
        // the only way to them meanwhile.
        unsafe {
            populate(reply.start(), len)?;
            write(std::slice::from_raw_parts_mut(reply.start(), len));
        }
        Ok(())
    }

    /// Where the worker asks for jobs, if it may.
    pub fn nest(&self) -> Option<&Nest> {
        self.nest.as_ref()
    }
}

/// The charter of a worker whose room has this name; none if it has not made one.
pub fn charter_of(name: &str) -> Option<Charter> {
    read(name).ok().flatten().map(|(_, charter, _)| charter)
}

/// A room's file, its charter, and where that begins.
fn read(name: &str) -> io::Result<Option<(OwnedFd, Charter, u64)>> {
    let file = match stale::open(name) {
        Err(Errno::NOENT) => return Ok(None),
        file => file?,
    };
    let end = u64::try_from(fstat(&file)?.st_size).ok().and_then(|size| size.checked_sub(TRAILER as u64));
    let read = |at: u64, to: &mut [u8]| pread(&file, &mut *to, at).is_ok_and(|count| count == to.len());
    let charter = end.and_then(|end| {
        let mut trailer = [0; TRAILER];
        let len =
            read(end, &mut trailer).then(|| u64::from_le_bytes(trailer)).filter(|len| *len <= LONGEST)?;
        let (mut bytes, at) = (vec![0; len as usize], end.checked_sub(len)?);
        Some((Charter::from_bytes(read(at, &mut bytes).then_some(&bytes)?)?, at))
    });
    Ok(charter.map(|(charter, at)| (file, charter, at)))
}

/// A room as its worker's zygote finds it.
pub struct RoomFile {
    file: OwnedFd,
    reply: usize,
    shape: Shape,
    /// What the worker was given.
    pub charter: Charter,
}

impl RoomFile {
    /// Opens a room; none if it has no nest.
    pub fn open(name: &str) -> io::Result<Option<RoomFile>> {
        let Some((file, charter, at)) = read(name)? else { return Ok(None) };
        let plan = Plan::of(&charter);
        // The parts are where both sides expect them.
        let shape = plan.nest.filter(|_| plan.charter_at() as u64 == at);
        Ok(shape.map(|shape| RoomFile { file, reply: plan.reply, shape, charter }))
    }

    /// Maps the nest.
    pub fn nest(&self) -> io::Result<Nest> {
        Nest::map(&self.file, self.reply, self.shape)
    }

    /// Maps the mailbox of one of the nest's slots, for the worker of that.
    pub fn mailbox(&self, index: usize) -> io::Result<Mailbox<'static>> {
        Nest::map_mailbox(&self.file, self.reply, self.shape, index)
    }

    /// Shape of the nest.
    pub fn shape(&self) -> Shape {
        self.shape
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::limits::Limits;
    use crate::wire::sandbox::SandboxPolicy;
    use crate::wire::settings::Settings;

    fn charter(jobs: u32, result: u64) -> Charter {
        let settings = Settings {
            limits: Limits { result: Some(result), ..Limits::default() },
            sandbox: Some(SandboxPolicy { jobs, ..SandboxPolicy::default() }),
            ..Settings::default()
        };
        Charter { settings, objects: vec![3], ..Charter::default() }
    }

    fn with_room(charter: &Charter, test: impl FnOnce(&str, &Room)) {
        let name = format!("{}.7.room", stale::new_name().unwrap());
        let room = Room::create(&name, charter).unwrap();
        test(&name, &room);
        stale::unlink(&name);
    }

    #[test]
    fn a_zygote_reads_the_charter_that_the_worker_has_no_way_to() {
        let charter = charter(4, 1 << 20);
        with_room(&charter, |name, room| {
            let found = RoomFile::open(name).unwrap().unwrap();
            assert_eq!((&found.charter, charter_of(name).as_ref()), (&charter, Some(&charter)));
            let (own, seen) = (room.nest().unwrap(), found.nest().unwrap());
            assert_eq!((own.places(), own.shape()), (4, seen.shape()));
            own.reserve().unwrap();
            own.slot(2).mailbox.publish_job(11, 0);
            assert_eq!(seen.slot(2).mailbox.generation(), 11);
            assert_eq!(found.mailbox(2).unwrap().generation(), 11);
            room.fill(1 << 20, |bytes| bytes.fill(255)).unwrap();
            assert_eq!(RoomFile::open(name).unwrap().unwrap().charter, charter);
            assert!(room.fill((1 << 20) + 1, |_| ()).is_err());
        });
    }

    #[test]
    fn what_is_not_needed_is_not_there() {
        with_room(&charter(0, 1 << 20), |name, room| {
            assert!(room.nest().is_none() && RoomFile::open(name).unwrap().is_none());
            room.fill(70_000, |bytes| bytes.fill(1)).unwrap();
        });
        with_room(&charter(0, 100), |name, room| {
            assert!(room.nest().is_none() && room.fill(1, |_| ()).is_err());
            assert_eq!(charter_of(name), Some(charter(0, 100)));
        });
        with_room(&charter(1, 100), |name, room| {
            assert!(room.nest().is_some() && room.fill(1, |_| ()).is_err());
            assert_eq!(RoomFile::open(name).unwrap().unwrap().shape().longest() as usize, Mailbox::READY);
        });
        with_room(&Charter { nested: true, ..charter(2, 1 << 20) }, |_, room| {
            assert!(room.nest().is_some() && room.fill(70_000, |_| ()).is_err());
        });
    }
}
