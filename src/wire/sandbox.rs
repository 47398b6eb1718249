//! What a sandboxed job may reach, and what a kernel can enforce of that, as plain data.

use serde::{Deserialize, Serialize};

/// What a sandbox grants. Everything else is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whether to run with what the kernel can enforce, if that is not all.
    pub best_effort: bool,
}

impl SandboxPolicy {
    /// Whether any file can be opened.
    pub fn files(&self) -> bool {
        !self.read.is_empty() || !self.write.is_empty()
    }
}

/// What the running kernel can enforce on a process without privileges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Filtering system calls, with a signal for what is denied: seccomp(2).
    pub seccomp: bool,
    /// Version of Landlock's interface; 0 without Landlock.
    pub landlock: u32,
}

/// A part of the sandbox that depends on the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The key in `thread.capabilities()`.
    pub key: &'static str,
    /// What it is, and since when, for a message.
    pub words: &'static str,
}

macro_rules! features {
    ($($(#[$meta:meta])* $name:ident = $key:literal, $words:literal;)*) => {
        $($(#[$meta])* pub const $name: Feature = Feature { key: $key, words: $words };)*
        /// All of them.
        pub const FEATURES: &[Feature] = &[$($name),*];
    };
}

features! {
    /// Seccomp filters.
    SECCOMP = "seccomp", "seccomp filters for system calls (Linux 4.14)";
    /// Landlock ABI 1.
    FILES = "files", "Landlock for files (Linux 5.13)";
    /// Landlock ABI 3.
    TRUNCATE = "truncate", "Landlock for truncation of files (Linux 6.2)";
    /// Landlock ABI 4.
    TCP = "tcp", "Landlock for TCP (Linux 6.7)";
    /// Landlock ABI 5.
    DEVICES = "devices", "Landlock for device control (Linux 6.10)";
    /// Landlock ABI 6.
    SCOPES = "scopes", "Landlock for signals and abstract sockets (Linux 6.12)";
}

impl Capabilities {
    /// Whether a feature is there.
    pub fn has(&self, feature: Feature) -> bool {
        match feature {
            SECCOMP => self.seccomp,
            FILES => self.landlock >= 1,
            TRUNCATE => self.landlock >= 3,
            TCP => self.landlock >= 4,
            DEVICES => self.landlock >= 5,
            _ => self.landlock >= 6,
        }
    }

    /// What is missing for a policy.
    ///
    /// Without grants seccomp denies every call that Landlock watches, and Landlock is the second wall; with
    /// files, Landlock is the only one. A program that may be run needs nearly all system calls, so
    /// everything depends on Landlock then.
    pub fn missing(&self, policy: &SandboxPolicy) -> Vec<Feature> {
        let mut needed = vec![SECCOMP, FILES];
        if policy.files() || policy.net || policy.exec {
            needed.push(TRUNCATE);
        }
        if policy.exec {
            needed.extend([DEVICES, SCOPES]);
        }
        needed.retain(|feature| !self.has(*feature));
        needed
    }

    /// Takes away what `words` names, separated by commas: `seccomp`, `landlock`, or `landlock:N` for a kernel
    /// that has no more than version N. A testing aid: nothing can be added this way.
    pub fn without(mut self, words: &str) -> Capabilities {
        for word in words.split(',').map(str::trim) {
            match word.split_once(':').unwrap_or((word, "0")) {
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
            let missing = Capabilities { seccomp: true, landlock }.missing(policy);
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
        assert_eq!(Capabilities::default().missing(&plain), [SECCOMP, FILES]);
    }

    #[test]
    fn masking_takes_away_and_never_adds() {
        let all = Capabilities { seccomp: true, landlock: 6 };
        assert_eq!(all.without(""), all);
        assert_eq!(all.without("landlock:3"), Capabilities { seccomp: true, landlock: 3 });
        assert_eq!(all.without("landlock:99"), all);
        assert_eq!(all.without("landlock, seccomp"), Capabilities::default());
        assert_eq!(Capabilities::default().without("landlock:6"), Capabilities::default());
    }
}
