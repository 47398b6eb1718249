//! The wall of system calls.

use std::io;
use std::sync::OnceLock;

use llib_core::wire::sandbox::SandboxPolicy;

use super::bpf::{Action, Program};
use super::{programs, rules};
use llib_worker_sys::seccomp;

/// What of a policy makes a difference here; each bit has a group of rules.
const FILES: usize = 1;
const WRITE: usize = 2;
const NET: usize = 4;
const EXEC: usize = 8;

/// Programs by these bits, compiled when first used; a zygote's are its workers' too.
static PROGRAMS: [OnceLock<Program>; 16] = [const { OnceLock::new() }; 16];

/// Compiles the usual programs ahead.
pub(super) fn prepare() {
    for bits in [0, FILES, FILES | WRITE] {
        program(bits);
    }
}

/// Installs the filter for a policy; `key` arms timers. From here on every system call is held to it, for good.
pub(super) fn enforce(policy: &SandboxPolicy, key: u32) -> io::Result<()> {
    let mut code = program(bits(policy)).for_process(std::process::id(), key);
    seccomp::catch_denied();
    let installed = seccomp::install(&code);
    // The key stands in it.
    code.fill(libc::sock_filter { code: 0, jt: 0, jf: 0, k: 0 });
    std::hint::black_box(&code);
    installed
}

/// Installs the filter of a process that only reads what somebody asks for. Compiled in the process: few are ever needed.
pub(super) fn enforce_for_reader() -> io::Result<()> {
    seccomp::install(&Program::new(&[rules::READER], Action::Kill).for_process(0, 0))
}

fn bits(policy: &SandboxPolicy) -> usize {
    let bit = |set: bool, bit| if set { bit } else { 0 };
    // The name service opens files.
    bit(policy.files() || policy.net, FILES)
        | bit(!policy.write.is_empty(), WRITE)
        | bit(policy.net, NET)
        | bit(policy.exec, EXEC)
}

fn program(bits: usize) -> &'static Program {
    PROGRAMS[bits].get_or_init(|| compile(bits))
}

fn compile(bits: usize) -> Program {
    let has = |bit: usize| bits & bit != 0;
    if has(EXEC) {
        let network = if has(NET) { rules::INTERNET_SOCKETS } else { programs::NO_NET };
        return Program::new(&[programs::FREE, programs::BOUND, network], Action::Fail(libc::ENOSYS));
    }
    let mut groups = vec![rules::BASE];
    for (bit, group) in
        [(FILES, rules::FILES), (WRITE, rules::WRITE), (NET, rules::NET), (NET, rules::INTERNET_SOCKETS)]
    {
        if has(bit) {
            groups.push(group);
        }
    }
    Program::new(&groups, Action::Deny)
}

#[cfg(test)]
mod tests {
    use super::super::bpf::tests::verdict;
    use super::*;

    macro_rules! calls {
        ($($name:ident)*) => { &[$(libc::$name),*] };
    }

    /// Calls that reach out of the process, with arguments that are nothing special.
    const NEVER: &[i64] = calls! {
        SYS_ptrace SYS_remap_file_pages SYS_process_vm_readv SYS_process_vm_writev SYS_io_uring_setup SYS_unshare
        SYS_setns SYS_mount SYS_bpf SYS_perf_event_open SYS_userfaultfd SYS_keyctl SYS_init_module SYS_reboot
        SYS_shmget SYS_pidfd_getfd SYS_timer_settime
    };

    /// What only a job that may run programs can do.
    const NOT_ALONE: &[i64] = calls! {
        SYS_clone SYS_clone3 SYS_execve SYS_execveat SYS_kill SYS_tkill SYS_rt_sigqueueinfo
        SYS_pidfd_send_signal SYS_rt_sigaction SYS_ftruncate SYS_truncate SYS_memfd_create SYS_mprotect SYS_prctl
        SYS_seccomp SYS_setrlimit SYS_dup SYS_dup3 SYS_chdir SYS_fchmod SYS_timer_create SYS_setsid SYS_setpgid
        SYS_sendfile
    };

    #[test]
    fn every_rule_has_a_reason() {
        let groups = [
            rules::BASE,
            rules::FILES,
            rules::WRITE,
            rules::NET,
            programs::FREE,
            programs::BOUND,
            programs::NO_NET,
            rules::INTERNET_SOCKETS,
            rules::READER,
        ];
        for rule in groups.into_iter().flatten() {
            assert!(rule.why.len() > 5, "rule for calls {:?} has no reason", rule.calls);
        }
    }

    #[test]
    fn what_reaches_other_processes_is_denied_whatever_is_granted() {
        for bits in 0..16 {
            for call in NEVER {
                let verdict = verdict(program(bits), *call, [1; 6]);
                assert_ne!(verdict, Action::Allow, "call {call} with grants {bits:b}");
            }
        }
    }

