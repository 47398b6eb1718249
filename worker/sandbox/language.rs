//! What of Lua's standard libraries a sandboxed job has: data. The folder `lua` takes the rest away.

use llib_core::wire::sandbox::SandboxPolicy;

/// When a sandbox has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Always.
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
    pub fn granted(self, policy: &SandboxPolicy) -> bool {
        match self {
            Needs::Nothing => true,
            Needs::Files => policy.files(),
            Needs::Writing => !policy.write.is_empty(),
            Needs::Programs => policy.exec,
        }
    }
}

/// A library and what stays of it; of libraries that are not listed nothing does.
pub struct Library {
    /// Its name in `package.loaded`.
    pub name: &'static str,
    /// When there is any of it.
    pub needs: Needs,
    /// The fields that stay, each with when.
    pub fields: &'static [(&'static str, Needs)],
}

/// Fields of a library: those that are always there, and after a bar those that need a grant.
macro_rules! fields {
    ($($name:literal)* $(| $($granted:literal: $needs:ident)*)?) => {
        &[$(($name, Needs::Nothing),)* $($(($granted, Needs::$needs),)*)?]
    };
}

/// The allow-list.
pub const LIBRARIES: &[Library] = &[
    Library {
        name: "_G",
        needs: Needs::Nothing,
        // Of all versions. `load` and `loadstring` take text alone; `require` finds what was granted; both are made so in `lua::loaders`.
        fields: fields! {
            "_G" "_VERSION" "assert" "collectgarbage" "error" "gcinfo" "getfenv" "getmetatable" "ipairs" "load"
            "loadstring" "newproxy" "next" "pairs" "pcall" "print" "rawequal" "rawget" "rawlen" "rawset" "require"
            "select" "setfenv" "setmetatable" "tonumber" "tostring" "type" "unpack" "warn" "xpcall"
            | "dofile": Files "loadfile": Files
        },
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
        fields: fields! {
            "clock" "date" "difftime" "time" | "remove": Writing "rename": Writing "execute": Programs
        },
    },
    Library {
        name: "io",
        needs: Needs::Files,
        // Not `tmpfile`, whose place is not granted.
        fields: fields! {
            "close" "input" "lines" "open" "output" "read" "stderr" "stdin" "stdout" "type" "write"
            | "popen": Programs
        },
    },
    Library { name: "debug", needs: Needs::Nothing, fields: fields! { "traceback" } },
    Library {
        name: "package",
        needs: Needs::Nothing,
        // `searchers` becomes a list of two: what `libs` granted, and text on granted paths.
        fields: fields! {
            "config" "loaded" "loaders" "path" "preload" "searchers" | "searchpath": Files
        },
    },
    // Its functions take care of themselves: `async` raises.
    Library { name: "llib", needs: Needs::Nothing, fields: &[] },
];
