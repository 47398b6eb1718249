//! What a sandboxed worker has in shared memory beside its mailbox. Behind its walls it can neither make a segment nor
//! make one longer, so all of it is there before.
//!
//! One sparse file, `SESSION.SLOT.room`:
//!
//! | part | mapped by | for |
//! |---|---|---|
//! | reply | the worker; its host reads the file | a reply that is too long for the mailbox |
//! | nest | the worker, its zygote; each place's mailbox by the worker of that | jobs that the worker starts, see [`Nest`] |
//! | charter | nobody | what the worker was given, for the readers of requests that it makes. It wrote that while it could be trusted, and has no way to it any more |
//! | terms | nobody | the numbers of the charter, for the zygote: it reads nothing else here |

use std::io;

use rustix::io::Errno;

use super::error::RegionError;
use super::file::SharedFile;
use super::mailbox::{INLINE, Mailbox};
use super::mapping::Mapping;
use super::nest::{Nest, Shape};
use super::payload::Payload;
use crate::sys::PAGE;
use crate::wire::charter::Charter;
use crate::wire::terms::{self, Terms};

/// Words at the end of the file: the terms' numbers, how many objects stand before them, how long the charter before those is.
const TRAILER: usize = terms::WORDS + 2;

/// The most objects that are taken for some.
const MOST_OBJECTS: u64 = 1 << 17;

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
    fn of(terms: &Terms) -> Plan {
        let result = terms.limits.result.unwrap_or(0);
        let longest = usize::try_from(result).unwrap_or(usize::MAX);
        // A nested worker's reply goes into its starter's nest.
        let reply =
            if longest <= INLINE || terms.nested { 0 } else { longest.div_ceil(PAGE).saturating_mul(PAGE) };
        Plan { reply, nest: Shape::new(terms.jobs, result) }
    }

    fn charter_at(&self) -> usize {
        self.reply.saturating_add(self.nest.map_or(0, |nest| nest.len()))
    }
}

impl Room {
    /// Makes what a worker with this charter may need. Whoever frees its slot removes the name.
    pub fn create(name: &str, charter: &Charter) -> Result<Room, RegionError> {
        let (terms, mut bytes) = (Terms::of(charter), charter.to_bytes());
        let (plan, len) = (Plan::of(&terms), bytes.len() as u64);
        let counts = [terms.objects.len() as u64, len];
        let words = terms.objects.iter().copied().chain(terms.to_words()).chain(counts);
        bytes.extend(words.flat_map(u64::to_le_bytes));
        SharedFile::create(name, |file| {
            file.write_at(plan.charter_at(), &&bytes[..])?;
            let reply = (plan.reply > 0).then(|| file.map(0..plan.reply)).transpose();
            let nest = plan.nest.map(|shape| Nest::map(file, plan.reply, shape)).transpose();
            let parts = reply.and_then(|reply| Ok(Room { reply, nest: nest? }));
            parts.map_err(file.failed("create"))
        })
    }

    /// Writes a reply; its pages are made to exist first, where the kernel has the call for that.
    pub fn write(&self, payload: &dyn Payload) -> Result<(), RegionError> {
        let bytes = payload.len();
        let Some(reply) = self.reply.as_ref().map(Mapping::bytes).filter(|reply| bytes <= reply.len()) else {
            return Err(RegionError::Full { bytes });
        };
        reply.reserve(0..bytes)?;
        reply.write(0, payload);
        Ok(())
    }

    /// Where the worker asks for jobs, if it may.
    pub fn nest(&self) -> Option<&Nest> {
        self.nest.as_ref()
    }
}

/// The charter of a worker whose room has this name, as bytes; none if it has not made one. For a process that nothing is forked
/// from.
pub fn charter_of(name: &str) -> Option<Vec<u8>> {
    let (file, _, at, len) = read(name).ok().flatten()?;
    let mut bytes = vec![0; len];
    file.read_at(at, &mut bytes).then_some(bytes)
}

/// The numbers of it.
pub fn terms_of(name: &str) -> Option<Terms> {
    read(name).ok().flatten().map(|(_, terms, ..)| terms)
}

/// A room's file, its terms, and where its charter stands.
fn read(name: &str) -> io::Result<Option<(SharedFile, Terms, usize, usize)>> {
    let file = match SharedFile::open(name) {
        Err(Errno::NOENT) => return Ok(None),
        file => file?,
    };
    let end = file.len()?;
    let found = read_terms(&file, end);
    Ok(found.map(|(terms, at, len)| (file, terms, at, len)))
}