    #[test]
    fn numbers_that_no_call_has_are_denied_whatever_is_granted() {
        const X32: i64 = 0x4000_0000;
        for bits in 0..16 {
            for call in [1024, X32 + libc::SYS_ptrace, X32 + 512, i64::from(u32::MAX)] {
                assert_eq!(verdict(program(bits), call, [0; 6]), Action::Deny, "{call} with {bits:b}");
            }
        }
    }

    #[test]
    fn without_programs_there_are_no_processes_signals_or_executable_memory() {
        for bits in 0..EXEC {
            let program = program(bits);
            for call in NOT_ALONE {
                assert_eq!(verdict(program, *call, [1; 6]), Action::Deny, "call {call} with grants {bits:b}");
            }
            let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
            let map = |access, flags| verdict(program, libc::SYS_mmap, [0, 4096, access, flags, u64::MAX, 0]);
            assert_eq!(map(3, flags), Action::Allow);
            assert_eq!(map(7, flags), Action::Deny, "executable");
            assert_eq!(map(1, flags), Action::Deny, "read-only memory counts for no limit");
            assert_eq!(map(3, (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as u64), Action::Deny, "shared");
            assert_eq!(map(3, libc::MAP_PRIVATE as u64), Action::Deny, "a file");
            assert_eq!(map(3, flags | libc::MAP_FIXED as u64), Action::Deny, "over something else");
            assert_eq!(map(3, flags | libc::MAP_GROWSDOWN as u64), Action::Deny, "a stack");
            let advise = |advice: i32| verdict(program, libc::SYS_madvise, [0, 4096, advice as u64, 0, 0, 0]);
            assert_eq!(advise(libc::MADV_REMOVE), Action::Deny);
            assert_eq!(advise(libc::MADV_POPULATE_WRITE), Action::Allow);
        }
    }

    #[test]
    fn grants_open_what_they_say_and_no_more() {
        let of = |bits, call, args| verdict(program(bits), call, args);
        for bits in 0..EXEC {
            let has = |bit| bits & bit != 0;
            let expected = |granted| if granted { Action::Allow } else { Action::Deny };
            assert_eq!(of(bits, libc::SYS_openat, [0; 6]), expected(has(FILES)), "{bits:b}");
            assert_eq!(of(bits, libc::SYS_unlinkat, [0; 6]), expected(has(WRITE)), "{bits:b}");
            let own = [4, 0, 0, 0, 0, 0];
            assert_eq!(of(bits, libc::SYS_connect, own), expected(has(NET)), "{bits:b}");
            for call in [libc::SYS_shutdown, libc::SYS_bind, libc::SYS_sendmsg, libc::SYS_setsockopt] {
                assert_eq!(of(bits, call, [3, 0, 0, 0, 0, 0]), Action::Deny, "the zygote's bell, {bits:b}");
            }
            let tcp = [libc::AF_INET as u64, libc::SOCK_STREAM as u64, 0, 0, 0, 0];
            assert_eq!(of(bits, libc::SYS_socket, tcp), expected(has(NET)), "{bits:b}");
            let unix = [libc::AF_UNIX as u64, libc::SOCK_STREAM as u64, 0, 0, 0, 0];
            assert_ne!(of(bits, libc::SYS_socket, unix), Action::Allow, "{bits:b}");
        }
        let raw = [libc::AF_INET as u64, libc::SOCK_RAW as u64, 0, 0, 0, 0];
        assert_ne!(of(FILES | NET, libc::SYS_socket, raw), Action::Allow);
        for protocol in [libc::IPPROTO_ICMP, libc::IPPROTO_SCTP, libc::IPPROTO_MPTCP] {
            for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
                let other = [libc::AF_INET as u64, kind as u64, protocol as u64, 0, 0, 0];
                assert_ne!(of(FILES | NET, libc::SYS_socket, other), Action::Allow, "{protocol}");
                assert_ne!(of(FILES | NET | EXEC, libc::SYS_socket, other), Action::Allow, "{protocol}");
            }
        }
        assert_ne!(of(EXEC, libc::SYS_socket, [libc::AF_INET as u64, 1, 0, 0, 0, 0]), Action::Allow);
        assert_eq!(
            of(FILES | NET | EXEC, libc::SYS_socket, [libc::AF_INET as u64, 1, 0, 0, 0, 0]),
            Action::Allow
        );
        assert_eq!(of(EXEC, libc::SYS_execve, [0; 6]), Action::Allow);
        assert_ne!(of(EXEC, libc::SYS_clone, [libc::CLONE_NEWUSER as u64, 0, 0, 0, 0, 0]), Action::Allow);
        assert_eq!(of(FILES, libc::SYS_lseek, [1, 0, 0, 0, 0, 0]), Action::Fail(libc::ESPIPE));
        assert_eq!(of(0, i64::from(seccomp::LAST_CALL), [0; 6]), Action::Kill);
        assert_eq!(of(EXEC, i64::from(seccomp::LAST_CALL), [0; 6]), Action::Kill);
    }
}
