//! What a sandboxed job may reach, and what a kernel can enforce of that, as plain data.

use serde::{Deserialize, Serialize};

/// Jobs that a sandboxed job may have at once where nothing else is given.
pub const JOBS: u32 = 4;

/// The most jobs that may be granted to one.
pub const MOST_JOBS: u32 = 64;

/// What a sandbox grants. Everything else is denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxPolicy {
    /// Absolute paths that may be read, with all below.
    pub read: Vec<Vec<u8>>,
    /// Absolute paths that may be read, written, created and removed, with all below.
    pub write: Vec<Vec<u8>>,
    /// Whether internet sockets may be used.
    pub net: bool,
    /// Whether programs may be run.
    pub exec: bool,
    /// Environment variables, name and value.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// Modules that may be required.
    pub libs: Vec<Vec<u8>>,
    /// Jobs in the same sandbox that the job may have at once.
    pub jobs: u32,
    /// Whether to run with what the kernel can enforce, if that is not all.
    pub best_effort: bool,
}

impl Default for SandboxPolicy {
    fn default() -> SandboxPolicy {
        SandboxPolicy {
            read: Vec::new(),
            write: Vec::new(),
            net: false,
            exec: false,
            env: Vec::new(),
            libs: Vec::new(),
            jobs: JOBS,
            best_effort: false,
        }
    }
}

impl SandboxPolicy {
    /// Whether any file can be opened.
    pub fn files(&self) -> bool {
        !self.read.is_empty() || !self.write.is_empty()
    }

    /// This policy as one inside `outer`. The error names what `outer` does not grant.
    ///
    /// Paths are compared as they are written; what stands behind them is for the kernel to see, which holds a process to
    /// both. Variables have the value that they have outside, and what the kernel cannot enforce is settled there, too.
    pub fn within(mut self, outer: &SandboxPolicy) -> Result<SandboxPolicy, String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let refuse = |key: &str, what: &str| {
            Err(format!(
                "option 'sandbox': '{key}' cannot grant {what}, which this job's own sandbox does not"
            ))
        };
        for (key, paths, granted) in [
            ("read", &self.read, [&outer.read, &outer.write]),
            ("write", &self.write, [&outer.write, &outer.write]),
        ] {
            let missing =
                paths.iter().find(|path| !granted.into_iter().flatten().any(|root| is_below(path, root)));
            if let Some(path) = missing {
                return refuse(key, &format!("'{}'", text(path)));
            }
        }
        for (key, wanted, granted) in [("net", self.net, outer.net), ("exec", self.exec, outer.exec)] {
            if wanted && !granted {
                return refuse(key, "that");
            }
        }
        if let Some(module) = self.libs.iter().find(|module| !outer.libs.contains(module)) {
            return refuse("libs", &format!("'{}'", text(module)));
        }
        if let Some((name, _)) = self.env.iter().find(|variable| !outer.env.contains(variable)) {
            return refuse("env", &format!("'{}'", text(name)));
        }
        if self.jobs > outer.jobs {
            return refuse("jobs", &format!("{} jobs", self.jobs));
        }
        self.best_effort = outer.best_effort;
        Ok(self)
    }
}

/// Whether an absolute path, as it is written, is `root` or below it.
fn is_below(path: &[u8], root: &[u8]) -> bool {
    let parts = |path: &'_ [u8]| -> Vec<Vec<u8>> {
        let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
        parts.map(<[u8]>::to_vec).collect()
    };
    let (path, root) = (Some(path).filter(|path| path.starts_with(b"/")).map(parts), parts(root));
    path.is_some_and(|path| path.starts_with(&root) && !path.iter().any(|part| part == b".."))
}

/// What the running kernel can enforce on a process without privileges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Filtering system calls, with a signal for what is denied: seccomp(2).
    pub seccomp: bool,
    /// Version of Landlock's interface; 0 without Landlock.
    pub landlock: u32,
    /// Whether there is a /proc of this process's own PID namespace.
    pub proc: bool,
}

/// A part of the sandbox that depends on the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The key in `thread.capabilities()`.
    pub key: &'static str,
    /// The version of Landlock's interface that has it; 0 for what is not of Landlock.
    landlock: u32,
    /// What it is, and since when, for a message.
    pub words: &'static str,
}

