//! What a sandboxed job was given, written down where it cannot change it, for the jobs that it starts.
//!
//! Those ask for what they like; what they get is narrower than this, or nothing. Names are not enough for that: where a job
//! may write, it can put something else in the place of what a name led to. So files are held to what they were.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::limits::Limits;
use super::settings::{Settings, Stdio};

/// Which file it is, whatever its name leads to later. A number of an inode is used again, but not with the same time of
/// birth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Number of the file system, its two parts.
    pub device: (u32, u32),
    /// Number of the file there.
    pub inode: u64,
    /// When it was made, in seconds and nanoseconds; zeros where nobody knows.
    pub born: (i64, u32),
}

/// A path that was granted, and what stood there then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// As it was granted.
    pub path: Vec<u8>,
    /// Whether it may be written.
    pub write: bool,
    /// What it led to.
    pub identity: Identity,
}

/// What a granted module was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModuleKind {
    /// Source text.
    Text,
    /// A C library of its own.
    Library,
    /// A C library with others: that of the name's first part.
    Bundle,
}

/// A granted module as it was loaded. One that is replaced or changed since is not that any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// What `require` calls it.
    pub name: Vec<u8>,
    /// The file's name.
    pub file: Vec<u8>,
    /// What is in it.
    pub kind: ModuleKind,
    /// Which file it is.
    pub identity: Identity,
    /// When it was last changed, in whatever way; a process without privileges cannot set that.
    pub changed: (i64, u32),
    /// Its length in bytes.
    pub size: u64,
}

/// See the module's header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charter {
    /// Its settings. Those of a worker that raised its walls before it had a job are what all such jobs have in common.
    pub settings: Settings,
    /// The shared objects that it was given.
    pub objects: Vec<u64>,
    /// The paths of its policy.
    pub paths: Vec<Pinned>,
    /// The modules of its policy.
    pub modules: Vec<Module>,
    /// Whether a sandboxed job started it.
    pub nested: bool,
    /// Whether it may write files, or one may up its line.
    pub writes: bool,
}

impl Charter {
    /// As it stands in memory.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Writing plain data into a vector cannot fail.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// The inverse.
    pub fn from_bytes(bytes: &[u8]) -> Option<Charter> {
        postcard::from_bytes(bytes).ok()
    }

    /// The settings of a job that asks for those of `claim`, and whose supervisor grants it no more than `granted`. The
    /// error names what it must not have.
    pub fn narrow(&self, claim: Settings, granted: Limits) -> Result<Settings, String> {
        let own = &self.settings;
        let Some(outer) = &own.sandbox else { return Err("the job that asks is in no sandbox".to_owned()) };
        let mut policy = match claim.sandbox {
            Some(policy) => policy.within(outer)?,
            None => outer.clone(),
        };
        // It is one of them itself.
        policy.jobs = policy.jobs.min(outer.jobs.saturating_sub(1));
        // Where it prints, or nowhere.
        let stream = |outer: Stdio, wanted: Stdio| if wanted == Stdio::Null { Stdio::Null } else { outer };
        Ok(Settings {
            name: claim.name,
            path: own.path.clone(),
            cpath: own.cpath.clone(),
            directory: own.directory.clone(),
            nice: own.nice.max(claim.nice).min(19),
            stdout: stream(own.stdout, claim.stdout),
            stderr: stream(own.stderr, claim.stderr),
            limits: claim.limits.least(own.limits).least(granted),
            sandbox: Some(policy),
            pool: None,
        })
    }

    /// What a job that asks for those of `claim` is to know: its settings, and of this charter what they refer to. Or why it gets
    /// none.
    pub fn answer(&self, claim: Settings, granted: Limits) -> Answer {
        let settings = self.narrow(claim, granted)?;
        let policy = settings.sandbox.clone().unwrap_or_default();
        let covers = |pinned: &&Pinned| {
            let mut wanted = policy.read.iter().chain(&policy.write);
            wanted.any(|path| Path::new(OsStr::from_bytes(path)).starts_with(OsStr::from_bytes(&pinned.path)))
        };
        let starter = Charter {
            // Whether it is the same, which is all that is asked of it.
            settings: Settings {
                sandbox: self.settings.sandbox.clone().filter(|own| *own == policy),
                ..Settings::default()
            },
            objects: self.objects.clone(),
            paths: self.paths.iter().filter(covers).cloned().collect(),
            modules: self
                .modules
                .iter()
                .filter(|module| policy.libs.contains(&module.name))
                .cloned()
                .collect(),
            nested: self.nested,
            writes: self.writes,
        };
        Ok((settings, starter))
    }

