//! The environment: what was granted, and nothing of the host's, also not in the memory where it began.

use llib_core::wire::sandbox::SandboxPolicy;

use llib_worker_sys::environment;

/// Replaces the environment. The time zone stays what the C library has read already: without a variable it would
/// look for the zone's file again each time.
pub(super) fn enforce(policy: &SandboxPolicy) {
    let zone = std::env::var_os("TZ").unwrap_or_else(|| ":/etc/localtime".into());
    environment::erase();
    let zone = (b"TZ".to_vec(), std::os::unix::ffi::OsStringExt::into_vec(zone));
    for (name, value) in std::iter::once(&zone).chain(&policy.env) {
        environment::set(name, value);
    }
}
