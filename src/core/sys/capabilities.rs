//! What the running kernel can enforce. Asking changes nothing for the process that asks.

#![allow(unsafe_code)]

use std::sync::OnceLock;

use crate::wire::sandbox::Capabilities;

/// Names what to leave out of [`capabilities`], see [`Capabilities::without`].
pub const MASK: &str = "LLIB_SANDBOX_WITHOUT";

/// Asks once: Landlock for its version, seccomp whether it knows the action that llib needs, /proc whose it is.
pub fn capabilities() -> Capabilities {
    static FOUND: OnceLock<Capabilities> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let found = Capabilities {
            seccomp: has_seccomp(),
            landlock: landlock_version(),
            proc: super::proc::is_own(),
        };
        found.without(&std::env::var(MASK).unwrap_or_default())
    })
}

/// The kernel's release, `uname -r`. Asks once.
pub fn kernel() -> &'static str {
    static RELEASE: OnceLock<String> = OnceLock::new();
    RELEASE.get_or_init(|| rustix::system::uname().release().to_string_lossy().into_owned())
}

fn landlock_version() -> u32 {
    /// LANDLOCK_CREATE_RULESET_VERSION of landlock_create_ruleset(2): makes nothing, returns the version.
    const VERSION: u32 = 1;
    // SAFETY: with this flag the call takes no memory.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION) };
    u32::try_from(version).unwrap_or(0)
}

fn has_seccomp() -> bool {
    // The filters are written for these two.
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return false;
    }
    let known = |action: u32| {
        // SAFETY: the call reads the number; seccomp(2).
        let answer = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0u32, &raw const action)
        };
        answer == 0
    };
    known(libc::SECCOMP_RET_KILL_PROCESS) && known(libc::SECCOMP_RET_TRAP)
}
