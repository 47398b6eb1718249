//! Which system calls a sandboxed job may make: data, a reason beside each rule.
//!
//! What has no rule is denied. Groups are added to [`BASE`] as the policy grants something; a later group
//! overrides an earlier one. Where a policy lets a job run programs, which need nearly everything, it is the
//! have rules of their own: [`super::programs`]. Calls that newer architectures have done without stand behind a `cfg`.

use libc::*;

use super::bpf::Action::{Allow, Deny, Fail, Kill};
use super::bpf::{Action, Check, Rule};
use llib_worker_sys::seccomp::LAST_CALL;

/// A group of rules: what happens to which calls, and why.
macro_rules! rules {
    ($($what:expr, $(#[$attribute:meta])? [$($call:ident)*], $why:literal;)*) => {
        &[$($(#[$attribute])? Rule { calls: &[$($call),*], why: $why, ..$what }),*]
    };
}

pub(super) const ALLOW: Rule = Rule { calls: &[], when: &[], then: Allow, otherwise: Deny, why: "" };
pub(super) const DENY: Rule = Rule { then: Deny, ..ALLOW };

pub(super) const fn fail(error: i32) -> Rule {
    Rule { then: Fail(error), ..ALLOW }
}

pub(super) const fn when(when: &'static [Check]) -> Rule {
    Rule { when, ..ALLOW }
}

pub(super) const fn when_or(when: &'static [Check], otherwise: Action) -> Rule {
    Rule { when, otherwise, ..ALLOW }
}

/// What the handler of denied calls does last.
pub(super) const END: Rule = Rule { then: Kill, otherwise: Kill, ..ALLOW };
pub(super) const LAST: i64 = LAST_CALL as i64;

const PRIVATE_MEMORY: u32 = (MAP_PRIVATE | MAP_ANONYMOUS).cast_unsigned();
/// Flags that only say how the memory will be used.
const HINTS: u32 = (MAP_NORESERVE | MAP_POPULATE | MAP_STACK).cast_unsigned();
const READ_WRITE: u32 = (PROT_READ | PROT_WRITE).cast_unsigned();

/// Advice about memory that changes no other process's.
const ADVICE: &[u32] = &[
    MADV_DONTNEED.cast_unsigned(),
    MADV_FREE.cast_unsigned(),
    MADV_HUGEPAGE.cast_unsigned(),
    MADV_NOHUGEPAGE.cast_unsigned(),
    MADV_POPULATE_READ.cast_unsigned(),
    MADV_POPULATE_WRITE.cast_unsigned(),
];

/// FUTEX_WAIT, FUTEX_WAKE and their variants with a bit set.
const FUTEX: &[u32] = &{
    const PRIVATE: u32 = FUTEX_PRIVATE_FLAG.cast_unsigned();
    const REAL_TIME: u32 = FUTEX_CLOCK_REALTIME.cast_unsigned();
    const BITS: u32 = FUTEX_WAIT_BITSET.cast_unsigned();
    let wake = FUTEX_WAKE_BITSET.cast_unsigned();
    [0, 1, BITS, wake, PRIVATE, PRIVATE | 1, PRIVATE | BITS, PRIVATE | wake, BITS | REAL_TIME]
};

/// What every job needs: memory, time, locks, its result.
pub(super) const BASE: &[Rule] = rules! {
    END, [LAST], "the end of a denied call";
    ALLOW, [SYS_brk], "the C library's memory";
    when(&[Check::In(2, &[READ_WRITE]), Check::Masked(3, !HINTS, PRIVATE_MEMORY)]), [SYS_mmap],
        "private memory. Never executable, so no code can be brought in; never shared or read-only, so that \
         the limit of private memory counts all of it; never at a fixed place, over something else";
    ALLOW, [SYS_munmap], "giving memory back";
    fail(ENOMEM), [SYS_mremap],
        "a mapping of shared memory could be grown over the mailboxes of other jobs; allocators fall back \
         to copying";
    when(&[Check::In(2, ADVICE)]), [SYS_madvise],
        "huge pages, and reserving pages before they are written. MADV_REMOVE would punch holes into what \
         the host has mapped";
    when(&[Check::In(1, FUTEX)]), [SYS_futex],
        "waiting and waking; the other operations are a frequent place of kernel bugs";
    ALLOW, [SYS_futex_waitv], "waiting for a lock and its owner's death together";
    ALLOW, [SYS_clock_gettime], "os.clock, and every clock where the vDSO has none";
    ALLOW, [SYS_clock_getres], "resolution of clocks";
    ALLOW, [SYS_gettimeofday], "os.time where the vDSO has none";
    ALLOW, #[cfg(target_arch = "x86_64")] [SYS_time], "os.time where the vDSO has none";
    ALLOW, [SYS_clock_nanosleep SYS_nanosleep], "sleeping";
    ALLOW, [SYS_restart_syscall], "the kernel continues an interrupted sleep with it";
    ALLOW, [SYS_sched_yield], "spinning politely";
    ALLOW, [SYS_getcpu], "harmless";
    ALLOW, [SYS_getrandom], "hash seeds";
    ALLOW, [SYS_getpid SYS_gettid], "its own id";
    ALLOW, [SYS_getrusage SYS_times], "its own usage";
    ALLOW, [SYS_write SYS_writev], "standard output and error, and ringing the zygote; nothing else is open";
    ALLOW, [SYS_read], "standard input, which is empty";
    ALLOW, [SYS_close], "closing what is its own";
    fail(ESPIPE), [SYS_lseek], "streams ask where they are; those of the host must not be moved";
    when_or(&[Check::In(1, &[TIOCOUTQ as u32])], Fail(ENOTTY)), [SYS_ioctl],
        "SIOCOUTQ: how much of what was printed has not been passed on. Streams also ask whether they are terminals";
    ALLOW, [SYS_fstat], "streams ask for the size of blocks";
    fail(EACCES), [SYS_newfstatat SYS_statx],
        "the C library asks about open files with it. Landlock does not watch it, so it would tell of every file";
    when(&[Check::In(1, &[1, 2, 3])]), [SYS_fcntl],
        "F_GETFD, F_SETFD, F_GETFL. Not F_SETFL: flags belong to the open file, which the host shares";
    when_or(&[Check::In(0, &[0])], Fail(EPERM)), [SYS_prlimit64],
        "its own limits, which can only be made tighter without privileges";
    when(&[Check::Key(1)]), [SYS_timer_settime],
        "llib arms the limit of CPU time when the job is there, with a number that it then forgets";
    when(&[Check::In(0, &[PR_SET_NAME.cast_unsigned()])]), [SYS_prctl], "its name in process lists";
    when(&[Check::In(0, &[SIGXFSZ.cast_unsigned()])]), [SYS_rt_sigaction],
        "llib ignores SIGXFSZ where fsize is given";
    ALLOW, [SYS_sched_getaffinity], "counting processors";
    ALLOW, [SYS_rt_sigprocmask], "abort and longjmp of the C library; SIGKILL cannot be blocked";
    ALLOW, [SYS_rt_sigreturn], "the end of a signal handler that the kernel started";
    when(&[Check::OwnPid(0)]), [SYS_tgkill], "abort of the C library";
    ALLOW, [SYS_exit SYS_exit_group], "its end";
};

/// All that a process needs which reads what a sandboxed job asks for.
pub(super) const READER: &[Rule] = rules! {
    ALLOW, [SYS_write SYS_exit SYS_exit_group], "its answer, and its end";
    ALLOW, [SYS_brk SYS_munmap], "memory of its own";
    when(&[Check::In(2, &[READ_WRITE]), Check::Masked(3, !HINTS, PRIVATE_MEMORY)]), [SYS_mmap], "the same";
    fail(ENOMEM), [SYS_mremap], "a mapping of a file could grow; the allocator does without";
};

/// With paths that may be read or written. Landlock decides which.
pub(super) const FILES: &[Rule] = rules! {
    ALLOW, [SYS_openat], "opening files; Landlock watches paths";
    ALLOW, #[cfg(target_arch = "x86_64")] [SYS_open], "opening files; Landlock watches paths";
    when_or(&[Check::AtLeast(0, 3)], Fail(ESPIPE)), [SYS_lseek],
        "file:seek, but not in the host's standard streams";
    ALLOW, [SYS_pread64 SYS_readv], "reading files";
    when(&[Check::AtLeast(0, 4), Check::AtLeast(1, 4)]), [SYS_dup3],
        "the C library opens a file anew with it; not for the streams and the zygote's bell";
    ALLOW, [SYS_getdents64], "listing granted directories";
    ALLOW, [SYS_fadvise64], "reading ahead";
    fail(EACCES), [SYS_faccessat SYS_faccessat2 SYS_readlinkat], "Landlock does not watch it";
    fail(EACCES), #[cfg(target_arch = "x86_64")] [SYS_access SYS_readlink SYS_stat SYS_lstat],
        "Landlock does not watch it";
    ALLOW, [SYS_getcwd], "relative names";
};

/// With paths that may be written.
pub(super) const WRITE: &[Rule] = rules! {
    ALLOW, [SYS_unlinkat], "os.remove; Landlock watches paths";
    ALLOW, [SYS_renameat2 SYS_renameat], "os.rename; Landlock watches paths";
    ALLOW, [SYS_mkdirat], "making directories; Landlock watches paths";
    ALLOW, #[cfg(target_arch = "x86_64")] [SYS_unlink SYS_rmdir SYS_rename SYS_mkdir],
        "the same; Landlock watches paths";
    when_or(&[Check::AtLeast(0, 3)], Fail(ESPIPE)), [SYS_pwrite64],
        "writing files, but not over what the host has printed";
    ALLOW, [SYS_fsync SYS_fdatasync], "writing files";
};

/// Sockets that programs ask for and can do without.
pub(super) const OTHER_SOCKETS: Action = Fail(EAFNOSUPPORT);
const INTERNET: &[u32] = &[AF_INET.cast_unsigned(), AF_INET6.cast_unsigned()];
/// Streams and datagrams.
const TYPES: &[u32] = &with_flags(SOCK_STREAM, SOCK_DGRAM);

/// Two types of sockets, alone and with the flags that may go with them.
pub(super) const fn with_flags(one: i32, other: i32) -> [u32; 8] {
    const BOTH: i32 = SOCK_CLOEXEC | SOCK_NONBLOCK;
    let (one, other) = (one.cast_unsigned(), other.cast_unsigned());
    let (cloexec, nonblock, both) =
        (SOCK_CLOEXEC.cast_unsigned(), SOCK_NONBLOCK.cast_unsigned(), BOTH.cast_unsigned());
    [one, one | cloexec, one | nonblock, one | both, other, other | cloexec, other | nonblock, other | both]
}

/// What the type says, TCP and UDP.
const PROTOCOLS: &[u32] = &[0, IPPROTO_TCP.cast_unsigned(), IPPROTO_UDP.cast_unsigned()];

/// With `net`: which sockets there are.
pub(super) const INTERNET_SOCKETS: &[Rule] = rules! {
    when_or(&[Check::In(0, INTERNET), Check::In(1, TYPES), Check::In(2, PROTOCOLS)], OTHER_SOCKETS), [SYS_socket],
        "TCP and UDP; not Unix sockets, behind which the machine's services are, no packets, and no other protocols";
};

/// Descriptors of the job's own: the streams and the zygote's bell, a socket, have lower numbers.
const OWN: &[Check] = &[Check::AtLeast(0, 4)];

/// With `net`: using them, and what a name service needs.
pub(super) const NET: &[Rule] = rules! {
    when(OWN), [
        SYS_connect SYS_bind SYS_listen SYS_accept SYS_accept4 SYS_sendto SYS_recvfrom SYS_sendmsg SYS_recvmsg
        SYS_shutdown SYS_getsockname SYS_getpeername SYS_getsockopt SYS_setsockopt
    ], "sockets of its own";
    when(OWN), [SYS_sendmmsg], "the name service";
    ALLOW, [SYS_ppoll SYS_pselect6], "waiting for sockets";
    ALLOW, #[cfg(target_arch = "x86_64")] [SYS_poll SYS_select], "waiting for sockets";
    when_or(&[Check::In(1, &[1, 2, 3, 4]), Check::AtLeast(0, 4)], Fail(EPERM)), [SYS_fcntl],
        "F_SETFL too: sockets that do not block; not for what is shared with the host";
};
