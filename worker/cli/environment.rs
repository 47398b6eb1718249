//! What Lua's environment variables ask for, read before there is a Lua state.

use std::env;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

use crate::search_path::SearchPath;

/// Lua's version as directories name it.
pub(crate) use llib_lua::version::NUMBER as VERSION;

/// The environment of one run.
pub(crate) struct Environment {
    /// `LUA_INIT`, if it is set.
    pub(crate) init: Option<Init>,
    /// `package.path` and `package.cpath`.
    pub(crate) search: SearchPath,
}

/// What `LUA_INIT` asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Init {
    /// `@file`: run it.
    File(CString),
    /// Code, and the chunk name that errors show.
    Code { code: CString, name: CString },
}

impl Environment {
    /// Reads the process's environment, or acts as if it was empty (`-E`).
    pub(crate) fn read(ignore: bool) -> Self {
        if ignore { Self::from_lookup(|_| None) } else { Self::from_lookup(|name| env::var_os(name)) }
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        // The name with the version wins, also when its value is empty. Lua 5.1 knows no such names.
        let suffix = (VERSION != "5.1").then(|| format!("_{}", VERSION.replace('.', "_")));
        let versioned = |name: &str| {
            [suffix.as_ref().map(|suffix| format!("{name}{suffix}")), Some(name.to_owned())]
                .into_iter()
                .flatten()
                .find_map(|name| lookup(&name).map(|value| (name, value.into_vec())))
        };
        let value = |name: &str| versioned(name).map(|(_, value)| value);
        Self {
            init: versioned("LUA_INIT").map(|(name, value)| init(&name, &value)),
            search: SearchPath::new(value("LUA_PATH").as_deref(), value("LUA_CPATH").as_deref()),
        }
    }
}

fn init(name: &str, value: &[u8]) -> Init {
    // No variable holds a NUL byte, so nothing is lost in these conversions.
    let text = |bytes: &[u8]| CString::new(bytes).unwrap_or_default();
    match value.strip_prefix(b"@") {
        Some(file) => Init::File(text(file)),
        None => Init::Code { code: text(value), name: text(format!("={name}").as_bytes()) },
    }
}

#[cfg(test)]
mod tests {
    use super::{Environment, Init, VERSION};
    use std::ffi::OsString;

    fn init(variables: &[(&str, &str)]) -> Option<Init> {
        let lookup =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, v)| OsString::from(v));
        Environment::from_lookup(lookup).init
    }

    #[test]
    fn the_versioned_variable_wins_and_names_the_chunk() {
        assert_eq!(init(&[]), None);
        let code = |code: &std::ffi::CStr, name: &std::ffi::CStr| Init::Code {
            code: code.to_owned(),
            name: name.to_owned(),
        };
        assert_eq!(init(&[("LUA_INIT", "x=1")]), Some(code(c"x=1", c"=LUA_INIT")));
        assert_eq!(init(&[("LUA_INIT", "@a.lua")]), Some(Init::File(c"a.lua".to_owned())));
        let versioned = format!("LUA_INIT_{}", VERSION.replace('.', "_"));
        if VERSION != "5.1" {
            let name = std::ffi::CString::new(format!("={versioned}")).unwrap();
            assert_eq!(init(&[("LUA_INIT", "x=1"), (&versioned, "")]), Some(code(c"", &name)));
        }
    }
}
