//! The wall of paths, and behind the wall of system calls a second one for sockets and signals: landlock(7).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
};
use llib::wire::sandbox::SandboxPolicy;

/// What a name service reads, where it exists.
const NAME_SERVICE: [&str; 7] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
];

/// Denies this process everything that Landlock's interface of this version knows and the policy does not grant.
pub(super) fn enforce(policy: &SandboxPolicy, version: u32) -> Result<(), String> {
    let Some(abi) = abi(version) else { return Ok(()) };
    let sentence = |error: RulesetError| format!("Landlock refused: {error}");
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi));
    if abi >= ABI::V4 && !policy.net {
        rules = rules.and_then(|rules| rules.handle_access(AccessNet::from_all(abi)));
    }
    if abi >= ABI::V6 {
        rules = rules.and_then(|rules| rules.scope(Scope::from_all(abi)));
    }
    let mut rules = rules.and_then(Ruleset::create).map_err(sentence)?;
    for grant in grants(policy, abi) {
        let (path, access) = grant?;
        rules = rules.add_rule(PathBeneath::new(path, access)).map_err(sentence)?;
    }
    rules.restrict_self().map_err(sentence)?;
    Ok(())
}

/// A policy without the paths that are there no more, which grant nothing.
pub(super) fn existing(policy: &SandboxPolicy) -> SandboxPolicy {
    let existing = |paths: &[Vec<u8>]| {
        paths.iter().filter(|path| Path::new(OsStr::from_bytes(path)).exists()).cloned().collect()
    };
    SandboxPolicy { read: existing(&policy.read), write: existing(&policy.write), ..policy.clone() }
}

/// The interface as of a version; of later ones nothing is used.
fn abi(version: u32) -> Option<ABI> {
    let known = [ABI::V1, ABI::V2, ABI::V3, ABI::V4, ABI::V5, ABI::V6];
    let index = usize::try_from(version).ok()?.checked_sub(1)?;
    known.get(index).or(known.last()).copied()
}

type Grant = Result<(PathFd, BitFlags<AccessFs>), String>;

/// Paths with what may be done there.
fn grants(policy: &SandboxPolicy, abi: ABI) -> impl Iterator<Item = Grant> {
    let never = AccessFs::MakeChar
        | AccessFs::MakeBlock
        | AccessFs::MakeSock
        | AccessFs::MakeFifo
        | AccessFs::IoctlDev
        | AccessFs::Execute;
    let execute = if policy.exec { AccessFs::Execute.into() } else { BitFlags::EMPTY };
    let read = AccessFs::ReadFile | AccessFs::ReadDir | execute;
    let write = (AccessFs::from_all(abi) & !never) | execute;
    let read = policy.read.iter().map(move |path| grant(path, read, abi));
    let write = policy.write.iter().map(move |path| grant(path, write, abi));
    let names = NAME_SERVICE.iter().filter(|path| policy.net && Path::new(path).exists());
    read.chain(write).chain(names.map(move |path| grant(path.as_bytes(), AccessFs::ReadFile.into(), abi)))
}

fn grant(path: &[u8], access: BitFlags<AccessFs>, abi: ABI) -> Grant {
    let path = Path::new(OsStr::from_bytes(path));
    let failed = |error: &dyn std::fmt::Display| format!("cannot grant '{}': {error}", path.display());
    let directory = std::fs::metadata(path).map_err(|error| failed(&error))?.is_dir();
    let file = PathFd::new(path).map_err(|error| failed(&error))?;
    Ok((file, if directory { access } else { access & AccessFs::from_file(abi) }))
}
