//! Builds Lua from source and links the whole of it, so that C modules loaded later find every symbol.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let (folder, libraries) = build();
    println!("cargo:rustc-link-search=native={}", folder.display());
    for library in libraries {
        println!("cargo:rustc-link-lib=static:+whole-archive={library}");
    }
    println!("cargo:rustc-link-lib=dylib=m");
    println!("cargo:rustc-link-lib=dylib=dl");
}

/// The folder of the static library, and its name.
///
/// Assertions of the Lua API are off in every profile: they change the layout of some structures, and C
/// modules of the system are built without them.
#[cfg(not(feature = "luajit"))]
#[allow(unsafe_code)]
fn build() -> (PathBuf, Vec<String>) {
    let version = if cfg!(feature = "lua55") {
        lua_src::Lua55
    } else if cfg!(feature = "lua53") {
        lua_src::Lua53
    } else if cfg!(feature = "lua52") {
        lua_src::Lua52
    } else if cfg!(feature = "lua51") {
        lua_src::Lua51
    } else {
        lua_src::Lua54
    };
    // What a distribution's interpreter has of the version before (Makefile of each version; Debian's are the
    // same), a job must find too.
    let compatible = match version {
        lua_src::Lua52 => Some("-DLUA_COMPAT_ALL"),
        lua_src::Lua53 => Some("-DLUA_COMPAT_5_2"),
        _ => None,
    };
    if let Some(define) = compatible {
        let given = std::env::var("CFLAGS").unwrap_or_default();
        // SAFETY: this program has one thread.
        unsafe { std::env::set_var("CFLAGS", format!("{given} {define}")) };
    }
    let lua = lua_src::Build::new().debug(false).opt_level("2").build(version);
    (lua.lib_dir().to_owned(), lua.libs().to_vec())
}

/// See above. Needs `make`.
#[cfg(feature = "luajit")]
fn build() -> (PathBuf, Vec<String>) {
    let lua = luajit_src::Build::new().debug(false).build();
    (lua.lib_dir().to_owned(), lua.libs().to_vec())
}
