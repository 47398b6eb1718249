//! The files that a policy grants, opened before the walls rise, and noted by what they are.
//!
//! A job that a sandboxed job starts asks for paths whose meaning its starter may have changed: by a link that was there,
//! or one that it moved to where a granted directory was. So its grants are opened as what they were when the
//! starter's own walls rose, and what lies below them without following any link.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use llib_core::wire::charter::{Charter, Identity, Pinned};
use llib_core::wire::sandbox::SandboxPolicy;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, fstatfs, openat2, statx};

/// One file, with what is below it if it is a directory.
pub struct Grant {
    path: Vec<u8>,
    pub(super) write: bool,
    pub(super) directory: bool,
    pub(super) file: OwnedFd,
    identity: Identity,
}

/// What a process is granted.
#[derive(Default)]
pub struct Grants {
    pub(super) own: Vec<Grant>,
    /// What its starter is, where that is more: the kernel holds the process to both.
    pub(super) outer: Option<Vec<Grant>>,
}

impl Grants {
    /// Opens what a policy grants; `charter` is that of the job which starts this one, if one does that is sandboxed itself.
    pub fn open(policy: &SandboxPolicy, charter: Option<&Charter>) -> Result<Grants, String> {
        let paths = paths(policy);
        let Some(charter) = charter else {
            let own = paths.map(|(path, write)| open_named(path, write)).collect::<Result<_, _>>()?;
            return Ok(Grants { own, outer: None });
        };
        let mut own = Vec::new();
        for (path, write) in paths {
            own.extend(open_within(path, write, &charter.paths)?);
        }
        let narrower = charter.settings.sandbox.as_ref() != Some(policy);
        let outer = || charter.paths.iter().filter_map(|pinned| open_pinned(pinned).ok().flatten()).collect();
        Ok(Grants { own, outer: narrower.then(outer) })
    }

    /// For the charter of this process's own jobs.
    pub fn pins(&self) -> Vec<Pinned> {
        let pin =
            |grant: &Grant| Pinned { path: grant.path.clone(), write: grant.write, identity: grant.identity };
        self.own.iter().map(pin).collect()
    }
}

fn paths(policy: &SandboxPolicy) -> impl Iterator<Item = (&[u8], bool)> {
    let read = policy.read.iter().map(|path| (path.as_slice(), false));
    read.chain(policy.write.iter().map(|path| (path.as_slice(), true)))
}

const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

fn refuse(path: &[u8], error: &dyn std::fmt::Display) -> String {
    format!("cannot grant '{}': {error}", String::from_utf8_lossy(path))
}

fn open_named(path: &[u8], write: bool) -> Result<Grant, String> {
    let file = rustix::fs::open(OsStr::from_bytes(path), LOOK, Mode::empty());
    file.map_err(io::Error::from)
        .and_then(|file| grant(path, write, file))
        .map_err(|error| refuse(path, &error))
}

fn grant(path: &[u8], write: bool, file: OwnedFd) -> io::Result<Grant> {
    let about = about(&file)?;
    let directory = FileType::from_raw_mode(about.stx_mode.into()) == FileType::Directory;
    let identity = identity(&file, &about);
    Ok(Grant { path: path.to_vec(), write, directory, file, identity })
}

/// Everything that is asked of a file here, statx(2).
pub fn about(file: impl AsFd) -> io::Result<Statx> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    Ok(statx(file, "", AtFlags::EMPTY_PATH, wanted)?)
}

/// Which file it is.
pub fn identity(file: impl AsFd, about: &Statx) -> Identity {
    /// In overlayfs a file is born once more when it is first written to, <linux/magic.h>.
    const OVERLAY: u64 = 0x794c_7630;
    let overlaid = fstatfs(file).is_ok_and(|system| system.f_type as u64 == OVERLAY);
    let known = about.stx_mask & StatxFlags::BTIME.bits() != 0 && !overlaid;
    let born = if known { (about.stx_btime.tv_sec, about.stx_btime.tv_nsec) } else { (0, 0) };
    Identity { device: (about.stx_dev_major, about.stx_dev_minor), inode: about.stx_ino, born }
}

/// What was granted, if that is still what its path leads to.
fn open_pinned(pinned: &Pinned) -> Result<Option<Grant>, String> {
    // One that is gone grants nothing.
    let Ok(file) = rustix::fs::open(OsStr::from_bytes(&pinned.path), LOOK, Mode::empty()) else {
        return Ok(None);
    };
    let opened = grant(&pinned.path, pinned.write, file).map_err(|error| refuse(&pinned.path, &error))?;
    Ok(Some(opened).filter(|grant| grant.identity == pinned.identity))
}

