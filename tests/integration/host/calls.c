/* System calls that a Lua script cannot make by itself. For every version of Lua: nothing here differs between them. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct lua_State lua_State;
const char *luaL_checklstring(lua_State *, int, size_t *);
void lua_createtable(lua_State *, int, int);
void lua_pushcclosure(lua_State *, int (*)(lua_State *), int);
void lua_pushstring(lua_State *, const char *);
void lua_setfield(lua_State *, int, const char *);
const char *lua_tolstring(lua_State *, int, size_t *);
lua_State *luaL_newstate(void);
int luaL_loadstring(lua_State *, const char *);
void lua_close(lua_State *);
/* Of each two one is there. */
__attribute__((weak)) void luaL_openlibs(lua_State *);
__attribute__((weak)) void luaL_openselectedlibs(lua_State *, int, int);
__attribute__((weak)) int lua_pcall(lua_State *, int, int, int);
__attribute__((weak)) int lua_pcallk(lua_State *, int, int, int, ptrdiff_t, void *);

/* Arguments and results are strings: numbers are passed to C differently by some versions. */
static long number(lua_State *lua, int index)
{
    return strtol(luaL_checklstring(lua, index, NULL), NULL, 10);
}

static int done(lua_State *lua, int result)
{
    lua_pushstring(lua, result == 0 ? "yes" : strerror(errno));
    return 1;
}

/* wait() -> "PID STATUS", or the reason. */
static int wait_for_any(lua_State *lua)
{
    char text[64];
    int status;
    pid_t pid = waitpid(-1, &status, 0);
    snprintf(text, sizeof text, "%d %d", (int)pid, WEXITSTATUS(status));
    lua_pushstring(lua, pid < 0 ? strerror(errno) : text);
    return 1;
}

/* child(code) -> pid of a child that exits with it. */
static int child(lua_State *lua)
{
    char text[32];
    int code = number(lua, 1);
    pid_t pid = fork();
    if (pid == 0)
        _exit(code);
    snprintf(text, sizeof text, "%d", (int)pid);
    lua_pushstring(lua, text);
    return 1;
}

static int push_number(lua_State *lua, long value)
{
    char text[32];
    snprintf(text, sizeof text, "%ld", value);
    lua_pushstring(lua, value < 0 ? strerror(errno) : text);
    return 1;
}

/* fork() -> "0" in the child, its pid in the parent. */
static int fork_plainly(lua_State *lua)
{
    return push_number(lua, fork());
}

/* The same without the C library, which tells nobody of it then. */
static int fork_bare(lua_State *lua)
{
    return push_number(lua, syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

/* wait_for(pid) -> "exit CODE" or "signal NUMBER" */
static int wait_for(lua_State *lua)
{
    char text[64];
    int status;
    if (waitpid(number(lua, 1), &status, 0) < 0) {
        lua_pushstring(lua, strerror(errno));
        return 1;
    }
    if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "signal %d", WTERMSIG(status));
    else
        snprintf(text, sizeof text, "exit %d", WEXITSTATUS(status));
    lua_pushstring(lua, text);
    return 1;
}

static int send_signal(lua_State *lua)
{
    return done(lua, kill(number(lua, 1), number(lua, 2)));
}

static int own_pid(lua_State *lua)
{
    return push_number(lua, getpid());
}

/* exit(code): at once, without what is to be done at exit. */
static int exit_now(lua_State *lua)
{
    _exit(number(lua, 1));
}

/* close_from(number): closes all descriptors from there on. */
static int close_from(lua_State *lua)
{
    return done(lua, close_range(number(lua, 1), ~0u, 0));
}

/* is_open(number) */
static int is_open(lua_State *lua)
{
    return done(lua, fcntl(number(lua, 1), F_GETFD) < 0);
}

/* run(text): in a Lua state of its own, which is closed then. Whether it raised nothing. */
static int run_in_state(lua_State *lua)
{
    lua_State *other = luaL_newstate();
    int status;
    if (luaL_openselectedlibs)
        luaL_openselectedlibs(other, ~0, 0);
    else
        luaL_openlibs(other);
    status = luaL_loadstring(other, luaL_checklstring(lua, 1, NULL));
    if (status == 0)
        status = lua_pcallk ? lua_pcallk(other, 0, 0, 0, 0, NULL) : lua_pcall(other, 0, 0, 0);
    lua_pushstring(lua, status == 0 ? "yes" : lua_tolstring(other, -1, NULL));
    lua_close(other);
    return 1;
}

static int children_seen;

static void count_child(int signal)
{
    children_seen++;
}

/* sigchld("count" or "ignore") */
static int sigchld(lua_State *lua)
{
    int ignore = !strcmp(luaL_checklstring(lua, 1, NULL), "ignore");
    signal(SIGCHLD, ignore ? SIG_IGN : count_child);
    return 0;
}

static int sigchlds(lua_State *lua)
{
    char text[32];
    snprintf(text, sizeof text, "%d", children_seen);
    lua_pushstring(lua, text);
    return 1;
}

static int subreaper(lua_State *lua)
{
    return done(lua, prctl(PR_SET_CHILD_SUBREAPER, 1));
}

/* setuid(id): real, effective and saved; and the same for groups, with no supplementary ones but `id`. */
static int set_user(lua_State *lua)
{
    uid_t id = number(lua, 1);
    return done(lua, setresuid(id, id, id));
}

static int set_effective(lua_State *lua)
{
    return done(lua, seteuid(number(lua, 1)));
}

static int set_group(lua_State *lua)
{
    gid_t id = number(lua, 1);
    return done(lua, setgroups(1, &id) || setresgid(id, id, id));
}

static int change_root(lua_State *lua)
{
    return done(lua, chroot(luaL_checklstring(lua, 1, NULL)) || chdir("/"));
}

static int change_directory(lua_State *lua)
{
    return done(lua, chdir(luaL_checklstring(lua, 1, NULL)));
}

/* Gives up one capability. */
static int drop_capability(lua_State *lua)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    int capability = number(lua, 1);
    if (syscall(SYS_capget, &header, data) == 0) {
        struct __user_cap_data_struct *part = &data[capability / 32];
        unsigned bit = 1u << capability % 32;
        part->effective &= ~bit, part->permitted &= ~bit, part->inheritable &= ~bit;
    }
    return done(lua, syscall(SYS_capset, &header, data));
}

/* Gives up one capability for all programs that it runs. */
static int drop_bounding(lua_State *lua)
{
    return done(lua, prctl(PR_CAPBSET_DROP, number(lua, 1), 0, 0, 0));
}

static int no_new_privileges(lua_State *lua)
{
    return done(lua, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

int luaopen_host_calls(lua_State *lua)
{
    static const struct { const char *name; int (*function)(lua_State *); } functions[] = {
        {"wait", wait_for_any}, {"child", child}, {"sigchld", sigchld}, {"sigchlds", sigchlds}, {"subreaper", subreaper},
        {"setuid", set_user}, {"seteuid", set_effective}, {"setgid", set_group}, {"chroot", change_root},
        {"chdir", change_directory}, {"drop", drop_capability},
        {"drop_bounding", drop_bounding}, {"no_new_privileges", no_new_privileges},
        {"fork", fork_plainly}, {"fork_bare", fork_bare}, {"wait_for", wait_for}, {"kill", send_signal},
        {"pid", own_pid}, {"exit", exit_now}, {"close_from", close_from}, {"is_open", is_open}, {"run", run_in_state},
    };
    lua_createtable(lua, 0, 16);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcclosure(lua, functions[i].function, 0);
        lua_setfield(lua, -2, functions[i].name);
    }
    return 1;
}
