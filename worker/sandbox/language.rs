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

/// A line a library: when there is any of it, the fields that are always there, and after a bar those that need a grant.
macro_rules! libraries {
    ($($name:literal $(if $needs:ident)?: $($field:literal)* $(| $($granted:literal if $grant:ident)*)?;)*) => {
        &[$(Library {
            name: $name,
            needs: libraries!(@ $($needs)?),
            fields: &[$(($field, Needs::Nothing),)* $($(($granted, Needs::$grant),)*)?],
        }),*]
    };
    (@) => { Needs::Nothing };
    (@ $needs:ident) => { Needs::$needs };
}

/// The allow-list.
pub const LIBRARIES: &[Library] = libraries! {
    // Of all versions. `load` and `loadstring` take text alone; `require` finds what was granted; both are made so in
    // `lua::loaders`.
    "_G":
        "_G" "_VERSION" "assert" "collectgarbage" "error" "gcinfo" "getfenv" "getmetatable" "ipairs" "load"
        "loadstring" "newproxy" "next" "pairs" "pcall" "print" "rawequal" "rawget" "rawlen" "rawset" "require"
        "select" "setfenv" "setmetatable" "tonumber" "tostring" "type" "unpack" "warn" "xpcall"
        | "dofile" if Files "loadfile" if Files;
    // Not `dump`: it makes bytecode.
    "string":
        "byte" "char" "find" "format" "gfind" "gmatch" "gsub" "len" "lower" "match" "pack" "packsize" "rep"
        "reverse" "sub" "unpack" "upper";
    "table":
        "concat" "create" "foreach" "foreachi" "getn" "insert" "maxn" "move" "pack" "remove" "setn" "sort" "unpack";
    "math":
        "abs" "acos" "asin" "atan" "atan2" "ceil" "cos" "cosh" "deg" "exp" "floor" "fmod" "frexp" "huge" "ldexp"
        "log" "log10" "max" "maxinteger" "min" "mininteger" "mod" "modf" "pi" "pow" "rad" "random" "randomseed"
        "sin" "sinh" "sqrt" "tan" "tanh" "tointeger" "type" "ult";
    "utf8":
        "char" "charpattern" "codepoint" "codes" "len" "offset";
    "bit32":
        "arshift" "band" "bnot" "bor" "btest" "bxor" "extract" "lrotate" "lshift" "replace" "rrotate" "rshift";
    "bit":
        "arshift" "band" "bnot" "bor" "bswap" "bxor" "lshift" "rol" "ror" "rshift" "tobit" "tohex";
    // What it is, and not what it does: the compiler is off.
    "jit":
        "arch" "os" "version" "version_num";
    "coroutine":
        "close" "create" "isyieldable" "resume" "running" "status" "wrap" "yield";
    // `getenv` is added where variables are granted. Not `exit`, `setlocale`, `tmpname`.
    "os":
        "clock" "date" "difftime" "time"
        | "remove" if Writing "rename" if Writing "execute" if Programs;
    // Not `tmpfile`, whose place is not granted.
    "io" if Files:
        "close" "input" "lines" "open" "output" "read" "stderr" "stdin" "stdout" "type" "write"
        | "popen" if Programs;
    "debug":
        "traceback";
    // `searchers` becomes a list of two: what `libs` granted, and text on granted paths.
    "package":
        "config" "loaded" "loaders" "path" "preload" "searchers"
        | "searchpath" if Files;
    // Its functions take care of themselves: `async` raises.
    "llib":;
};
