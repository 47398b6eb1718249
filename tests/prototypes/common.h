// What the prototypes share: clock, medians, a claim that is checked and printed.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int failures;

static inline double now(void) { // microseconds
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static inline int by_size(const void *a, const void *b) {
    double x = *(const double *)a - *(const double *)b;
    return x < 0 ? -1 : x > 0;
}

static inline double median(double *values, int count) {
    qsort(values, count, sizeof *values, by_size);
    return values[count / 2];
}

static inline void claim(int holds, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("%-5s ", holds ? "yes" : "NO");
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
    va_end(arguments);
    failures += !holds;
}

static inline void *shared(size_t bytes) {
    return mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static inline int pidfd(pid_t pid) { return syscall(SYS_pidfd_open, pid, 0); }

static inline int is_over(int fd, int ms) { // whether the process of a pidfd has ended, within a time
    struct pollfd file = {fd, POLLIN, 0};
    return poll(&file, 1, ms) == 1;
}

// The address of this thread's id in glibc's books, which the kernel clears at its end.
static inline pid_t *tid_address(void) {
    pid_t *address = 0;
    prctl(PR_GET_TID_ADDRESS, &address, 0, 0, 0);
    return address;
}

// clone(2) like fork(2): no new stack, glibc's thread id put right, the child's pid also at `known` before it runs.
static inline long raw_fork(unsigned long flags, pid_t *known) {
    pid_t *tid = tid_address();
    if (tid)
        flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    if (known)
        flags |= CLONE_PARENT_SETTID;
#ifdef __x86_64__
    return syscall(SYS_clone, flags, 0, known, tid, 0);
#else
    return syscall(SYS_clone, flags, 0, known, 0, tid);
#endif
}

// The children of a process as the kernel lists them; how many.
static inline int children(int file, pid_t *into, int most) {
    static char text[1 << 20];
    ssize_t length = 0, got;
    while ((got = pread(file, text + length, sizeof text - 1 - length, length)) > 0)
        length += got;
    text[length] = 0;
    int count = 0;
    for (char *at = text, *end; count < most; at = end) {
        long pid = strtol(at, &end, 10);
        if (end == at)
            break;
        into[count++] = pid;
    }
    return count;
}

static inline int children_file(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static inline void send_fds(int socket, const void *bytes, size_t length, const int *fds, int count) {
    char control[CMSG_SPACE(8 * sizeof(int))] = {0};
    struct iovec part = {(void *)bytes, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(head), fds, count * sizeof(int));
    }
    if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
        perror("sendmsg");
}

static inline ssize_t receive_fds(int socket, void *bytes, size_t length, int *fds, int count) {
    char control[CMSG_SPACE(8 * sizeof(int))] = {0};
    struct iovec part = {bytes, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *head = got > 0 ? CMSG_FIRSTHDR(&message) : 0;
    if (head && head->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(head), count * sizeof(int));
    return got;
}
