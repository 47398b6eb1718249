//! Exactly one Lua. Compiled into the build script too, where it is told first.

#[cfg(not(any(
    feature = "lua55",
    feature = "lua54",
    feature = "lua53",
    feature = "lua52",
    feature = "lua51",
    feature = "luajit"
)))]
compile_error!("llib needs a Lua: choose one of the features lua55, lua54, lua53, lua52, lua51, luajit");

#[cfg(any(
    all(
        feature = "lua55",
        any(feature = "lua54", feature = "lua53", feature = "lua52", feature = "lua51", feature = "luajit")
    ),
    all(feature = "lua54", any(feature = "lua53", feature = "lua52", feature = "lua51", feature = "luajit")),
    all(feature = "lua53", any(feature = "lua52", feature = "lua51", feature = "luajit")),
    all(feature = "lua52", any(feature = "lua51", feature = "luajit")),
    all(feature = "lua51", feature = "luajit")
))]
compile_error!(
    "llib is built for one Lua at a time: of lua55, lua54, lua53, lua52, lua51, luajit choose one, \
     with --no-default-features unless it is lua54"
);
