//! Link settings of the executables.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // C modules such as cjson or lfs expect the interpreter that loads them to export Lua's API.
    println!("cargo:rustc-link-arg-bins=-rdynamic");
}
