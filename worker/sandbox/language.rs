//! What of Lua's standard libraries a sandboxed job has: data. The folder `lua` takes the rest away.

use llib_core::wire::sandbox::SandboxPolicy;

/// When a sandbox has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// Paths that may be read or written.
    Files,
    /// Paths that may be written.
    Writing,
    /// Programs that may be run.
    Programs,
}

impl Needs {
    /// Whether a policy grants it.
    pub(crate) fn granted(self, policy: &SandboxPolicy) -> bool {
        match self {
            Needs::Nothing => true,
            Needs::Files => policy.files(),
            Needs::Writing => !policy.write.is_empty(),
            Needs::Programs => policy.exec,
        }
    }
}

/// A library and what stays of it; of libraries that are not listed nothing does.
pub(crate) struct Library {
    /// Its name in `package.loaded`.
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
    pub(crate) fields: &'static [(&'static str, Needs)],
}

macro_rules! fields {
    ($($name:literal)*) => { &[$(($name, Needs::Nothing)),*] };
}

/// The allow-list.
pub(crate) const LIBRARIES: &[Library] = &[
    Library {
        name: "_G",
        needs: Needs::Nothing,
        // Of all versions. `load` and `loadstring` take text alone; `require` finds what was granted; both are made so in `lua::loaders`.
        fields: &[
            ("_G", Needs::Nothing),
            ("_VERSION", Needs::Nothing),
            ("assert", Needs::Nothing),
            ("collectgarbage", Needs::Nothing),
            ("dofile", Needs::Files),
            ("error", Needs::Nothing),
            ("gcinfo", Needs::Nothing),
            ("getfenv", Needs::Nothing),
            ("getmetatable", Needs::Nothing),
            ("ipairs", Needs::Nothing),
            ("load", Needs::Nothing),
            ("loadfile", Needs::Files),
            ("loadstring", Needs::Nothing),
            ("newproxy", Needs::Nothing),
            ("next", Needs::Nothing),
            ("pairs", Needs::Nothing),
            ("pcall", Needs::Nothing),
            ("print", Needs::Nothing),
            ("rawequal", Needs::Nothing),
            ("rawget", Needs::Nothing),
            ("rawlen", Needs::Nothing),
            ("rawset", Needs::Nothing),
            ("require", Needs::Nothing),
            ("select", Needs::Nothing),
            ("setfenv", Needs::Nothing),
            ("setmetatable", Needs::Nothing),
            ("tonumber", Needs::Nothing),
            ("tostring", Needs::Nothing),
            ("type", Needs::Nothing),
            ("unpack", Needs::Nothing),
            ("warn", Needs::Nothing),
            ("xpcall", Needs::Nothing),
        ],
    },
    Library {
        name: "string",
        needs: Needs::Nothing,
        // Not `dump`: it makes bytecode.
        fields: fields! {
            "byte" "char" "find" "format" "gfind" "gmatch" "gsub" "len" "lower" "match" "pack" "packsize" "rep"
            "reverse" "sub" "unpack" "upper"
        },
    },
    Library {
        name: "table",
        needs: Needs::Nothing,
        fields: fields! {
            "concat" "create" "foreach" "foreachi" "getn" "insert" "maxn" "move" "pack" "remove" "setn" "sort" "unpack"
        },
    },
    Library {
        name: "math",
        needs: Needs::Nothing,
        fields: fields! {
            "abs" "acos" "asin" "atan" "atan2" "ceil" "cos" "cosh" "deg" "exp" "floor" "fmod" "frexp" "huge" "ldexp"
            "log" "log10" "max" "maxinteger" "min" "mininteger" "mod" "modf" "pi" "pow" "rad" "random" "randomseed"
            "sin" "sinh" "sqrt" "tan" "tanh" "tointeger" "type" "ult"
        },
    },
    Library {
        name: "utf8",
        needs: Needs::Nothing,
        fields: fields! { "char" "charpattern" "codepoint" "codes" "len" "offset" },
    },
    Library {
        name: "bit32",
        needs: Needs::Nothing,
        fields: fields! {
            "arshift" "band" "bnot" "bor" "btest" "bxor" "extract" "lrotate" "lshift" "replace" "rrotate" "rshift"
        },
    },
    Library {
        name: "bit",
        needs: Needs::Nothing,
        fields: fields! {
            "arshift" "band" "bnot" "bor" "bswap" "bxor" "lshift" "rol" "ror" "rshift" "tobit" "tohex"
        },
    },
    Library {
        name: "jit",
        needs: Needs::Nothing,
        // What it is, and not what it does: the compiler is off.
        fields: fields! { "arch" "os" "version" "version_num" },
    },
    Library {
        name: "coroutine",
        needs: Needs::Nothing,
        fields: fields! { "close" "create" "isyieldable" "resume" "running" "status" "wrap" "yield" },
    },
    Library {
        name: "os",
        needs: Needs::Nothing,
        // `getenv` is added where variables are granted. Not `exit`, `setlocale`, `tmpname`.
        fields: &[
            ("clock", Needs::Nothing),
            ("date", Needs::Nothing),
            ("difftime", Needs::Nothing),
            ("time", Needs::Nothing),
            ("remove", Needs::Writing),
            ("rename", Needs::Writing),
            ("execute", Needs::Programs),
        ],
    },
    Library {
        name: "io",
        needs: Needs::Files,
        // Not `tmpfile`, whose place is not granted.
        fields: &[
            ("close", Needs::Nothing),
            ("input", Needs::Nothing),
            ("lines", Needs::Nothing),
            ("open", Needs::Nothing),
            ("output", Needs::Nothing),
            ("popen", Needs::Programs),
            ("read", Needs::Nothing),
            ("stderr", Needs::Nothing),
            ("stdin", Needs::Nothing),
            ("stdout", Needs::Nothing),
            ("type", Needs::Nothing),
            ("write", Needs::Nothing),
        ],
    },
    Library { name: "debug", needs: Needs::Nothing, fields: fields! { "traceback" } },
    Library {
        name: "package",
        needs: Needs::Nothing,
        // `searchers` becomes a list of two: what `libs` granted, and text on granted paths.
        fields: &[
            ("config", Needs::Nothing),
            ("loaded", Needs::Nothing),
            ("loaders", Needs::Nothing),
            ("path", Needs::Nothing),
            ("preload", Needs::Nothing),
            ("searchers", Needs::Nothing),
            ("searchpath", Needs::Files),
        ],
    },
    // Its functions take care of themselves: `async` raises.
    Library { name: "llib", needs: Needs::Nothing, fields: &[] },
];
