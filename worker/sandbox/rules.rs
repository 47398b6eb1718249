//! Which system calls a sandboxed job may make: data, a reason beside each rule.
//!
//! What has no rule is denied. Groups are added to [`BASE`] as the policy grants something; a later group
//! overrides an earlier one. Where a policy lets a job run programs, which need nearly everything, it is the
//! other way round: [`PROGRAMS`] says what stays denied.

use super::bpf::Action::{Allow, Deny, Fail, Kill};
use super::bpf::{Action, Check, NO_CALLS, Rule};

/// A number that no system call has; the handler of denied calls makes it to be killed.
pub(crate) const LAST_CALL: u32 = 0x1eaf_dead;

const fn allow(call: i64, why: &'static str) -> Rule {
    Rule { call, when: &[], then: Allow, otherwise: Deny, why }
}

const fn fail(call: i64, error: i32, why: &'static str) -> Rule {
    Rule { call, when: &[], then: Fail(error), otherwise: Deny, why }
}

const fn when(call: i64, when: &'static [Check], why: &'static str) -> Rule {
    Rule { call, when, then: Allow, otherwise: Deny, why }
}

const fn when_or(call: i64, when: &'static [Check], otherwise: Action, why: &'static str) -> Rule {
    Rule { call, when, then: Allow, otherwise, why }
}

const fn deny(call: i64, why: &'static str) -> Rule {
    Rule { call, when: &[], then: Deny, otherwise: Deny, why }
}

const PRIVATE_MEMORY: u32 = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).cast_unsigned();
/// Flags that only say how the memory will be used.
const HINTS: u32 = (libc::MAP_NORESERVE | libc::MAP_POPULATE | libc::MAP_STACK).cast_unsigned();
const READ_WRITE: u32 = (libc::PROT_READ | libc::PROT_WRITE).cast_unsigned();

/// Advice about memory that changes no other process's.
const ADVICE: &[u32] = &[
    libc::MADV_DONTNEED.cast_unsigned(),
    libc::MADV_FREE.cast_unsigned(),
    libc::MADV_HUGEPAGE.cast_unsigned(),
    libc::MADV_NOHUGEPAGE.cast_unsigned(),
    libc::MADV_POPULATE_READ.cast_unsigned(),
    libc::MADV_POPULATE_WRITE.cast_unsigned(),
];

/// FUTEX_WAIT, FUTEX_WAKE and their variants with a bit set.
const FUTEX: &[u32] = &{
    const PRIVATE: u32 = libc::FUTEX_PRIVATE_FLAG.cast_unsigned();
    const REAL_TIME: u32 = libc::FUTEX_CLOCK_REALTIME.cast_unsigned();
    const BITS: u32 = libc::FUTEX_WAIT_BITSET.cast_unsigned();
    let wake = libc::FUTEX_WAKE_BITSET.cast_unsigned();
    [0, 1, BITS, wake, PRIVATE, PRIVATE | 1, PRIVATE | BITS, PRIVATE | wake, BITS | REAL_TIME]
};

