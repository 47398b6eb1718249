/* What a careless module does with its process, and Lua cannot do by itself. For every version of Lua. */

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct lua_State lua_State;
const char *luaL_checklstring(lua_State *, int, size_t *);
double luaL_checknumber(lua_State *, int);
void lua_createtable(lua_State *, int, int);
void lua_pushnumber(lua_State *, double);
void lua_pushcclosure(lua_State *, int (*)(lua_State *), int);
void lua_setfield(lua_State *, int, const char *);

static int ignore_children(lua_State *lua)
{
    (void)lua;
    signal(SIGCHLD, SIG_IGN);
    return 0;
}

static int close_descriptor(lua_State *lua)
{
    close((int)luaL_checknumber(lua, 1));
    return 0;
}

static int fork_process(lua_State *lua)
{
    lua_pushnumber(lua, fork());
    return 1;
}

static int go_home(lua_State *lua)
{
    lua_pushnumber(lua, chdir("/"));
    return 1;
}

static int set_variable(lua_State *lua)
{
    setenv(luaL_checklstring(lua, 1, NULL), luaL_checklstring(lua, 2, NULL), 1);
    return 0;
}

static int mask(lua_State *lua)
{
    lua_pushnumber(lua, umask((mode_t)luaL_checknumber(lua, 1)));
    return 1;
}

static int print_to(lua_State *lua)
{
    lua_pushnumber(lua, freopen(luaL_checklstring(lua, 1, NULL), "a", stdout) == stdout);
    return 1;
}

static volatile int turns;

static void *turn(void *nothing)
{
    for (;;) {
        turns++;
        usleep(1000);
    }
    return nothing;
}

static int start_thread(lua_State *lua)
{
    pthread_t thread;
    (void)lua;
    pthread_create(&thread, NULL, turn, NULL);
    return 0;
}

static void *nothing(void *argument)
{
    return argument;
}

static int run_thread(lua_State *lua)
{
    pthread_t thread;
    (void)lua;
    if (pthread_create(&thread, NULL, nothing, NULL) == 0)
        pthread_join(thread, NULL);
    return 0;
}

static int count_turns(lua_State *lua)
{
    lua_pushnumber(lua, turns);
    return 1;
}

int luaopen_careless(lua_State *lua)
{
    lua_createtable(lua, 0, 10);
    lua_pushcclosure(lua, ignore_children, 0);
    lua_setfield(lua, -2, "ignore_children");
    lua_pushcclosure(lua, close_descriptor, 0);
    lua_setfield(lua, -2, "close");
    lua_pushcclosure(lua, fork_process, 0);
    lua_setfield(lua, -2, "fork");
    lua_pushcclosure(lua, go_home, 0);
    lua_setfield(lua, -2, "go_home");
    lua_pushcclosure(lua, set_variable, 0);
    lua_setfield(lua, -2, "set_variable");
    lua_pushcclosure(lua, mask, 0);
    lua_setfield(lua, -2, "umask");
    lua_pushcclosure(lua, print_to, 0);
    lua_setfield(lua, -2, "print_to");
    lua_pushcclosure(lua, start_thread, 0);
    lua_setfield(lua, -2, "start_thread");
    lua_pushcclosure(lua, run_thread, 0);
    lua_setfield(lua, -2, "run_thread");
    lua_pushcclosure(lua, count_turns, 0);
    lua_setfield(lua, -2, "turns");
    return 1;
}
