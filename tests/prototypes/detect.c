// What a host pays at each call to notice that it was forked, and at each fresh job to notice that it changed user, root
// or capabilities. Interleaved rounds, medians.
#include "common.h"
#include <linux/capability.h>

static int dev_root;
static volatile uint32_t *page; // wiped in a forked child
static volatile long sink;

static void c_page(void) { sink += *page; }
static void c_getpid(void) { sink += syscall(SYS_getpid); }
static void c_uids(void) { uid_t r, e, s; syscall(SYS_getresuid, &r, &e, &s), sink += r + e + s; }
static void c_gids(void) { gid_t r, e, s; syscall(SYS_getresgid, &r, &e, &s), sink += r + e + s; }
static void c_groups(void) { gid_t g[256]; sink += syscall(SYS_getgroups, 256, g); }
static void c_caps(void) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    syscall(SYS_capget, &head, data), sink += data[0].effective;
}
static void c_nnp(void) { sink += prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); }
static void c_stat(void) { struct stat s; stat("/", &s), sink += s.st_ino; }
static void c_statx(void) { struct statx s; syscall(SYS_statx, AT_FDCWD, "/", 0x4000 /* AT_STATX_DONT_SYNC */, STATX_INO | 0x1000 /* MNT_ID */, &s), sink += s.stx_ino; }
static void c_cwd(void) { char path[4096]; sink += syscall(SYS_getcwd, path, sizeof path); }
static void c_few(void) { c_uids(), c_gids(), c_caps(); }
static void c_all(void) { c_uids(), c_gids(), c_groups(), c_caps(), c_statx(); }

int main(void) {
    page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int wiped = madvise((void *)page, 4096, MADV_WIPEONFORK) == 0, status;
    *page = 1;
    pid_t child = fork();
    if (!child) _exit(*page);
    waitpid(child, &status, 0);
    claim(wiped && WEXITSTATUS(status) == 0 && *page == 1, "a forked child finds the page wiped, the parent does not");
    child = raw_fork(SIGCHLD, 0);
    if (!child) _exit(*page);
    waitpid(child, &status, 0);
    claim(WEXITSTATUS(status) == 0, "also after a clone(2) that glibc does not know of");
    child = vfork();
    if (!child) _exit(*page);
    waitpid(child, &status, 0);
    claim(WEXITSTATUS(status) == 1, "a vfork child finds the parent's: it shares its memory");
    struct { const char *what; void (*call)(void); } calls[] = {
        {"wiped page", c_page}, {"getpid", c_getpid}, {"getresuid", c_uids}, {"getresgid", c_gids}, {"getgroups", c_groups},
        {"capget", c_caps}, {"no_new_privs", c_nnp}, {"stat(/)", c_stat}, {"statx(/) with mount id", c_statx}, {"getcwd", c_cwd},
        {"ids, capabilities (host without any)", c_few}, {"ids, groups, capabilities, root", c_all}};
    enum { N = sizeof calls / sizeof *calls, R = 400, K = 50 };
    static double took[N][R];
    for (int r = 0; r < R; r++)
        for (int i = 0; i < N; i++) {
            double t = now();
            for (int k = 0; k < K; k++) calls[i].call();
            took[i][r] = (now() - t) / K;
        }
    for (int i = 0; i < N; i++)
        printf("cost  %-38s %.3f us\n", calls[i].what, median(took[i], R));
    return failures;
}
