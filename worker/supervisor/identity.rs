//! What a host is: its ids, capabilities and root directory, as the kernel tells it; and becoming that.
//!
//! A host that has given up privileges asks for supervisors that have no more than it. Its word counts for nothing. Each id has to be
//! confirmed by what the kernel noted as the program itself acted: the real ones by the stamp on its question, the effective ones
//! and the supplementary groups by the sockets that it made. For what /proc says alone may be another program's: the asking process could run one that is setuid root
//! in the meantime. What is not confirmed is not handed on.

use std::fs::{File, OpenOptions, read_link, read_to_string};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use llib_core::sys::process::is_over;
use llib_core::sys::{credentials, proc};
use nix::unistd::{Gid, Uid, chroot, fchdir, setgroups, setresgid, setresuid};
use rustix::process::DumpableBehavior;
use rustix::thread::{CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities};

use crate::failed;
use llib_worker_sys::asked::{self, Asked};

/// See the module's header.
pub(crate) struct Identity {
    users: credentials::Ids,
    groups: credentials::Ids,
    supplementary: Vec<u32>,
    sets: credentials::Sets,
    bounding: u64,
    no_new_privileges: bool,
    root: File,
}

impl Identity {
    /// That of the process which asks, which is said to be `process` and to have made the socket `ring`.
    pub(crate) fn of(asked: &Asked, process: &OwnedFd, ring: &OwnedFd) -> Result<Identity, String> {
        if !proc::is_own() {
            return Err("without a /proc the supervisors cannot see what the program is now".to_owned());
        }
        let (pid, user, group) = asked.from.ok_or("the kernel does not say who asks")?;
        let (maker, effective_user, effective_group) =
            asked::maker(ring).map_err(failed("failed to look who asks"))?;
        if pid <= 0 || maker != pid || pid_of(process) != Some(pid) {
            return Err("the process that asks is not the one for which it asks".to_owned());
        }
        let path = |what: &str| format!("/proc/{pid}/{what}");
        for kind in ["user", "mnt", "pid"] {
            let theirs =
                read_link(path(&format!("ns/{kind}"))).map_err(failed("failed to look at its namespaces"))?;
            if read_link(format!("/proc/self/ns/{kind}")).ok() != Some(theirs) {
                return Err(format!("it is in another {kind} namespace now"));
            }
        }
        let directory = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let root = OpenOptions::new().read(true).custom_flags(directory).open(path("root"));
        let root = root.map_err(failed("failed to look at its root directory"))?;
        let status = read_to_string(path("status")).map_err(failed("failed to look at its ids"))?;
        let identity = Identity::read(&status, root).ok_or("its ids cannot be read")?;
        if is_over(process) {
            return Err("it is gone".to_owned());
        }
        let groups = asked::makers_groups(ring).map_err(failed("failed to look at its groups"))?;
        let ids = |ids: credentials::Ids| (ids[0], ids[1]);
        let same = ids(identity.users) == (user, effective_user)
            && ids(identity.groups) == (group, effective_group)
            && sorted(&identity.supplementary) == sorted(&groups);
        if !same {
            return Err("it has changed its ids meanwhile".to_owned());
        }
        Ok(identity.confirmed())
    }

    fn read(status: &str, root: File) -> Option<Identity> {
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let numbers = |name: &str| {
            let words = field(name)?.split_ascii_whitespace();
            words.map(|word| word.parse().ok()).collect::<Option<Vec<u32>>>()
        };
        let ids = |name: &str| numbers(name)?.get(..3)?.try_into().ok();
        let set = |name: &str| u64::from_str_radix(field(name)?, 16).ok();
        Some(Identity {
            users: ids("Uid")?,
            groups: ids("Gid")?,
            supplementary: numbers("Groups")?,
            sets: [set("CapEff")?, set("CapPrm")?, set("CapInh")?],
            bounding: set("CapBnd")?,
            no_new_privileges: field("NoNewPrivs").is_some_and(|value| value != "0"),
            root,
        })
    }

    /// Without what nobody confirms: saved ids of their own, and capabilities of others than root. A program that it
    /// runs has none of them either.
    fn confirmed(mut self) -> Identity {
        for ids in [&mut self.users, &mut self.groups] {
            if !ids[..2].contains(&ids[2]) {
                ids[2] = ids[1];
            }
        }
        if !self.users.contains(&0) {
            self.sets = [0; 3];
        }
        self
    }

