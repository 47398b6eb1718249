//! Where `require` looks: the defaults of `package.path` and `package.cpath`.
//!
//! Lua built from its plain source searches `/usr/local` and the working directory, so modules installed
//! by the system's packages would not be found. A distribution patches its own directories into its Lua;
//! this is the same for the Lua built in here. The list and its order are Debian's, which on Debian and
//! its descendants makes both paths, and so the text of "module not found", equal to stock Lua's:
//!
//! - the multiarch directory is fixed when llib is built: modules fit the architecture of the executable,
//!   whatever else is installed;
//! - `/usr/lib64` (Fedora, openSUSE) is looked for when the command starts and joins only where it holds
//!   a directory for this Lua, since elsewhere it would do no more than lengthen error messages.
//!
//! `LUA_PATH` and `LUA_CPATH` work as in stock Lua: they replace the default, and `;;` in them stands for
//! it. The default meant is the one of this file.

use std::path::Path;

use crate::environment::VERSION;

/// The two search paths, as Lua strings.
#[derive(Debug, PartialEq)]
pub(crate) struct SearchPath {
    /// `package.path`
    pub(crate) lua: Vec<u8>,
    /// `package.cpath`
    pub(crate) c: Vec<u8>,
}

/// Debian's name for the architecture that this executable is built for, if it has one.
const MULTIARCH: Option<&str> = {
    let gnu = cfg!(all(target_os = "linux", target_env = "gnu"));
    let little = cfg!(target_endian = "little");
    if !gnu {
        None
    } else if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
        Some("x86_64-linux-gnu")
    } else if cfg!(target_arch = "aarch64") && little {
        Some("aarch64-linux-gnu")
    } else if cfg!(target_arch = "x86") {
        Some("i386-linux-gnu")
    } else if cfg!(all(target_arch = "arm", target_abi = "eabihf")) {
        Some("arm-linux-gnueabihf")
    } else if cfg!(target_arch = "riscv64") {
        Some("riscv64-linux-gnu")
    } else if cfg!(target_arch = "powerpc64") && little {
        Some("powerpc64le-linux-gnu")
    } else if cfg!(target_arch = "s390x") {
        Some("s390x-linux-gnu")
    } else if cfg!(target_arch = "loongarch64") {
        Some("loongarch64-linux-gnu")
    } else {
        None
    }
};

impl SearchPath {
    /// The paths for these values of `LUA_PATH` and `LUA_CPATH`.
    pub(crate) fn new(path: Option<&[u8]>, cpath: Option<&[u8]>) -> Self {
        let lib64 = Path::new("/usr/lib64/lua").join(VERSION).is_dir();
        Self {
            lua: resolve(path, default_path(lib64).as_bytes()),
            c: resolve(cpath, default_cpath(lib64).as_bytes()),
        }
    }
}

fn default_path(lib64: bool) -> String {
    let mut roots = vec!["/usr/local/share", "/usr/local/lib", "/usr/share"];
    if lib64 {
        roots.push("/usr/lib64");
    }
    let installed = roots.iter().map(|root| format!("{root}/lua/{VERSION}"));
    let folders = installed.chain([".".to_owned()]);
    folders.map(|folder| format!("{folder}/?.lua;{folder}/?/init.lua")).collect::<Vec<_>>().join(";")
}

fn default_cpath(lib64: bool) -> String {
    let mut roots = vec!["/usr/local/lib".to_owned()];
    roots.extend(MULTIARCH.map(|triplet| format!("/usr/lib/{triplet}")));
    if lib64 {
        roots.push("/usr/lib64".to_owned());
    }
    roots.push("/usr/lib".to_owned());
    let mut templates: Vec<String> = roots.iter().map(|root| format!("{root}/lua/{VERSION}/?.so")).collect();
    templates.push(format!("/usr/local/lib/lua/{VERSION}/loadall.so"));
    templates.push("./?.so".to_owned());
    templates.join(";")
}

/// The value of a path variable with the default in place of its first `;;`, as Lua's `setpath` does it.
fn resolve(variable: Option<&[u8]>, default: &[u8]) -> Vec<u8> {
    let Some(value) = variable else { return default.to_vec() };
    let Some(mark) = value.windows(2).position(|pair| pair == b";;") else { return value.to_vec() };
    let (before, after) = (value.get(..mark).unwrap_or_default(), value.get(mark + 2..).unwrap_or_default());
    [before, default, after].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(&b';')
}

#[cfg(test)]
mod tests {
    use super::{VERSION, default_cpath, default_path, resolve};

    #[test]
    fn two_semicolons_stand_for_the_default() {
        for (value, expected) in [
            ("", ""),
            ("a", "a"),
            (";;", "D"),
            ("a;;", "a;D"),
            (";;b", "D;b"),
            ("a;;b", "a;D;b"),
            ("a;;b;;c", "a;D;b;;c"),
            (";;;", "D;;"),
        ] {
            let got = resolve(Some(value.as_bytes()), b"D");
            assert_eq!(String::from_utf8(got).unwrap(), expected, "{value:?}");
        }
        assert_eq!(resolve(None, b"D"), b"D");
    }

    #[test]
    fn lib64_joins_only_where_it_exists() {
        for path in [default_path, default_cpath] {
            assert!(!path(false).contains("lib64"));
            assert!(path(true).contains(&format!(";/usr/lib64/lua/{VERSION}/?.")));
        }
    }

    #[test]
    fn the_working_directory_comes_last() {
        assert!(default_path(false).ends_with(";./?.lua;./?/init.lua"));
        assert!(default_cpath(false).ends_with("/loadall.so;./?.so"));
    }
}
