// A host starts supervisors as root and then gives its privileges up: groups, ids, root directory. The old guard forks
// new ones downwards. Does it learn from the kernel, and not from the host's word, what the host is now? Do PDEATHSIG,
// /proc and kill work for the new ones? Can a host that was taken over ask for more than it has?
#include "common.h"
#include <linux/capability.h>
#include <grp.h>

struct word { pid_t kill; };
struct answer { int refused, error, uid, euid, groups, shadow, root, caps, death, proc, pid, again; };

// What the kernel says of a process: from the old guard's own /proc, held against its pidfd afterwards.
static int look(pid_t pid, uid_t *u, gid_t *g, gid_t *groups, int *root, unsigned long long *caps) {
    char path[64], line[4096];
    int count = -1;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    while (fgets(line, sizeof line, file)) {
        sscanf(line, "Uid: %u %u %u", u, u + 1, u + 2);
        sscanf(line, "Gid: %u %u %u", g, g + 1, g + 2);
        sscanf(line, "CapPrm: %llx", caps);
        if (!strncmp(line, "Groups:", 7)) {
            count = 0;
            for (char *at = line + 7, *end; count < 64; count++, at = end)
                if (groups[count] = strtoul(at, &end, 10), end == at) break;
        }
    }
    fclose(file);
    snprintf(path, sizeof path, "/proc/%d/root", pid);
    *root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *root < 0 ? -1 : count;
}

static void renew(int ring, pid_t host, int host_fd) {
    struct answer a = {0};
    uid_t u[3];
    gid_t g[3], groups[64];
    unsigned long long caps = 0;
    int root, count = look(host, u, g, groups, &root, &caps);
    if (count < 0 || is_over(host_fd, 0)) { a.refused = 1; goto out; }
    // one step each, the last one being who we are; nothing here can go upwards, for we only take what the host has
    if (setgroups(count, groups) || setresgid(g[0], g[1], g[2]) || fchdir(root) || chroot(".") || chdir("/")) { a.error = errno; goto out; }
    if (setresuid(u[0], u[1], u[2])) { a.error = errno; goto out; }
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2] = {{caps, caps, 0}, {caps >> 32, caps >> 32, 0}};
    if (syscall(SYS_capset, &head, sets)) { a.error = errno; goto out; }
    prctl(PR_SET_DUMPABLE, 1);          // a change of ids takes it away, and with it /proc/self
    prctl(PR_SET_PDEATHSIG, SIGKILL);   // after the last change, which clears it
    int death = 0;
    prctl(PR_GET_PDEATHSIG, &death);
    a.uid = getuid(), a.euid = geteuid(), a.groups = getgroups(0, 0), a.death = death, a.pid = getpid();
    a.shadow = open("/etc/shadow", O_RDONLY) >= 0, a.root = access("/mark-of-the-jail", F_OK) == 0;
    a.caps = caps != 0, a.again = setresuid(0, 0, 0) == 0;
out:
    send_fds(ring, &a, sizeof a, 0, 0);
    if (!a.refused && !a.error) pause();
    _exit(0);
}

static void guard(int ring, pid_t host, int host_fd) {
    struct word word;
    while (read(ring, &word, sizeof word) == sizeof word) {
        if (word.kill) { // a kill that the host may not send itself
            struct answer done = {.error = kill(word.kill, SIGKILL)};
            send_fds(ring, &done, sizeof done, 0, 0);
        } else if (!fork())
            renew(ring, host, host_fd);
    }
    _exit(0);
}

static struct answer ask(int ring, pid_t kill) {
    struct answer a;
    struct word word = {kill};
    write(ring, &word, sizeof word), read(ring, &a, sizeof a);
    return a;
}

int main(void) {
    if (geteuid()) {
        printf("info  not root: what can be dropped here are capabilities alone, nothing to show\n");
        return 0;
    }
    char jail[] = "/tmp/jail-XXXXXX", mark[64];
    mkdtemp(jail), chmod(jail, 0755), snprintf(mark, sizeof mark, "%s/mark-of-the-jail", jail), close(creat(mark, 0644));
    int status;
    pid_t host = fork();
    if (!host) {
        int ring[2], own = pidfd(getpid());
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ring);
        pid_t me = getpid(), g = fork();
        if (!g) close(ring[0]), guard(ring[1], me, own);
        close(ring[1]);
        struct answer a, first = a = ask(ring[0], 0);
        claim(a.uid == 0 && !a.refused && a.shadow, "as root: a new supervisor is root");
        gid_t few[] = {65534, 7};
        chroot(jail), chdir("/"), setgroups(2, few), setresgid(65534, 65534, 65534), setresuid(65534, 65534, 65534);
        double t = now();
        a = ask(ring[0], 0);
        printf("cost  from word to a new process with the host's ids and root: %.0f us\n", now() - t);
        claim(!a.refused && !a.error && a.uid == 65534 && a.euid == 65534 && a.groups == 2, "after the drop: ids and groups are the host's");
        claim(a.root && !a.shadow && !a.caps && !a.again, "its root is the host's, no file of root opens, no capability, no way back");
        claim(a.death == SIGKILL, "PDEATHSIG holds when it is set last");
        claim(kill(a.pid, 0) == 0, "the host may signal the new one");
        claim(kill(g, 0) && errno == EPERM, "and may not signal the old one");
        pid_t old = first.pid; // runs as root
        claim(kill(old, 0) && errno == EPERM && ask(ring[0], old).error == 0, "but has an old worker killed over the socket");
        claim(access("/proc/self", F_OK) != 0, "the host has no /proc and no program here; the old guard needs neither from it");
        _exit(failures);
    }
    waitpid(host, &status, 0);
    unlink(mark), rmdir(jail);
    return WEXITSTATUS(status);
}
