//! The standard library as workers have it: what each version's is made of.

/// Modules and their fields that are C functions, of the Lua that workers are built with. A module without fields is a
/// function itself. What a host's Lua has beyond this cannot be named.
pub(super) const LIBRARY: &[(&str, &[&str])] = &[
    (
        "_G",
        &[
            "assert",
            "collectgarbage",
            "dofile",
            "error",
            "getmetatable",
            "ipairs",
            "load",
            "loadfile",
            "next",
            "pairs",
            "pcall",
            "print",
            "rawequal",
            "rawget",
            "rawset",
            "require",
            "select",
            "setmetatable",
            "tonumber",
            "tostring",
            "type",
            "xpcall",
        ],
    ),
    #[cfg(not(any(feature = "lua51", feature = "luajit")))]
    ("_G", &["rawlen"]),
    #[cfg(any(feature = "lua54", feature = "lua55"))]
    ("_G", &["warn"]),
    #[cfg(any(feature = "lua51", feature = "lua52", feature = "luajit"))]
    ("_G", &["loadstring", "module", "unpack"]),
    #[cfg(any(feature = "lua51", feature = "luajit"))]
    ("_G", &["gcinfo", "getfenv", "newproxy", "setfenv"]),
    ("coroutine", &["create", "resume", "running", "status", "wrap", "yield"]),
    #[cfg(not(any(feature = "lua51", feature = "lua52")))]
    ("coroutine", &["isyieldable"]),
    #[cfg(any(feature = "lua54", feature = "lua55"))]
    ("coroutine", &["close"]),
    (
        "debug",
        &[
            "debug",
            "gethook",
            "getinfo",
            "getlocal",
            "getmetatable",
            "getregistry",
            "getupvalue",
            "sethook",
            "setlocal",
            "setmetatable",
            "setupvalue",
            "traceback",
        ],
    ),
    #[cfg(any(feature = "lua51", feature = "luajit"))]
    ("debug", &["getfenv", "setfenv"]),
    #[cfg(not(feature = "lua51"))]
    ("debug", &["upvalueid", "upvaluejoin"]),
    #[cfg(not(any(feature = "lua51", feature = "luajit")))]
    ("debug", &["getuservalue", "setuservalue"]),
    #[cfg(feature = "lua54")]
    ("debug", &["setcstacklimit"]),
    (
        "io",
        &["close", "flush", "input", "lines", "open", "output", "popen", "read", "tmpfile", "type", "write"],
    ),
    (
        "math",
        &[
            "abs",
            "acos",
            "asin",
            "atan",
            "ceil",
            "cos",
            "deg",
            "exp",
            "floor",
            "fmod",
            "log",
            "max",
            "min",
            "modf",
            "rad",
            "random",
            "randomseed",
            "sin",
            "sqrt",
            "tan",
        ],
    ),
    #[cfg(not(feature = "lua55"))]
    ("math", &["atan2", "cosh", "frexp", "ldexp", "log10", "pow", "sinh", "tanh"]),
    #[cfg(feature = "lua55")]
    ("math", &["frexp", "ldexp"]),
    #[cfg(feature = "lua51")]
    ("math", &["mod"]),
    #[cfg(any(feature = "lua53", feature = "lua54", feature = "lua55"))]
    ("math", &["tointeger", "type", "ult"]),
    (
        "os",
        &[
            "clock",
            "date",
            "difftime",
            "execute",
            "exit",
            "getenv",
            "remove",
            "rename",
            "setlocale",
            "time",
            "tmpname",
        ],
    ),
    ("package", &["loadlib"]),
    #[cfg(not(feature = "lua51"))]
    ("package", &["searchpath"]),
    #[cfg(any(feature = "lua51", feature = "lua52", feature = "luajit"))]
    ("package", &["seeall"]),
    (
        "string",
        &[
            "byte", "char", "dump", "find", "format", "gmatch", "gsub", "len", "lower", "match", "rep",
            "reverse", "sub", "upper",
        ],
    ),
    #[cfg(feature = "lua51")]
    ("string", &["gfind"]),
    #[cfg(any(feature = "lua53", feature = "lua54", feature = "lua55"))]
    ("string", &["pack", "packsize", "unpack"]),
    ("table", &["concat", "insert", "remove", "sort"]),
    #[cfg(any(feature = "lua51", feature = "lua52", feature = "luajit"))]
    ("table", &["maxn"]),
    #[cfg(feature = "lua51")]
    ("table", &["foreach", "foreachi", "getn", "setn"]),
    #[cfg(not(any(feature = "lua51", feature = "luajit")))]
    ("table", &["pack", "unpack"]),
    #[cfg(any(feature = "lua53", feature = "lua54", feature = "lua55"))]
    ("table", &["move"]),
    #[cfg(feature = "lua55")]
    ("table", &["create"]),
    #[cfg(any(feature = "lua52", feature = "lua53"))]
    (
        "bit32",
        &[
            "arshift", "band", "bnot", "bor", "btest", "bxor", "extract", "lrotate", "lshift", "replace",
            "rrotate", "rshift",
        ],
    ),
    #[cfg(any(feature = "lua53", feature = "lua54", feature = "lua55"))]
    ("utf8", &["char", "codepoint", "codes", "len", "offset"]),
    #[cfg(feature = "luajit")]
    (
        "bit",
        &[
            "arshift", "band", "bnot", "bor", "bswap", "bxor", "lshift", "rol", "ror", "rshift", "tobit",
            "tohex",
        ],
    ),
    #[cfg(feature = "luajit")]
    ("jit", &["attach", "flush", "off", "on", "security", "status"]),
    #[cfg(feature = "luajit")]
    ("jit.opt", &["start"]),
    #[cfg(feature = "luajit")]
    (
        "jit.util",
        &[
            "funcbc",
            "funcinfo",
            "funck",
            "funcuvname",
            "ircalladdr",
            "traceexitstub",
            "traceinfo",
            "traceir",
            "tracek",
            "tracemc",
            "tracesnap",
        ],
    ),
    #[cfg(feature = "luajit")]
    ("jit.profile", &["dumpstack", "start", "stop"]),
    #[cfg(feature = "luajit")]
    ("string.buffer", &["decode", "encode", "new"]),
    #[cfg(feature = "luajit")]
    ("table.clear", &[]),
    #[cfg(feature = "luajit")]
    ("table.new", &[]),
    #[cfg(feature = "luajit")]
    (
        "ffi",
        &[
            "abi", "alignof", "cast", "cdef", "copy", "errno", "fill", "gc", "istype", "load", "metatype",
            "new", "offsetof", "sizeof", "string", "typeinfo", "typeof",
        ],
    ),
];

/// Whether workers have a module of this name by themselves.
pub(in crate::convert) fn has_module(name: &[u8]) -> bool {
    LIBRARY.iter().any(|(module, _)| module.as_bytes() == name)
}

/// The modules.
pub(super) fn modules() -> impl Iterator<Item = &'static str> {
    // Those of several entries follow each other.
    let mut last = "";
    LIBRARY
        .iter()
        .map(|(module, _)| *module)
        .filter(move |module| std::mem::replace(&mut last, *module) != *module)
}

/// All functions by their places: module and field, the latter empty where the module is the function.
pub(super) fn functions() -> impl Iterator<Item = (&'static str, &'static str)> {
    LIBRARY.iter().flat_map(|&(module, fields)| {
        let alone = fields.is_empty().then_some((module, ""));
        alone.into_iter().chain(fields.iter().map(move |&field| (module, field)))
    })
}
