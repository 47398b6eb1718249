//! The wall of paths, and behind the wall of system calls a second one for sockets and signals: landlock(7).

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
};
use llib_core::wire::sandbox::SandboxPolicy;

use super::grants::Grant;

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

/// Denies this process everything that Landlock's interface of this version knows and the policy does not grant. `grants`
/// are the files of the policy.
pub(super) fn enforce(policy: &SandboxPolicy, grants: &[Grant], version: u32) -> Result<(), String> {
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
    for grant in grants {
        rules =
            rules.add_rule(PathBeneath::new(&grant.file, access(policy, grant, abi))).map_err(sentence)?;
    }
    for path in NAME_SERVICE.iter().filter(|path| policy.net && Path::new(path).exists()) {
        let file = PathFd::new(path).map_err(|error| format!("cannot grant '{path}': {error}"))?;
        rules = rules.add_rule(PathBeneath::new(file, AccessFs::ReadFile)).map_err(sentence)?;
    }
    rules.restrict_self().map_err(sentence)?;
    Ok(())
}

/// The interface as of a version; of later ones nothing is used.
fn abi(version: u32) -> Option<ABI> {
    let known = [ABI::V1, ABI::V2, ABI::V3, ABI::V4, ABI::V5, ABI::V6];
    let index = usize::try_from(version).ok()?.checked_sub(1)?;
    known.get(index).or(known.last()).copied()
}

/// What may be done with a granted file, or below it.
fn access(policy: &SandboxPolicy, grant: &Grant, abi: ABI) -> BitFlags<AccessFs> {
    let never = AccessFs::MakeChar
        | AccessFs::MakeBlock
        | AccessFs::MakeSock
        | AccessFs::MakeFifo
        | AccessFs::IoctlDev
        | AccessFs::Execute;
    let execute = if policy.exec { AccessFs::Execute.into() } else { BitFlags::EMPTY };
    let access = if grant.write {
        (AccessFs::from_all(abi) & !never) | execute
    } else {
        AccessFs::ReadFile | AccessFs::ReadDir | execute
    };
    if grant.directory { access } else { access & AccessFs::from_file(abi) }
}
