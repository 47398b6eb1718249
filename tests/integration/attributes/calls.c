/* What a process passes on to its children, to look at and to change. For every version of Lua: nothing here differs between
   them. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct lua_State lua_State;
const char *luaL_checklstring(lua_State *, int, size_t *);
ptrdiff_t luaL_checkinteger(lua_State *, int);
int lua_type(lua_State *, int);
void lua_createtable(lua_State *, int, int);
void lua_pushboolean(lua_State *, int);
void lua_pushinteger(lua_State *, ptrdiff_t);
void lua_pushstring(lua_State *, const char *);
void lua_pushcclosure(lua_State *, int (*)(lua_State *), int);
void lua_setfield(lua_State *, int, const char *);

static int done(lua_State *lua, int result)
{
    lua_pushboolean(lua, result == 0);
    return 1;
}

/* setenv(name [, value]) */
static int set_variable(lua_State *lua)
{
    const char *name = luaL_checklstring(lua, 1, NULL);
    if (lua_type(lua, 2) <= 0)
        return done(lua, unsetenv(name));
    return done(lua, setenv(name, luaL_checklstring(lua, 2, NULL), 1));
}

/* umask([mask]): the one before */
static int mask(lua_State *lua)
{
    int given = lua_type(lua, 1) > 0;
    mode_t before = umask(given ? (mode_t)luaL_checkinteger(lua, 1) : 0);
    if (!given)
        umask(before);
    lua_pushinteger(lua, before);
    return 1;
}

/* limit(resource [, soft]): the soft one before */
static int limit(lua_State *lua)
{
    struct rlimit value;
    int resource = (int)luaL_checkinteger(lua, 1);
    getrlimit(resource, &value);
    lua_pushinteger(lua, (ptrdiff_t)value.rlim_cur);
    if (lua_type(lua, 2) > 0) {
        value.rlim_cur = (rlim_t)luaL_checkinteger(lua, 2);
        setrlimit(resource, &value);
    }
    return 1;
}

/* processors([the only one]): how many there are */
static int processors(lua_State *lua)
{
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    lua_pushinteger(lua, CPU_COUNT(&set));
    if (lua_type(lua, 1) > 0) {
        CPU_ZERO(&set);
        CPU_SET((int)luaL_checkinteger(lua, 1), &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    return 1;
}

/* nice([value]): the one before */
static int niceness(lua_State *lua)
{
    lua_pushinteger(lua, getpriority(PRIO_PROCESS, 0));
    if (lua_type(lua, 1) > 0)
        setpriority(PRIO_PROCESS, 0, (int)luaL_checkinteger(lua, 1));
    return 1;
}

/* directory([name]): the one before */
static int directory(lua_State *lua)
{
    char name[4096];
    lua_pushstring(lua, getcwd(name, sizeof name) ? name : "");
    if (lua_type(lua, 1) > 0 && chdir(luaL_checklstring(lua, 1, NULL)) != 0)
        abort();
    return 1;
}

/* stream(number [, file]): makes it lead there, or closes it */
static int stream(lua_State *lua)
{
    int number = (int)luaL_checkinteger(lua, 1);
    if (lua_type(lua, 2) <= 0)
        return done(lua, close(number));
    int file = open(luaL_checklstring(lua, 2, NULL), O_RDWR | O_CREAT | O_APPEND, 0600);
    int result = dup2(file, number) == number ? 0 : 1;
    close(file);
    return done(lua, result);
}

/* ignore(signal, whether): whether it was */
static int ignore(lua_State *lua)
{
    lua_pushboolean(lua, signal((int)luaL_checkinteger(lua, 1), lua_type(lua, 2) > 0 ? SIG_IGN : SIG_DFL) == SIG_IGN);
    return 1;
}

/* user([id]): becomes another one; the real user id. */
static int user(lua_State *lua)
{
    if (lua_type(lua, 1) > 0 && setresuid(luaL_checkinteger(lua, 1), -1, -1) != 0)
        return done(lua, -1);
    lua_pushinteger(lua, getuid());
    return 1;
}

int luaopen_attribute_calls(lua_State *lua)
{
    static const struct {
        const char *name;
        int (*function)(lua_State *);
    } functions[] = {
        {"setenv", set_variable}, {"umask", mask},           {"limit", limit},   {"processors", processors},
        {"nice", niceness},       {"directory", directory},  {"stream", stream}, {"ignore", ignore},
        {"user", user},
    };
    lua_createtable(lua, 0, 8);
    for (size_t at = 0; at < sizeof functions / sizeof *functions; at++) {
        lua_pushcclosure(lua, functions[at].function, 0);
        lua_setfield(lua, -2, functions[at].name);
    }
    return 1;
}