/// A path at or below one of the starter's grants. Nothing, if it is one of these and is not there any more.
fn open_within(path: &[u8], write: bool, granted: &[Pinned]) -> Result<Option<Grant>, String> {
    let wanted = PathBuf::from(OsStr::from_bytes(path));
    let root =
        |pinned: &&Pinned| wanted.starts_with(OsStr::from_bytes(&pinned.path)) && (pinned.write || !write);
    // The nearest; the policy was compared with the starter's before, so there is one.
    let Some(pinned) = granted.iter().filter(root).max_by_key(|pinned| pinned.path.len()) else {
        return Err(refuse(path, &"this job's own sandbox does not"));
    };
    let rest = wanted.strip_prefix(OsStr::from_bytes(&pinned.path)).unwrap_or(Path::new(""));
    let root = open_pinned(pinned)?;
    if rest.as_os_str().is_empty() {
        return Ok(root.map(|grant| Grant { write, ..grant }));
    }
    let Some(root) = root else {
        return Err(refuse(path, &"what was granted there is there no more"));
    };
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(&root.file, rest, LOOK, Mode::empty(), how) {
        Ok(file) => grant(path, write, file).map(Some).map_err(|error| refuse(path, &error)),
        Err(rustix::io::Errno::LOOP) => Err(refuse(path, &"it leads through a symbolic link")),
        Err(error) => Err(refuse(path, &io::Error::from(error))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("llib-grants-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join("inside/deep")).unwrap();
            fs::create_dir_all(path.join("outside")).unwrap();
            Folder(path)
        }

        fn path(&self, name: &str) -> Vec<u8> {
            self.0.join(name).as_os_str().as_bytes().to_vec()
        }

        fn policy(&self, read: &[&str], write: &[&str]) -> SandboxPolicy {
            let all = |names: &[&str]| names.iter().map(|name| self.path(name)).collect();
            SandboxPolicy { read: all(read), write: all(write), ..SandboxPolicy::default() }
        }

        /// A charter of a job with this policy, as things are now.
        fn charter(&self, policy: &SandboxPolicy) -> Charter {
            let paths = Grants::open(policy, None).unwrap().pins();
            let mut charter = Charter { paths, ..Charter::default() };
            charter.settings.sandbox = Some(policy.clone());
            charter
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_a_starter_has_its_jobs_can_have_and_what_lies_below() {
        let folder = Folder::new("below");
        let policy = folder.policy(&["inside"], &["outside"]);
        let charter = folder.charter(&policy);
        let same = Grants::open(&policy, Some(&charter)).unwrap();
        assert_eq!((same.pins(), same.outer.is_none()), (charter.paths.clone(), true));
        let narrower =
            Grants::open(&folder.policy(&["inside/deep", "outside"], &[]), Some(&charter)).unwrap();
        assert_eq!((narrower.own.len(), narrower.outer.map(|outer| outer.len())), (2, Some(2)));
        assert!(narrower.own.iter().all(|grant| !grant.write && grant.directory));
        let refused = Grants::open(&folder.policy(&[], &["inside"]), Some(&charter)).err().unwrap();
        assert!(refused.contains("this job's own sandbox does not"), "{refused}");
    }

    #[test]
    fn links_lead_nowhere_however_often_they_are_handed_on() {
        let folder = Folder::new("links");
        symlink(folder.0.join("outside"), folder.0.join("inside/door")).unwrap();
        let charter = folder.charter(&folder.policy(&["inside"], &[]));
        for path in ["inside/door", "inside/door/x", "inside/deep/../door"] {
            let refused = Grants::open(&folder.policy(&[path], &[]), Some(&charter));
            assert!(refused.is_err(), "{path}");
        }
        // A link that the host itself granted is a grant of what it led to.
        let charter = folder.charter(&folder.policy(&["inside/door"], &[]));
        let grants = Grants::open(&folder.policy(&["inside/door"], &[]), Some(&charter)).unwrap();
        assert_eq!(grants.pins(), charter.paths);
    }

    #[test]
    fn what_was_put_in_the_place_of_a_grant_is_none() {
        let folder = Folder::new("moved");
        let policy = folder.policy(&["inside/deep"], &["inside"]);
        let charter = folder.charter(&policy);
        fs::rename(folder.0.join("inside/deep"), folder.0.join("inside/away")).unwrap();
        symlink(folder.0.join("outside"), folder.0.join("inside/deep")).unwrap();
        let grants = Grants::open(&policy, Some(&charter)).unwrap();
        assert_eq!(grants.pins(), charter.paths[1..], "the first is none any more");
        let below = folder.policy(&["inside/deep/x"], &[]);
        assert!(Grants::open(&below, Some(&charter)).err().unwrap().contains("is there no more"));
        fs::remove_file(folder.0.join("inside/deep")).unwrap();
        fs::create_dir(folder.0.join("inside/deep")).unwrap();
        assert_eq!(
            Grants::open(&policy, Some(&charter)).unwrap().own.len(),
            1,
            "another directory of that name"
        );
    }
}