    /// Becomes that, for good.
    pub(crate) fn assume(self) -> Result<(), String> {
        self.assume_groups().map_err(failed("failed to take on its groups"))?;
        self.assume_root().map_err(failed("failed to take on its root directory"))?;
        let given_up = (0..64).map(|bit| 1u64 << bit).filter(|bit| self.bounding & bit == 0);
        for capability in given_up.filter_map(CapabilitySet::from_bits) {
            // Those that the kernel does not know, or this process does not have.
            let _ = remove_capability_from_bounding_set(capability);
        }
        let [real, effective, saved] = self.users.map(Uid::from_raw);
        setresuid(real, effective, saved).map_err(failed("failed to take on its user"))?;
        narrow(self.sets).map_err(failed("failed to give up its capabilities"))?;
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true).map_err(failed("failed to give up new privileges"))?;
        }
        // Else /proc/self is root's.
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)
            .map_err(failed("failed to own its own files in /proc"))?;
        if credentials::own_users() != self.users || credentials::own_sets()[1] & !self.sets[1] != 0 {
            return Err("the system gave it other ids than it wanted".to_owned());
        }
        Ok(())
    }

    fn assume_groups(&self) -> io::Result<()> {
        let groups: Vec<Gid> = self.supplementary.iter().copied().map(Gid::from_raw).collect();
        let own: Vec<u32> = rustix::process::getgroups()?.iter().map(|group| group.as_raw()).collect();
        if sorted(&own) != sorted(&self.supplementary) {
            setgroups(&groups)?;
        }
        let [real, effective, saved] = self.groups.map(Gid::from_raw);
        Ok(setresgid(real, effective, saved)?)
    }

    fn assume_root(&self) -> io::Result<()> {
        fchdir(self.root.as_fd())?;
        let there = rustix::fs::stat(".")?;
        let here = rustix::fs::stat("/")?;
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino) {
            chroot(".")?;
        }
        std::env::set_current_dir("/")
    }
}

/// Gives up the capabilities that are not in these sets. Running the worker program gives root those back that its
/// host has given up.
pub(crate) fn narrow(sets: credentials::Sets) -> io::Result<()> {
    let own = credentials::own_sets();
    let [effective, permitted, inheritable] =
        std::array::from_fn(|at| CapabilitySet::from_bits_retain(own[at] & sets[at]));
    if [effective, permitted, inheritable].map(|set| set.bits()) != own {
        set_capabilities(None, CapabilitySets { effective, permitted, inheritable })?;
    }
    Ok(())
}

fn sorted(groups: &[u32]) -> Vec<u32> {
    let mut groups = groups.to_vec();
    groups.sort_unstable();
    groups
}

/// The process of a pidfd, as /proc/PID/fdinfo says; `None` once it is gone.
fn pid_of(process: &OwnedFd) -> Option<i32> {
    let about = read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).ok()?;
    about.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(users: &str, sets: &str) -> Identity {
        let status = format!(
            "Name:\tx\nUid:\t{users}\nGid:\t7\t7\t9\t7\nGroups:\t7 20 \nNoNewPrivs:\t1\nCapInh:\t0\nCapPrm:\t{sets}\n\
             CapEff:\t{sets}\nCapBnd:\t1ffffffffff\n"
        );
        Identity::read(&status, File::open("/").unwrap()).unwrap()
    }

    #[test]
    fn who_asks_for_another_process_or_with_anothers_socket_is_refused() {
        let own = || llib_core::sys::process::own().unwrap();
        let pid = std::process::id().cast_signed();
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let (ring, _other) = llib_core::shm::monitor::pair().unwrap();
        let asked = |from| Asked { bytes: Vec::new(), files: Vec::new(), from };
        let outcome = |from, process: &OwnedFd| Identity::of(&asked(from), process, &ring).map(|it| it.users);
        assert_eq!(outcome(Some((pid, user, group)), &own()), Ok(credentials::own_users()));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let number = child.id().cast_signed();
        let other = rustix::process::Pid::from_raw(number).unwrap();
        let other = rustix::process::pidfd_open(other, rustix::process::PidfdFlags::empty()).unwrap();
        let wrong = "the process that asks is not the one for which it asks";
        assert_eq!(outcome(Some((pid, user, group)), &other).unwrap_err(), wrong);
        assert_eq!(outcome(Some((number, user, group)), &other).unwrap_err(), wrong);
        assert_eq!(outcome(None, &own()).unwrap_err(), "the kernel does not say who asks");
        let changed = outcome(Some((pid, user + 1, group)), &own()).unwrap_err();
        assert_eq!(changed, "it has changed its ids meanwhile");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn saved_ids_and_capabilities_that_nobody_confirms_are_left_out() {
        let lowered = read("5\t6\t0\t6", "21").confirmed();
        assert_eq!((lowered.users, lowered.groups), ([5, 6, 6], [7, 7, 7]));
        assert_eq!((lowered.sets, lowered.supplementary), ([0; 3], vec![7, 20]));
        assert!(lowered.no_new_privileges);
        let root = read("0\t6\t0\t6", "21").confirmed();
        assert_eq!((root.users, root.sets), ([0, 6, 0], [0x21, 0x21, 0]));
    }
}
