//! Which Lua the programs under test are built for: the one that this package's feature names.

/// The feature.
pub const FEATURE: &str = if cfg!(feature = "lua55") {
    "lua55"
} else if cfg!(feature = "lua54") {
    "lua54"
} else if cfg!(feature = "lua53") {
    "lua53"
} else if cfg!(feature = "lua52") {
    "lua52"
} else if cfg!(feature = "lua51") {
    "lua51"
} else {
    "luajit"
};

/// The version as files and variables name it. LuaJIT has the language of Lua 5.1.
pub const NUMBER: &str = if cfg!(feature = "lua55") {
    "5.5"
} else if cfg!(feature = "lua54") {
    "5.4"
} else if cfg!(feature = "lua53") {
    "5.3"
} else if cfg!(feature = "lua52") {
    "5.2"
} else {
    "5.1"
};

/// The program of the stock interpreter.
pub fn stock() -> String {
    if cfg!(feature = "luajit") { "luajit".to_owned() } else { format!("lua{NUMBER}") }
}

/// The end of the names of this version's environment variables, such as `_5_4`.
pub fn suffix() -> String {
    format!("_{}", NUMBER.replace('.', "_"))
}
