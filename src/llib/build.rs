//! Link settings that only the module file needs.

#[path = "../lua/version/chosen.rs"]
mod chosen;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../lua/version/chosen.rs");
    // A Lua state that closes unloads its C modules with dlclose. The module keeps process-wide state
    // (the session with its supervisor), so its code has to stay mapped until the process ends.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
