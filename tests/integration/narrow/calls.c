/* Two system calls that a Lua script cannot make by itself. For every version of Lua: nothing here differs between them. */

#include <stddef.h>
#include <unistd.h>

typedef struct lua_State lua_State;
const char *luaL_checklstring(lua_State *, int, size_t *);
void lua_createtable(lua_State *, int, int);
void lua_pushboolean(lua_State *, int);
void lua_pushcclosure(lua_State *, int (*)(lua_State *), int);
void lua_setfield(lua_State *, int, const char *);

static int change_directory(lua_State *lua)
{
    lua_pushboolean(lua, chdir(luaL_checklstring(lua, 1, NULL)) == 0);
    return 1;
}

static int become(lua_State *lua)
{
    const char *program = luaL_checklstring(lua, 1, NULL);
    execlp(program, program, luaL_checklstring(lua, 2, NULL), (char *)NULL);
    return 0;
}

int luaopen_narrow_calls(lua_State *lua)
{
    lua_createtable(lua, 0, 2);
    lua_pushcclosure(lua, change_directory, 0);
    lua_setfield(lua, -2, "chdir");
    lua_pushcclosure(lua, become, 0);
    lua_setfield(lua, -2, "exec");
    return 1;
}