/// What every job needs: memory, time, locks, its result.
pub(super) const BASE: &[Rule] = &[
    Rule { call: LAST_CALL as i64, when: &[], then: Kill, otherwise: Kill, why: "the end of a denied call" },
    allow(libc::SYS_brk, "the C library's memory"),
    when(
        libc::SYS_mmap,
        &[Check::In(2, &[READ_WRITE]), Check::Masked(3, !HINTS, PRIVATE_MEMORY)],
        "private memory. Never executable, so no code can be brought in; never shared or read-only, so that \
         the limit of private memory counts all of it; never at a fixed place, over something else",
    ),
    allow(libc::SYS_munmap, "giving memory back"),
    fail(
        libc::SYS_mremap,
        libc::ENOMEM,
        "a mapping of shared memory could be grown over the mailboxes of other jobs; allocators fall back \
         to copying",
    ),
    when(
        libc::SYS_madvise,
        &[Check::In(2, ADVICE)],
        "huge pages, and reserving pages before they are written. MADV_REMOVE would punch holes into what \
         the host has mapped",
    ),
    when(
        libc::SYS_futex,
        &[Check::In(1, FUTEX)],
        "waiting and waking; the other operations are a frequent place of kernel bugs",
    ),
    allow(libc::SYS_futex_waitv, "waiting for a lock and its owner's death together"),
    allow(libc::SYS_clock_gettime, "os.clock, and every clock where the vDSO has none"),
    allow(libc::SYS_clock_getres, "resolution of clocks"),
    allow(libc::SYS_gettimeofday, "os.time where the vDSO has none"),
    allow(libc::SYS_clock_nanosleep, "sleeping"),
    allow(libc::SYS_nanosleep, "sleeping"),
    allow(libc::SYS_restart_syscall, "the kernel continues an interrupted sleep with it"),
    allow(libc::SYS_sched_yield, "spinning politely"),
    allow(libc::SYS_getcpu, "harmless"),
    allow(libc::SYS_getrandom, "hash seeds"),
    allow(libc::SYS_getpid, "its own id"),
    allow(libc::SYS_gettid, "its own id"),
    allow(libc::SYS_getrusage, "its own usage"),
    allow(libc::SYS_times, "its own usage"),
    allow(libc::SYS_write, "standard output and error, and ringing the zygote; nothing else is open"),
    allow(libc::SYS_writev, "the same"),
    allow(libc::SYS_read, "standard input, which is empty"),
    allow(libc::SYS_close, "closing what is its own"),
    fail(libc::SYS_lseek, libc::ESPIPE, "streams ask where they are; those of the host must not be moved"),
    fail(
        libc::SYS_ioctl,
        libc::ENOTTY,
        "streams ask whether they are terminals; TIOCSTI would type into one",
    ),
    allow(libc::SYS_fstat, "streams ask for the size of blocks"),
    fail(
        libc::SYS_newfstatat,
        libc::EACCES,
        "the C library asks about open files with it. Landlock does not watch it, so it would tell of every file",
    ),
    fail(libc::SYS_statx, libc::EACCES, "the same"),
    when(
        libc::SYS_fcntl,
        &[Check::In(1, &[1, 2, 3])],
        "F_GETFD, F_SETFD, F_GETFL. Not F_SETFL: flags belong to the open file, which the host shares",
    ),
    when_or(
        libc::SYS_prlimit64,
        &[Check::In(0, &[0])],
        Fail(libc::EPERM),
        "its own limits, which can only be made tighter without privileges",
    ),
    when(
        libc::SYS_timer_settime,
        &[Check::Key(1)],
        "llib arms the limit of CPU time when the job is there, with a number that it then forgets",
    ),
    when(libc::SYS_prctl, &[Check::In(0, &[libc::PR_SET_NAME.cast_unsigned()])], "its name in process lists"),
    when(
        libc::SYS_rt_sigaction,
        &[Check::In(0, &[libc::SIGXFSZ.cast_unsigned()])],
        "llib ignores SIGXFSZ where fsize is given",
    ),
    allow(libc::SYS_sched_getaffinity, "counting processors"),
    allow(libc::SYS_rt_sigprocmask, "abort and longjmp of the C library; SIGKILL cannot be blocked"),
    allow(libc::SYS_rt_sigreturn, "the end of a signal handler that the kernel started"),
    when(libc::SYS_tgkill, &[Check::OwnPid(0)], "abort of the C library"),
    allow(libc::SYS_exit, "its end"),
    allow(libc::SYS_exit_group, "its end"),
];

/// Rules that exist only because an older interface does.
#[cfg(target_arch = "x86_64")]
pub(super) const BASE_OLD: &[Rule] = &[allow(libc::SYS_time, "os.time where the vDSO has none")];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const BASE_OLD: &[Rule] = &[];

/// With paths that may be read or written. Landlock decides which.
pub(super) const FILES: &[Rule] = &[
    allow(libc::SYS_openat, "opening files; Landlock watches paths"),
    when_or(
        libc::SYS_lseek,
        &[Check::AtLeast(0, 3)],
        Fail(libc::ESPIPE),
        "file:seek, but not in the host's standard streams",
    ),
    allow(libc::SYS_pread64, "reading files"),
    allow(libc::SYS_readv, "reading files"),
    when(
        libc::SYS_dup3,
        &[Check::AtLeast(0, 4), Check::AtLeast(1, 4)],
        "the C library opens a file anew with it; not for the streams and the zygote's bell",
    ),
    allow(libc::SYS_getdents64, "listing granted directories"),
    allow(libc::SYS_fadvise64, "reading ahead"),
    fail(libc::SYS_faccessat, libc::EACCES, "Landlock does not watch it"),
    fail(libc::SYS_faccessat2, libc::EACCES, "Landlock does not watch it"),
    fail(libc::SYS_readlinkat, libc::EACCES, "Landlock does not watch it"),
    allow(libc::SYS_getcwd, "relative names"),
];

