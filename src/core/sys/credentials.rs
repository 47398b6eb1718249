//! Who this process is to the kernel: user, groups, capabilities, whether it can gain others, root directory. Jobs are to have no more than it has.

#![allow(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::process::getgroups;
use rustix::thread::{
    CapabilitySet, capabilities, capabilities_secure_bits, capability_is_in_bounding_set, no_new_privs,
};

/// Real, effective and saved ids of a user or a group.
pub type Ids = [u32; 3];

/// Sets of capabilities, capabilities(7): effective, permitted, inheritable.
pub type Sets = [u64; 3];

/// The root directory: its device, its number there, and the mount.
pub type Root = (u32, u32, u64, u64);

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    users: Ids,
    groups: Ids,
    sets: Sets,
    /// Whether programs that it runs can gain nothing any more; filters of system calls go with it.
    no_new_privileges: bool,
    /// What only a process with capabilities can change; of another one it is not looked at.
    guarded: Option<Guarded>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Guarded {
    supplementary: Vec<u32>,
    root: Root,
    secure_bits: u32,
    /// As it was when it was looked at last.
    bounding: u64,
}

impl Credentials {
    /// Those of the thread that calls. 1 to 3 µs.
    pub fn own() -> Credentials {
        let sets = own_sets();
        let has_any = sets[1] != 0;
        Credentials {
            users: own_users(),
            groups: own_groups(),
            sets,
            // A filter that does not let it ask has been put on by a process that had to have the flag.
            no_new_privileges: no_new_privs().unwrap_or(true),
            guarded: has_any.then(|| Guarded {
                supplementary: supplementary(),
                root: root(),
                secure_bits: capabilities_secure_bits().map_or(0, |bits| bits.bits()),
                bounding: *BOUNDING
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert_with(bounding),
            }),
        }
    }

    /// Looks at what takes too long to be looked at for each job: the bounding set of capabilities.
    pub fn look_closely() {
        *BOUNDING.lock().unwrap_or_else(PoisonError::into_inner) = Some(bounding());
    }

    /// Their sets of capabilities as a word of a command line.
    pub fn sets_as_word(&self) -> String {
        format!("{:x},{:x},{:x}", self.sets[0], self.sets[1], self.sets[2])
    }
}

static BOUNDING: Mutex<Option<u64>> = Mutex::new(None);

/// The capabilities that programs can have which this process runs. A system call for each.
fn bounding() -> u64 {
    let known = CapabilitySet::all();
    let has = |capability: &CapabilitySet| capability_is_in_bounding_set(*capability).unwrap_or(false);
    known.iter().filter(has).fold(0, |set, capability| set | capability.bits())
}

/// The process's sets of capabilities.
pub fn own_sets() -> Sets {
    // It fails for no own process.
    capabilities(None)
        .map_or([0; 3], |sets| [sets.effective.bits(), sets.permitted.bits(), sets.inheritable.bits()])
}

/// The inverse of [`Credentials::sets_as_word`].
pub fn parse_sets(word: &str) -> Option<Sets> {
    let sets: Option<Vec<u64>> = word.split(',').map(|set| u64::from_str_radix(set, 16).ok()).collect();
    sets?.try_into().ok()
}

/// The process's user ids.
pub fn own_users() -> Ids {
    nix::unistd::getresuid()
        .map_or([u32::MAX; 3], |ids| [ids.real.as_raw(), ids.effective.as_raw(), ids.saved.as_raw()])
}

fn own_groups() -> Ids {
    nix::unistd::getresgid()
        .map_or([u32::MAX; 3], |ids| [ids.real.as_raw(), ids.effective.as_raw(), ids.saved.as_raw()])
}

fn supplementary() -> Vec<u32> {
    // In one call, where two would ask for their number first. Few programs have more.
    let mut few = [0; 64];
    // SAFETY: so many ids may be written there.
    let count = unsafe { libc::getgroups(64, few.as_mut_ptr()) };
    if let Some(groups) = usize::try_from(count).ok().and_then(|count| few.get(..count)) {
        return groups.to_vec();
    }
    getgroups().unwrap_or_default().iter().map(|group| group.as_raw()).collect()
}

/// The process's root directory.
pub fn root() -> Root {
    // Before Linux 5.8 no mount is told, and there is 0.
    statx(CWD, c"/", AtFlags::empty(), StatxFlags::INO | StatxFlags::MNT_ID).map_or_else(
        |_| Root::default(),
        |about| (about.stx_dev_major, about.stx_dev_minor, about.stx_ino, about.stx_mnt_id),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_who_it_was_and_a_group_more_is_a_change() {
        let own = Credentials::own();
        assert_eq!(own, Credentials::own());
        assert_eq!(own.users[1], rustix::process::geteuid().as_raw());
        assert_eq!(parse_sets(&own.sets_as_word()), Some(own.sets));
        let mut other = own.clone();
        other.groups[2] ^= 1;
        assert_ne!(own, other);
    }
}
