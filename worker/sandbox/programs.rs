//! Which system calls a sandboxed job may make that may run programs: nearly all that programs need. What has no rule here fails as a call
//! does that this kernel does not have, and programs fall back to others.

use libc::*;

use super::bpf::Action::{Allow, Fail};
use super::bpf::{Check, Rule};
use super::rules::*;

/// What programs need and what reaches nothing that Landlock does not watch.
pub(super) const FREE: &[Rule] = rules! {
    ALLOW, [
        SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_pwrite64 SYS_preadv SYS_pwritev SYS_preadv2 SYS_pwritev2 SYS_lseek
        SYS_openat SYS_openat2 SYS_close SYS_close_range SYS_dup SYS_dup3 SYS_pipe2 SYS_fcntl SYS_ioctl SYS_flock SYS_fsync
        SYS_fdatasync SYS_sync SYS_syncfs SYS_sync_file_range SYS_fallocate SYS_fadvise64 SYS_readahead SYS_truncate SYS_ftruncate
        SYS_sendfile SYS_splice SYS_tee SYS_vmsplice SYS_copy_file_range
    ], "files and pipes";
    ALLOW, #[cfg(target_arch = "x86_64")] [SYS_open SYS_creat SYS_dup2 SYS_pipe], "files and pipes";
    ALLOW, [
        SYS_fstat SYS_newfstatat SYS_statx SYS_statfs SYS_fstatfs SYS_faccessat SYS_faccessat2 SYS_readlinkat SYS_getdents64 SYS_getcwd
        SYS_chdir SYS_fchdir SYS_umask SYS_mkdirat SYS_mknodat SYS_unlinkat SYS_renameat SYS_renameat2 SYS_linkat SYS_symlinkat SYS_getxattr
        SYS_lgetxattr SYS_fgetxattr SYS_listxattr SYS_llistxattr SYS_flistxattr SYS_inotify_init1 SYS_inotify_rm_watch CACHESTAT
    ], "names of files; Landlock watches those that change something";
    ALLOW, #[cfg(target_arch = "x86_64")] [
        SYS_stat SYS_lstat SYS_access SYS_readlink SYS_getdents SYS_mkdir SYS_mknod SYS_rmdir SYS_unlink SYS_rename SYS_link SYS_symlink
        SYS_inotify_init
    ], "names of files; Landlock watches those that change something";
    ALLOW, [
        SYS_brk SYS_mmap SYS_munmap SYS_mprotect SYS_msync SYS_mincore SYS_mlock SYS_mlock2 SYS_munlock SYS_mlockall SYS_munlockall
        SYS_memfd_create SYS_membarrier SYS_pkey_mprotect SYS_pkey_alloc SYS_pkey_free SYS_get_mempolicy SYS_set_mempolicy SYS_mbind
        MAP_SHADOW_STACK
    ], "memory";
    ALLOW, [
        SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_wait4 SYS_waitid SYS_set_tid_address SYS_set_robust_list SYS_rseq SYS_futex
        SYS_futex_waitv FUTEX_WAKE FUTEX_WAIT FUTEX_REQUEUE SYS_sched_yield SYS_getcpu SYS_personality SYS_prctl SYS_seccomp
        SYS_landlock_create_ruleset SYS_landlock_add_rule SYS_landlock_restrict_self
    ], "processes and threads";
    ALLOW, #[cfg(target_arch = "x86_64")] [SYS_fork SYS_vfork SYS_arch_prctl], "processes and threads";
    ALLOW, [
        SYS_kill SYS_tkill SYS_tgkill SYS_rt_sigqueueinfo SYS_rt_tgsigqueueinfo SYS_pidfd_open SYS_pidfd_send_signal SYS_rt_sigaction
        SYS_rt_sigprocmask SYS_rt_sigreturn SYS_rt_sigpending SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_sigaltstack SYS_signalfd4
        SYS_restart_syscall
    ], "signals; Landlock keeps those in that go to other processes";
    ALLOW, #[cfg(target_arch = "x86_64")] [SYS_pause SYS_signalfd], "signals";
    ALLOW, [
        SYS_getpid SYS_gettid SYS_getppid SYS_getpgid SYS_setpgid SYS_getsid SYS_setsid SYS_getuid SYS_geteuid SYS_getgid SYS_getegid
        SYS_getresuid SYS_getresgid SYS_getgroups SYS_setuid SYS_setgid SYS_setreuid SYS_setregid SYS_setresuid SYS_setresgid
        SYS_setfsuid SYS_setfsgid SYS_setgroups SYS_capget SYS_capset
    ], "who it is; without capabilities it can become nobody else";
    ALLOW, #[cfg(target_arch = "x86_64")] [SYS_getpgrp], "who it is";
    ALLOW, [
        SYS_uname SYS_sysinfo SYS_times SYS_getrusage SYS_getrlimit SYS_setrlimit SYS_getpriority SYS_ioprio_get SYS_sched_getparam
        SYS_sched_getscheduler SYS_sched_getattr SYS_sched_get_priority_max SYS_sched_get_priority_min SYS_sched_rr_get_interval
        SYS_sched_getaffinity SYS_getrandom
    ], "questions, and its own limits, which can only be made tighter";
    ALLOW, [
        SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep SYS_nanosleep SYS_gettimeofday SYS_getitimer SYS_setitimer SYS_timer_create
        SYS_timer_gettime SYS_timer_getoverrun SYS_timerfd_create SYS_timerfd_settime SYS_timerfd_gettime
    ], "clocks and timers";
    ALLOW, #[cfg(target_arch = "x86_64")] [SYS_time SYS_alarm], "clocks and timers";
    ALLOW, [
        SYS_ppoll SYS_pselect6 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2
    ], "waiting";
    ALLOW, #[cfg(target_arch = "x86_64")] [
        SYS_poll SYS_select SYS_epoll_create SYS_epoll_wait SYS_eventfd
    ], "waiting";
    ALLOW, [
        SYS_connect SYS_bind SYS_listen SYS_accept SYS_accept4 SYS_sendto SYS_recvfrom SYS_sendmsg SYS_recvmsg SYS_sendmmsg SYS_recvmmsg
        SYS_shutdown SYS_getsockname SYS_getpeername SYS_getsockopt SYS_setsockopt
    ], "sockets that it has; which ones it can make has rules of its own";
};