#[cfg(target_arch = "x86_64")]
pub(super) const FILES_OLD: &[Rule] = &[
    allow(libc::SYS_open, "opening files; Landlock watches paths"),
    fail(libc::SYS_access, libc::EACCES, "Landlock does not watch it"),
    fail(libc::SYS_readlink, libc::EACCES, "Landlock does not watch it"),
    fail(libc::SYS_stat, libc::EACCES, "Landlock does not watch it"),
    fail(libc::SYS_lstat, libc::EACCES, "Landlock does not watch it"),
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const FILES_OLD: &[Rule] = &[];

/// With paths that may be written.
pub(super) const WRITE: &[Rule] = &[
    allow(libc::SYS_unlinkat, "os.remove; Landlock watches paths"),
    allow(libc::SYS_renameat2, "os.rename; Landlock watches paths"),
    allow(libc::SYS_renameat, "os.rename; Landlock watches paths"),
    allow(libc::SYS_mkdirat, "making directories; Landlock watches paths"),
    when_or(
        libc::SYS_pwrite64,
        &[Check::AtLeast(0, 3)],
        Fail(libc::ESPIPE),
        "writing files, but not over what the host has printed",
    ),
    allow(libc::SYS_fsync, "writing files"),
    allow(libc::SYS_fdatasync, "writing files"),
];

#[cfg(target_arch = "x86_64")]
pub(super) const WRITE_OLD: &[Rule] = &[
    allow(libc::SYS_unlink, "os.remove; Landlock watches paths"),
    allow(libc::SYS_rename, "os.rename; Landlock watches paths"),
    allow(libc::SYS_mkdir, "making directories; Landlock watches paths"),
    allow(libc::SYS_rmdir, "os.remove; Landlock watches paths"),
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const WRITE_OLD: &[Rule] = &[];

/// Sockets that programs ask for and can do without.
const OTHER_SOCKETS: Action = Fail(libc::EAFNOSUPPORT);
const INTERNET: &[u32] = &[libc::AF_INET.cast_unsigned(), libc::AF_INET6.cast_unsigned()];
/// Streams and datagrams, with the flags that may go with them.
const TYPES: &[u32] = &{
    const STREAM: u32 = libc::SOCK_STREAM.cast_unsigned();
    const DATAGRAM: u32 = libc::SOCK_DGRAM.cast_unsigned();
    const CLOEXEC: u32 = libc::SOCK_CLOEXEC.cast_unsigned();
    const NONBLOCK: u32 = libc::SOCK_NONBLOCK.cast_unsigned();
    const BOTH: u32 = CLOEXEC | NONBLOCK;
    [
        STREAM,
        STREAM | CLOEXEC,
        STREAM | NONBLOCK,
        STREAM | BOTH,
        DATAGRAM,
        DATAGRAM | CLOEXEC,
        DATAGRAM | NONBLOCK,
        DATAGRAM | BOTH,
    ]
};

/// With `net`: which sockets there are.
pub(super) const INTERNET_SOCKETS: &[Rule] = &[when_or(
    libc::SYS_socket,
    &[Check::In(0, INTERNET), Check::In(1, TYPES)],
    OTHER_SOCKETS,
    "the internet; not Unix sockets, behind which the machine's services are, and no packets",
)];

/// Descriptors of the job's own: the streams and the zygote's bell, a socket, have lower numbers.
const OWN: &[Check] = &[Check::AtLeast(0, 4)];

/// With `net`: using them, and what a name service needs.
pub(super) const NET: &[Rule] = &[
    when(libc::SYS_connect, OWN, "sockets of its own"),
    when(libc::SYS_bind, OWN, "sockets of its own"),
    when(libc::SYS_listen, OWN, "sockets of its own"),
    when(libc::SYS_accept, OWN, "sockets of its own"),
    when(libc::SYS_accept4, OWN, "sockets of its own"),
    when(libc::SYS_sendto, OWN, "sockets of its own"),
    when(libc::SYS_recvfrom, OWN, "sockets of its own"),
    when(libc::SYS_sendmsg, OWN, "sockets of its own"),
    when(libc::SYS_sendmmsg, OWN, "the name service"),
    when(libc::SYS_recvmsg, OWN, "sockets of its own"),
    when(libc::SYS_shutdown, OWN, "sockets of its own"),
    when(libc::SYS_getsockname, OWN, "sockets of its own"),
    when(libc::SYS_getpeername, OWN, "sockets of its own"),
    when(libc::SYS_getsockopt, OWN, "sockets of its own"),
    when(libc::SYS_setsockopt, OWN, "sockets of its own"),
    allow(libc::SYS_ppoll, "waiting for sockets"),
    allow(libc::SYS_pselect6, "waiting for sockets"),
    when_or(
        libc::SYS_fcntl,
        &[Check::In(1, &[1, 2, 3, 4]), Check::AtLeast(0, 4)],
        Fail(libc::EPERM),
        "F_SETFL too: sockets that do not block; not for what is shared with the host",
    ),
];

#[cfg(target_arch = "x86_64")]
pub(super) const NET_OLD: &[Rule] =
    &[allow(libc::SYS_poll, "waiting for sockets"), allow(libc::SYS_select, "waiting for sockets")];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const NET_OLD: &[Rule] = &[];

/// With `exec`, where all else is allowed: what reaches beyond files, which Landlock watches.
pub(super) const PROGRAMS: &[Rule] = &[
    Rule { call: LAST_CALL as i64, when: &[], then: Kill, otherwise: Kill, why: "the end of a denied call" },
    fail(libc::SYS_mremap, libc::ENOMEM, "see the base rules"),
    Rule {
        call: libc::SYS_madvise,
        when: &[Check::In(2, &[libc::MADV_REMOVE.cast_unsigned(), libc::MADV_HWPOISON.cast_unsigned()])],
        then: Deny,
        otherwise: Allow,
        why: "MADV_REMOVE would punch holes into what the host has mapped",
    },
    deny(
        libc::SYS_remap_file_pages,
        "a mapping could show another part of its file: other jobs' mailboxes, the session's table, the job's charter",
    ),
    deny(libc::SYS_ptrace, "other processes"),
    deny(libc::SYS_process_vm_readv, "other processes"),
    deny(libc::SYS_process_vm_writev, "other processes"),
    deny(libc::SYS_process_madvise, "other processes"),
    deny(libc::SYS_pidfd_getfd, "other processes' descriptors"),
    deny(libc::SYS_kcmp, "other processes"),
    deny(libc::SYS_io_uring_setup, "calls that no filter sees"),
    deny(libc::SYS_io_uring_enter, "calls that no filter sees"),
    deny(libc::SYS_io_uring_register, "calls that no filter sees"),
    deny(libc::SYS_unshare, "new namespaces give privileges in them"),
    deny(libc::SYS_setns, "namespaces"),
    deny(
        libc::SYS_clone3,
        "its flags lie in memory, where no filter sees them; the C library falls back to clone",
    )
    .failing(libc::ENOSYS),
    Rule {
        call: libc::SYS_clone,
        when: &[Check::Masked(0, NAMESPACES, 0)],
        then: Allow,
        otherwise: Deny,
        why: "processes and threads, but no namespaces",
    },
    deny(libc::SYS_mount, "file systems"),
    deny(libc::SYS_umount2, "file systems"),
    deny(libc::SYS_pivot_root, "file systems"),
    deny(libc::SYS_chroot, "file systems"),
    deny(libc::SYS_open_tree, "file systems"),
    deny(libc::SYS_move_mount, "file systems"),
    deny(libc::SYS_fsopen, "file systems"),
    deny(libc::SYS_fsmount, "file systems"),
    deny(libc::SYS_fspick, "file systems"),
    deny(libc::SYS_mount_setattr, "file systems"),
    deny(libc::SYS_bpf, "the kernel"),
    deny(libc::SYS_perf_event_open, "the kernel"),
    deny(libc::SYS_userfaultfd, "a help for attacks on the kernel"),
    deny(libc::SYS_kexec_load, "the kernel"),
    deny(libc::SYS_kexec_file_load, "the kernel"),
    deny(libc::SYS_init_module, "the kernel"),
    deny(libc::SYS_finit_module, "the kernel"),
    deny(libc::SYS_delete_module, "the kernel"),
    deny(libc::SYS_reboot, "the machine"),
    deny(libc::SYS_swapon, "the machine"),
    deny(libc::SYS_swapoff, "the machine"),
    deny(libc::SYS_acct, "the machine"),
    deny(libc::SYS_syslog, "the kernel's log"),
    deny(libc::SYS_settimeofday, "the machine's clock"),
    deny(libc::SYS_clock_settime, "the machine's clock"),
    deny(libc::SYS_adjtimex, "the machine's clock"),
    deny(libc::SYS_clock_adjtime, "the machine's clock"),
    deny(libc::SYS_sethostname, "the machine"),
    deny(libc::SYS_setdomainname, "the machine"),
    deny(libc::SYS_quotactl, "the machine"),
    deny(libc::SYS_add_key, "keys of the user's other processes"),
    deny(libc::SYS_request_key, "keys of the user's other processes"),
    deny(libc::SYS_keyctl, "keys of the user's other processes"),
    deny(libc::SYS_shmget, "shared memory that Landlock does not watch"),
    deny(libc::SYS_shmat, "shared memory that Landlock does not watch"),
    deny(libc::SYS_shmctl, "shared memory that Landlock does not watch"),
    deny(libc::SYS_msgget, "queues that Landlock does not watch"),
    deny(libc::SYS_msgsnd, "queues that Landlock does not watch"),
    deny(libc::SYS_msgrcv, "queues that Landlock does not watch"),
    deny(libc::SYS_semget, "semaphores that Landlock does not watch"),
    deny(libc::SYS_semop, "semaphores that Landlock does not watch"),
    deny(libc::SYS_mq_open, "queues that Landlock does not watch"),
    deny(libc::SYS_open_by_handle_at, "files past Landlock"),
    deny(libc::SYS_name_to_handle_at, "files past Landlock").failing(libc::EOPNOTSUPP),
    deny(libc::SYS_fanotify_init, "other processes' files"),
    deny(libc::SYS_timer_delete, "the limit of CPU time"),
    when(libc::SYS_timer_settime, &[Check::Key(1)], "the limit of CPU time"),
    when_or(libc::SYS_prlimit64, &[Check::In(0, &[0])], Fail(libc::EPERM), "limits of other processes"),
    deny(libc::SYS_setpriority, "other processes").failing(libc::EPERM),
    deny(libc::SYS_sched_setscheduler, "other processes").failing(libc::EPERM),
    deny(libc::SYS_sched_setattr, "other processes").failing(libc::EPERM),
    deny(libc::SYS_sched_setaffinity, "other processes").failing(libc::EPERM),
    fail(libc::SYS_inotify_add_watch, libc::EACCES, "watching others' files, past Landlock"),
    fail(libc::SYS_fchmod, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_fchmodat, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(FCHMODAT2, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_fchown, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_fchownat, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_utimensat, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_setxattr, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_lsetxattr, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_fsetxattr, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_removexattr, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_lremovexattr, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_fremovexattr, libc::EPERM, "attributes of files, which Landlock does not watch"),
    deny(libc::SYS_migrate_pages, "other processes"),
    deny(libc::SYS_move_pages, "other processes"),
];

#[cfg(target_arch = "x86_64")]
pub(super) const PROGRAMS_OLD: &[Rule] = &[
    fail(libc::SYS_chmod, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_chown, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_lchown, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_utime, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_utimes, libc::EPERM, "attributes of files, which Landlock does not watch"),
    fail(libc::SYS_futimesat, libc::EPERM, "attributes of files, which Landlock does not watch"),
    deny(libc::SYS_iopl, "the machine"),
    deny(libc::SYS_ioperm, "the machine"),
    deny(libc::SYS_modify_ldt, "a frequent place of kernel bugs"),
    deny(libc::SYS_uselib, "a frequent place of kernel bugs"),
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const PROGRAMS_OLD: &[Rule] = &[];

/// Number on every architecture, as of all calls since Linux 5.1.
const FCHMODAT2: i64 = 452;

/// With `exec`: calls that are newer than these rules, of which nobody here knows what they do. Programs fall
/// back to older ones.
pub(super) fn newer() -> Vec<Rule> {
    const FIRST: i64 = 463;
    (FIRST..i64::from(NO_CALLS)).map(|call| fail(call, libc::ENOSYS, "newer than these rules")).collect()
}

/// With `exec` but not `net`.
pub(super) const NO_NET: &[Rule] =
    &[fail(libc::SYS_socket, libc::EACCES, "no network, and no services of the machine behind Unix sockets")];

const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .cast_unsigned();

impl Rule {
    /// The same, but programs get an error that they can live with.
    const fn failing(self, error: i32) -> Rule {
        Rule { then: Fail(error), ..self }
    }
}