fn read_terms(file: &SharedFile, end: usize) -> Option<(Terms, usize, usize)> {
    let numbers_at = end.checked_sub(TRAILER * 8)?;
    let words = words(file, numbers_at, TRAILER)?;
    let (numbers, counts) = words.split_first_chunk::<{ terms::WORDS }>()?;
    let [count, len] = *counts.first_chunk()?;
    if count > MOST_OBJECTS || len > LONGEST {
        return None;
    }
    let objects_at = numbers_at.checked_sub(count as usize * 8)?;
    let objects = self::words(file, objects_at, count as usize)?;
    let at = objects_at.checked_sub(len as usize)?;
    Some((Terms::from_words(*numbers, objects), at, len as usize))
}

fn words(file: &SharedFile, at: usize, count: usize) -> Option<Vec<u64>> {
    let mut bytes = vec![0; count * 8];
    let words = file.read_at(at, &mut bytes).then(|| bytes.as_chunks::<8>().0)?;
    Some(words.iter().map(|word| u64::from_le_bytes(*word)).collect())
}

/// A room as its worker's zygote finds it.
pub struct RoomFile {
    file: SharedFile,
    reply: usize,
    shape: Shape,
    /// What the worker was given, in numbers.
    pub terms: Terms,
}

impl RoomFile {
    /// Opens a room; none if it has no nest.
    pub fn open(name: &str) -> io::Result<Option<RoomFile>> {
        let Some((file, terms, at, _)) = read(name)? else { return Ok(None) };
        let plan = Plan::of(&terms);
        // The parts are where both sides expect them.
        let shape = plan.nest.filter(|_| plan.charter_at() == at);
        Ok(shape.map(|shape| RoomFile { file, reply: plan.reply, shape, terms }))
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
    use super::super::region::Region;
    use super::super::stale;
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
        // Of a session that lives: hosts that start elsewhere remove what belongs to none.
        let session = stale::new_name().unwrap();
        Region::write_new(&session, &&b"a session"[..]).unwrap();
        let _lock = stale::claim(&session).unwrap().expect("nobody else removes a session of this test");
        let name = format!("{session}.7.room");
        let room = Room::create(&name, charter).unwrap();
        test(&name, &room);
        stale::remove_session(&session);
    }

    #[test]
    fn a_zygote_reads_the_numbers_of_what_the_worker_has_no_way_to() {
        let charter = charter(4, 1 << 20);
        with_room(&charter, |name, room| {
            let found = RoomFile::open(name).unwrap().unwrap();
            assert_eq!((&found.terms, terms_of(name).as_ref()), (&Terms::of(&charter), Some(&found.terms)));
            assert_eq!(charter_of(name), Some(charter.to_bytes()));
            let (own, seen) = (room.nest().unwrap(), found.nest().unwrap());
            assert_eq!((own.places(), own.shape()), (4, seen.shape()));
            own.reserve().unwrap();
            own.slot(2).mailbox.publish_job(11, 0);
            assert_eq!(seen.slot(2).mailbox.generation(), 11);
            assert_eq!(found.mailbox(2).unwrap().generation(), 11);
            room.write(&&[255; 1 << 20][..]).unwrap();
            assert_eq!(RoomFile::open(name).unwrap().unwrap().terms, found.terms);
            assert!(room.write(&&[255; (1 << 20) + 1][..]).is_err());
        });
    }

    #[test]
    fn what_is_not_needed_is_not_there() {
        with_room(&charter(0, 1 << 20), |name, room| {
            assert!(room.nest().is_none() && RoomFile::open(name).unwrap().is_none());
            room.write(&&[1; 70_000][..]).unwrap();
        });
        with_room(&charter(0, 100), |name, room| {
            assert!(room.nest().is_none() && room.write(&&b"1"[..]).is_err());
            assert_eq!(charter_of(name), Some(charter(0, 100).to_bytes()));
        });
        with_room(&charter(1, 100), |name, room| {
            assert!(room.nest().is_some() && room.write(&&b"1"[..]).is_err());
            assert_eq!(RoomFile::open(name).unwrap().unwrap().shape().longest() as usize, Mailbox::READY);
        });
        with_room(&Charter { nested: true, ..charter(2, 1 << 20) }, |_, room| {
            assert!(room.nest().is_some() && room.write(&&[1; 70_000][..]).is_err());
        });
    }
}
