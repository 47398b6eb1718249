//! Privileges: none, also for root, and none to be gained.

use std::io;

use llib_core::wire::sandbox::SandboxPolicy;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

/// Drops the capabilities of capabilities(7). Root keeps those that let it pass over the owners of files, where
/// files are granted: which ones Landlock decides, and an owner would be in the way of that.
pub(super) fn enforce(policy: &SandboxPolicy) -> io::Result<()> {
    let mut kept = CapabilitySet::empty();
    if policy.files() {
        kept |= CapabilitySet::DAC_READ_SEARCH;
    }
    if !policy.write.is_empty() {
        kept |= CapabilitySet::DAC_OVERRIDE;
    }
    let sets = capabilities(None)?;
    if !sets.permitted.is_empty() || !sets.inheritable.is_empty() {
        let kept = kept & sets.permitted;
        let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
        set_capabilities(None, sets)?;
    }
    // Its memory is no other process's, and no core file's.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_no_new_privs(true)?;
    Ok(())
}
