// Who asks a guard for new supervisors over a ring that forked children of the host inherited? The kernel stamps the
// sender's pid and ids on the message (SCM_CREDENTIALS); with it come a pidfd of the sender and a new ring of its own. Can
// a sender name somebody else?
#include "common.h"

struct asked { pid_t pid; uid_t uid; pid_t of_pidfd; int rings; };

static pid_t pid_of(int fd) {
    char path[64], line[256];
    pid_t pid = -1;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "Pid: %d", &pid);
    if (file) fclose(file);
    return pid;
}

static void guard(int ring) {
    setsockopt(ring, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int));
    char word, control[256];
    for (;;) {
        struct iovec part = {&word, 1};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        if (recvmsg(ring, &message, MSG_CMSG_CLOEXEC) <= 0) _exit(0);
        struct asked asked = {0};
        int fds[2] = {-1, -1};
        for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
            if (head->cmsg_type == SCM_RIGHTS) memcpy(fds, CMSG_DATA(head), sizeof fds);
            if (head->cmsg_type == SCM_CREDENTIALS) {
                struct ucred who;
                memcpy(&who, CMSG_DATA(head), sizeof who);
                asked.pid = who.pid, asked.uid = who.uid;
            }
        }
        asked.of_pidfd = pid_of(fds[1]);
        if (write(fds[0], &asked, sizeof asked) < 0) perror("answer"); // on the asker's own ring: answers cannot mix
        close(fds[0]), close(fds[1]);
    }
}

// Asks as `claimed`; 0 is oneself. The errno of sending, or 0.
static int ask(int ring, pid_t claimed, int claimed_fd, struct asked *answer) {
    int own[2], fds[2];
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, own);
    fds[0] = own[1], fds[1] = claimed_fd >= 0 ? claimed_fd : pidfd(getpid());
    char control[CMSG_SPACE(sizeof fds) + CMSG_SPACE(sizeof(struct ucred))] = {0};
    struct iovec part = {"r", 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = claimed ? sizeof control : CMSG_SPACE(sizeof fds)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(head), fds, sizeof fds);
    if (claimed) {
        struct ucred who = {claimed, getuid(), getgid()};
        head = CMSG_NXTHDR(&message, head);
        head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_CREDENTIALS, head->cmsg_len = CMSG_LEN(sizeof who);
        memcpy(CMSG_DATA(head), &who, sizeof who);
    }
    if (sendmsg(ring, &message, MSG_NOSIGNAL) < 0) return errno;
    return read(own[0], answer, sizeof *answer) == sizeof *answer ? 0 : -1;
}

int main(void) {
    int ring[2], status;
    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ring);
    pid_t g = fork();
    if (!g) prctl(PR_SET_PDEATHSIG, SIGKILL), close(ring[0]), guard(ring[1]);
    while (kill(g, 0)) ;
    usleep(50000); // until it wants credentials
    struct asked a;
    claim(ask(ring[0], 0, -1, &a) == 0 && a.pid == getpid() && a.of_pidfd == getpid(), "the host asks: stamped pid and pidfd are its own");
    pid_t host = getpid(), child = fork();
    if (!child) {
        if (geteuid() == 0) setresgid(65534, 65534, 65534), setresuid(65534, 65534, 65534);
        claim(ask(ring[0], 0, -1, &a) == 0 && a.pid == getpid() && a.of_pidfd == getpid() && a.uid == 65534, "a forked child that dropped root asks over the inherited ring: stamped as itself, as nobody");
        claim(ask(ring[0], host, pidfd(host), &a) == EPERM, "it cannot be stamped as its parent: EPERM");
        claim(ask(ring[0], 0, pidfd(host), &a) == 0 && a.of_pidfd != a.pid, "its parent's pidfd with its own stamp: seen, they differ");
        enum { R = 500 };
        static double took[R];
        for (int i = 0; i < R; i++) { double t = now(); ask(ring[0], 0, -1, &a), took[i] = now() - t; }
        printf("cost  question with stamp, pidfd and new ring, check, answer: %.0f us\n", median(took, R));
        fflush(stdout);
        _exit(failures);
    }
    waitpid(child, &status, 0);
    kill(g, SIGKILL), wait(0);
    return failures + WEXITSTATUS(status);
}