    /// Whether the job was given all of these objects.
    pub fn has_all(&self, objects: &[u64]) -> bool {
        objects.iter().all(|id| self.objects.contains(id))
    }
}

/// What a job that a sandboxed job starts is told: its settings, and of its starter's charter what concerns it. Or a sentence.
pub type Answer = Result<(Settings, Charter), String>;

/// An answer on its way, with the length of what it answers.
pub fn answer_to_bytes(answer: &(Answer, usize)) -> Vec<u8> {
    // As above.
    postcard::to_stdvec(answer).unwrap_or_default()
}

/// The inverse.
pub fn answer_from_bytes(bytes: &[u8]) -> Option<(Answer, usize)> {
    postcard::from_bytes(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sandbox::SandboxPolicy;
    use super::super::settings::PoolPost;
    use super::*;

    fn charter() -> Charter {
        let limits =
            Limits { memory: Some(64 << 20), cpu: Some(10_000), files: Some(8), ..Limits::default() };
        let settings = Settings {
            path: Some(b"/lua/?.lua".to_vec()),
            directory: Some(b"/srv".to_vec()),
            nice: 3,
            stdout: Stdio::Capture,
            stderr: Stdio::Null,
            limits,
            sandbox: Some(SandboxPolicy { read: vec![b"/usr".to_vec()], ..SandboxPolicy::default() }),
            ..Settings::default()
        };
        Charter { settings, objects: vec![1, 2], ..Charter::default() }
    }

    #[test]
    fn whatever_a_job_claims_it_gets_no_more_than_its_starter_has() {
        let charter = charter();
        let granted =
            Limits { memory: Some(16 << 20), cpu: Some(2_000), result: Some(1 << 20), ..Limits::default() };
        let claim = Settings {
            name: "inner".to_owned(),
            path: Some(b"/evil/?.lua".to_vec()),
            cpath: Some(b"/evil/?.so".to_vec()),
            directory: Some(b"/".to_vec()),
            nice: 0,
            stdout: Stdio::Inherit,
            stderr: Stdio::Inherit,
            limits: Limits { memory: Some(1 << 40), cpu: None, files: Some(1000), ..Limits::default() },
            sandbox: None,
            pool: Some(PoolPost::default()),
        };
        let narrowed = charter.narrow(claim, granted).unwrap();
        let mut own = charter.settings.clone();
        own.sandbox.as_mut().unwrap().jobs -= 1;
        assert_eq!(narrowed.limits, Limits { files: Some(8), ..granted });
        assert_eq!(narrowed, Settings { name: "inner".to_owned(), limits: narrowed.limits, ..own });
    }

    #[test]
    fn a_job_can_ask_for_less() {
        let claim = Settings {
            nice: 7,
            stdout: Stdio::Null,
            limits: Limits { memory: Some(1 << 20), ..Limits::default() },
            sandbox: Some(SandboxPolicy { jobs: 0, ..SandboxPolicy::default() }),
            ..Settings::default()
        };
        let narrowed = charter().narrow(claim.clone(), Limits::default()).unwrap();
        assert_eq!((narrowed.nice, narrowed.stdout, narrowed.sandbox), (7, Stdio::Null, claim.sandbox));
        assert_eq!(narrowed.limits.memory, Some(1 << 20));
    }

    #[test]
    fn what_is_wider_or_comes_from_no_sandbox_is_refused() {
        let wider = Settings {
            sandbox: Some(SandboxPolicy { read: vec![b"/etc".to_vec()], ..SandboxPolicy::default() }),
            ..Settings::default()
        };
        assert!(charter().narrow(wider, Limits::default()).is_err());
        assert!(Charter::default().narrow(Settings::default(), Limits::default()).is_err());
        assert!(charter().has_all(&[2, 1, 1]) && !charter().has_all(&[1, 3]));
    }

    #[test]
    fn a_job_is_told_of_its_starter_what_concerns_it_and_no_more() {
        let pinned = |path: &str| Pinned { path: path.into(), write: false, identity: Identity::default() };
        let module = |name: &str| Module {
            name: name.into(),
            file: b"/f".to_vec(),
            kind: ModuleKind::Text,
            identity: Identity::default(),
            changed: (0, 0),
            size: 0,
        };
        let mut charter = charter();
        charter.settings.name = "starter".to_owned();
        charter.paths = ["/usr", "/srv/other"].map(pinned).to_vec();
        charter.modules = ["a", "b"].map(module).to_vec();
        let policy = charter.settings.sandbox.as_mut().unwrap();
        policy.read.push(b"/srv/other".to_vec());
        policy.env.push((b"SECRET".to_vec(), b"swordfish".to_vec()));
        policy.libs = vec![b"a".to_vec(), b"b".to_vec()];
        let wanted = SandboxPolicy {
            read: vec![b"/usr/lib".to_vec()],
            libs: vec![b"b".to_vec()],
            ..SandboxPolicy::default()
        };
        let claim = Settings { sandbox: Some(wanted), ..Settings::default() };
        let (settings, starter) = charter.answer(claim, Limits::default()).unwrap();
        assert_eq!(settings.sandbox.unwrap().read, [b"/usr/lib".to_vec()]);
        assert_eq!((starter.settings, starter.paths), (Settings::default(), vec![pinned("/usr")]));
        assert_eq!((starter.modules, starter.objects), (vec![module("b")], charter.objects.clone()));
        let refused = Settings {
            sandbox: Some(SandboxPolicy { net: true, ..SandboxPolicy::default() }),
            ..Settings::default()
        };
        assert!(charter.answer(refused, Limits::default()).is_err());
    }

    #[test]
    fn a_charter_comes_back_as_it_was_and_garbage_does_not() {
        let bytes = charter().to_bytes();
        assert_eq!(Charter::from_bytes(&bytes), Some(charter()));
        assert_eq!(Charter::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Charter::from_bytes(&[255; 40]), None);
    }

    proptest! {
        #[test]
        fn no_claim_whatever_widens_anything(
            grants in (any::<bool>(), any::<bool>(), 0u32..9, 0u32..9, -30i32..30),
            paths in prop::collection::vec("(/usr|/etc|/|usr|/usr/[a-z.]{0,3}/?[.]{0,2})", 0..4),
            limits in prop::array::uniform5(any::<Option<u64>>()),
            given in prop::array::uniform5(any::<Option<u64>>()),
        ) {
            let of = |limits: [Option<u64>; 5]| {
                let [memory, cpu, files, fsize, result] = limits;
                Limits { memory, cpu, files, fsize, result }
            };
            let (net, exec, jobs, outer_jobs, nice) = grants;
            let mut charter = charter();
            charter.settings.sandbox.as_mut().unwrap().jobs = outer_jobs;
            let read = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
            let policy = SandboxPolicy { read, net, exec, jobs, ..SandboxPolicy::default() };
            let claim = Settings { limits: of(limits), nice, sandbox: Some(policy), ..Settings::default() };
            let own = charter.settings.clone();
            let Ok(narrowed) = charter.narrow(claim, of(given)) else { return Ok(()) };
            let policy = narrowed.sandbox.unwrap();
            prop_assert!(!policy.net && !policy.exec && policy.write.is_empty());
            prop_assert!(policy.jobs <= outer_jobs.saturating_sub(1));
            for path in policy.read {
                let path = String::from_utf8(path).unwrap();
                prop_assert!(path.starts_with("/usr") && path.split('/').all(|part| part != ".."), "{}", path);
            }
            prop_assert_eq!(narrowed.limits, narrowed.limits.least(own.limits).least(of(given)));
            prop_assert!((3..=19).contains(&narrowed.nice));
            prop_assert_eq!((narrowed.path, narrowed.cpath, narrowed.directory), (own.path, own.cpath, own.directory));
        }

        #[test]
        fn garbage_is_no_charter_or_one_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(charter) = Charter::from_bytes(&bytes) {
                let _ = charter.narrow(Settings::default(), Limits::default());
            }
            if let Some((settings, _)) = Settings::from_bytes(&bytes) {
                let _ = super::Charter { settings: settings.clone(), ..Charter::default() }.narrow(settings, Limits::default());
            }
        }
    }
}
