//! Builds Lua from source and links the whole of it, so that C modules loaded later find every symbol.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Assertions of the Lua API are off in every profile: they change the layout of some structures,
    // and C modules of the system are built without them.
    let lua = lua_src::Build::new().debug(false).opt_level("2").build(lua_src::Lua54);
    println!("cargo:rustc-link-search=native={}", lua.lib_dir().display());
    for lib in lua.libs() {
        println!("cargo:rustc-link-lib=static:+whole-archive={lib}");
    }
    println!("cargo:rustc-link-lib=dylib=m");
    println!("cargo:rustc-link-lib=dylib=dl");
}