/// Numbers on every architecture, as of all calls since Linux 5.1.
const CACHESTAT: i64 = 451;
const FCHMODAT2: i64 = 452;
const MAP_SHADOW_STACK: i64 = 453;
const FUTEX_WAKE: i64 = 454;
const FUTEX_WAIT: i64 = 455;
const FUTEX_REQUEUE: i64 = 456;

/// What stays denied, or fails, or is bound to its arguments: what reaches beyond files, which Landlock watches.
pub(super) const BOUND: &[Rule] = rules! {
    END, [LAST], "the end of a denied call";
    fail(ENOMEM), [SYS_mremap], "see the base rules";
    Rule { when: &[Check::In(2, DESTRUCTIVE_ADVICE)], otherwise: Allow, ..DENY }, [SYS_madvise],
        "MADV_REMOVE would punch holes into what the host has mapped";
    DENY, [SYS_remap_file_pages],
        "a mapping could show another part of its file: other jobs' mailboxes, the session's table, the job's charter";
    DENY, [
        SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_process_madvise SYS_kcmp SYS_migrate_pages
        SYS_move_pages
    ], "other processes";
    DENY, [SYS_pidfd_getfd], "other processes' descriptors";
    DENY, [SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register], "calls that no filter sees";
    DENY, [SYS_unshare], "new namespaces give privileges in them";
    DENY, [SYS_setns], "namespaces";
    fail(ENOSYS), [SYS_clone3],
        "its flags lie in memory, where no filter sees them; the C library falls back to clone";
    when(&[Check::Masked(0, NAMESPACES, 0)]), [SYS_clone], "processes and threads, but no namespaces";
    DENY, [
        SYS_mount SYS_umount2 SYS_pivot_root SYS_chroot SYS_open_tree SYS_move_mount SYS_fsopen SYS_fsmount
        SYS_fspick SYS_mount_setattr
    ], "file systems";
    DENY, [
        SYS_bpf SYS_perf_event_open SYS_kexec_load SYS_kexec_file_load SYS_init_module SYS_finit_module
        SYS_delete_module
    ], "the kernel";
    DENY, [SYS_userfaultfd], "a help for attacks on the kernel";
    DENY, [SYS_reboot SYS_swapon SYS_swapoff SYS_acct SYS_sethostname SYS_setdomainname SYS_quotactl], "the machine";
    DENY, [SYS_syslog], "the kernel's log";
    DENY, [SYS_settimeofday SYS_clock_settime SYS_adjtimex SYS_clock_adjtime], "the machine's clock";
    DENY, [SYS_add_key SYS_request_key SYS_keyctl], "keys of the user's other processes";
    DENY, [SYS_shmget SYS_shmat SYS_shmctl SYS_shmdt], "shared memory that Landlock does not watch";
    DENY, [
        SYS_msgget SYS_msgsnd SYS_msgrcv SYS_msgctl SYS_mq_open SYS_mq_unlink SYS_mq_timedsend SYS_mq_timedreceive
        SYS_mq_notify SYS_mq_getsetattr
    ], "queues that Landlock does not watch";
    DENY, [SYS_semget SYS_semop SYS_semctl SYS_semtimedop], "semaphores that Landlock does not watch";
    DENY, [SYS_open_by_handle_at], "files past Landlock";
    fail(EOPNOTSUPP), [SYS_name_to_handle_at], "files past Landlock";
    DENY, [SYS_fanotify_init], "other processes' files";
    DENY, [SYS_timer_delete], "the limit of CPU time";
    when(&[Check::Key(1)]), [SYS_timer_settime], "the limit of CPU time";
    when_or(&[Check::In(0, &[0])], Fail(EPERM)), [SYS_prlimit64], "limits of other processes";
    fail(EPERM), [
        SYS_setpriority SYS_ioprio_set SYS_sched_setscheduler SYS_sched_setparam SYS_sched_setattr SYS_sched_setaffinity
    ], "other processes";
    when_or(&[Check::In(1, CONNECTED)], OTHER_SOCKETS), [SYS_socketpair],
        "pairs that are connected for good. One end of a pair of datagram sockets can send to any service of the machine";
    fail(EACCES), [SYS_inotify_add_watch], "watching others' files, past Landlock";
    fail(EPERM), [
        SYS_fchmod SYS_fchmodat FCHMODAT2 SYS_fchown SYS_fchownat SYS_utimensat SYS_setxattr SYS_lsetxattr
        SYS_fsetxattr SYS_removexattr SYS_lremovexattr SYS_fremovexattr
    ], "attributes of files, which Landlock does not watch";
    fail(EPERM), #[cfg(target_arch = "x86_64")] [SYS_chmod SYS_chown SYS_lchown SYS_utime SYS_utimes SYS_futimesat],
        "attributes of files, which Landlock does not watch";
    DENY, #[cfg(target_arch = "x86_64")] [SYS_iopl SYS_ioperm], "the machine";
    DENY, #[cfg(target_arch = "x86_64")] [SYS_modify_ldt SYS_uselib], "a frequent place of kernel bugs";
};

const DESTRUCTIVE_ADVICE: &[u32] = &[MADV_REMOVE.cast_unsigned(), MADV_HWPOISON.cast_unsigned()];

/// Streams and sequences of packets: their ends are connected to each other, and to nothing else for ever.
const CONNECTED: &[u32] = &with_flags(SOCK_STREAM, SOCK_SEQPACKET);

/// Without `net`.
pub(super) const NO_NET: &[Rule] = rules! {
    fail(EACCES), [SYS_socket], "no network, and no services of the machine behind Unix sockets";
};

const NAMESPACES: u32 = (CLONE_NEWNS
    | CLONE_NEWCGROUP
    | CLONE_NEWUTS
    | CLONE_NEWIPC
    | CLONE_NEWUSER
    | CLONE_NEWPID
    | CLONE_NEWNET)
    .cast_unsigned();