macro_rules! features {
    ($($name:ident = $key:literal, $landlock:literal, $words:literal;)*) => {
        $(#[doc = $words] pub const $name: Feature = Feature { key: $key, landlock: $landlock, words: $words };)*
        /// All of them.
        pub const FEATURES: &[Feature] = &[$($name),*];
    };
}

features! {
    PROC = "proc", 0, "a /proc of this PID namespace, to find what a job leaves running and to measure its memory";
    SECCOMP = "seccomp", 0, "seccomp filters for system calls (Linux 4.14)";
    FILES = "files", 1, "Landlock for files (Linux 5.13)";
    TRUNCATE = "truncate", 3, "Landlock for truncation of files (Linux 6.2)";
    TCP = "tcp", 4, "Landlock for TCP (Linux 6.7)";
    DEVICES = "devices", 5, "Landlock for device control (Linux 6.10)";
    SCOPES = "scopes", 6, "Landlock for signals and abstract sockets (Linux 6.12)";
}

impl Capabilities {
    /// Whether a feature is there.
    pub fn has(&self, feature: Feature) -> bool {
        match feature {
            PROC => self.proc,
            SECCOMP => self.seccomp,
            _ => self.landlock >= feature.landlock,
        }
    }

    /// What is missing for a policy.
    ///
    /// Without grants seccomp denies every call that Landlock watches, and Landlock is the second wall; with
    /// files, Landlock is the only one. A program that may be run needs nearly all system calls, so
    /// everything depends on Landlock then.
    pub fn missing(&self, policy: &SandboxPolicy) -> Vec<Feature> {
        let mut needed = vec![PROC, SECCOMP, FILES];
        if policy.files() || policy.net || policy.exec {
            needed.push(TRUNCATE);
        }
        if policy.exec {
            needed.extend([DEVICES, SCOPES]);
        }
        needed.retain(|feature| !self.has(*feature));
        needed
    }

    /// Takes away what `words` names, separated by commas: `proc`, `seccomp`, `landlock`, or `landlock:N` for a kernel
    /// that has no more than version N. A testing aid: nothing can be added this way.
    pub fn without(mut self, words: &str) -> Capabilities {
        for word in words.split(',').map(str::trim) {
            match word.split_once(':').unwrap_or((word, "0")) {
                ("proc", _) => self.proc = false,
                ("seccomp", _) => self.seccomp = false,
                ("landlock", version) => self.landlock = self.landlock.min(version.parse().unwrap_or(0)),
                _ => {}
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_depends_on_what_is_granted() {
        let keys = |landlock, policy: &SandboxPolicy| {
            let missing = Capabilities { seccomp: true, landlock, proc: true }.missing(policy);
            missing.iter().map(|feature| feature.key).collect::<Vec<_>>()
        };
        let plain = SandboxPolicy::default();
        let files = SandboxPolicy { read: vec![b"/usr".to_vec()], ..SandboxPolicy::default() };
        let exec = SandboxPolicy { exec: true, ..files.clone() };
        assert_eq!(keys(1, &plain), [""; 0]);
        assert_eq!(keys(0, &plain), ["files"]);
        assert_eq!(keys(2, &files), ["truncate"]);
        assert_eq!(keys(3, &files), [""; 0]);
        assert_eq!(keys(4, &exec), ["devices", "scopes"]);
        assert_eq!(keys(6, &exec), [""; 0]);
        assert_eq!(Capabilities::default().missing(&plain), [PROC, SECCOMP, FILES]);
    }

    #[test]
    fn a_policy_within_another_is_never_wider() {
        let paths = |paths: &[&str]| paths.iter().map(|path| path.as_bytes().to_vec()).collect::<Vec<_>>();
        let outer = SandboxPolicy {
            read: paths(&["/usr/share", "/etc/hosts"]),
            write: paths(&["/tmp/out/"]),
            env: vec![(b"LANG".to_vec(), b"C".to_vec())],
            libs: paths(&["cjson"]),
            net: true,
            jobs: 2,
            ..SandboxPolicy::default()
        };
        let none = SandboxPolicy { jobs: 0, ..SandboxPolicy::default() };
        let within = |policy: SandboxPolicy| policy.within(&outer);
        assert_eq!(within(none.clone()), Ok(none.clone()));
        assert_eq!(within(outer.clone()), Ok(outer.clone()));
        for read in ["/usr/share", "/usr/share/dict", "/usr//share/./dict", "/etc/hosts", "/tmp/out/x"] {
            assert!(within(SandboxPolicy { read: paths(&[read]), ..none.clone() }).is_ok(), "{read}");
        }
        for read in ["/", "/usr", "/usr/shared", "/usr/share/../lib", "usr/share", "", "/etc/hosts2", "/tmp"]
        {
            let refused = within(SandboxPolicy { read: paths(&[read]), ..none.clone() });
            assert!(refused.is_err_and(|error| error.contains("'read' cannot grant")), "{read}");
        }
        let wider = [
            SandboxPolicy { write: paths(&["/usr/share"]), ..none.clone() },
            SandboxPolicy { env: vec![(b"HOME".to_vec(), b"/".to_vec())], ..none.clone() },
            SandboxPolicy { env: vec![(b"LANG".to_vec(), b"de".to_vec())], ..none.clone() },
            SandboxPolicy { libs: paths(&["lfs"]), ..none.clone() },
            SandboxPolicy { exec: true, ..none.clone() },
            SandboxPolicy { jobs: 3, ..none.clone() },
        ];
        for policy in wider {
            assert!(within(policy.clone()).is_err(), "{policy:?}");
        }
        assert!(SandboxPolicy { net: true, ..none.clone() }.within(&none).is_err());
        let lax = SandboxPolicy { best_effort: true, ..none.clone() };
        assert_eq!(lax.within(&none), Ok(none), "what the kernel lacks was settled outside");
    }

    #[test]
    fn masking_takes_away_and_never_adds() {
        let all = Capabilities { seccomp: true, landlock: 6, proc: true };
        assert_eq!(all.without(""), all);
        assert_eq!(all.without("landlock:3"), Capabilities { landlock: 3, ..all });
        assert_eq!(all.without("landlock:99"), all);
        assert_eq!(all.without("landlock, seccomp,proc"), Capabilities::default());
        assert_eq!(Capabilities::default().without("landlock:6"), Capabilities::default());
    }
}
