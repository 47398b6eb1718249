/* System calls that a Lua script cannot make by itself. For every version of Lua: nothing here differs between them. */

#define _GNU_SOURCE
#include <errno.h>
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

int luaopen_host_calls(lua_State *lua)
{
    static const struct { const char *name; int (*function)(lua_State *); } functions[] = {
        {"wait", wait_for_any}, {"child", child}, {"sigchld", sigchld}, {"sigchlds", sigchlds}, {"subreaper", subreaper},
        {"setuid", set_user}, {"seteuid", set_effective}, {"setgid", set_group}, {"chroot", change_root},
        {"chdir", change_directory}, {"drop", drop_capability},
    };
    lua_createtable(lua, 0, 16);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcclosure(lua, functions[i].function, 0);
        lua_setfield(lua, -2, functions[i].name);
    }
    return 1;
}
