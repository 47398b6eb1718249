//! The option `sandbox`, and telling what a sandbox enforces.

use std::ffi::{CStr, CString, c_int};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use llib_lua::ffi::*;

use super::option::{expected, integer};
use llib_core::sys::capabilities::{capabilities, kernel};
use llib_core::wire::sandbox::{FEATURES, Feature, JOBS, MOST_JOBS, SandboxPolicy};
use llib_host::Broker;
use llib_lua::call::{Outcome, bytes, push_text, type_name};

const KNOWN: [&str; 8] = ["read", "write", "net", "env", "libs", "exec", "jobs", "best_effort"];

/// Standard libraries that a sandbox has anyway, as far as it has them.
const STANDARD: [&[u8]; 9] =
    [b"string", b"table", b"math", b"utf8", b"bit32", b"bit", b"jit", b"coroutine", b"llib"];

/// What `task:sandbox()` reports of its job.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// Version of Landlock's interface that was used.
    landlock: u32,
    seccomp: bool,
    missing: Vec<Feature>,
}

/// What `sandbox = {}` grants where the job's own sandbox is the outer one.
fn without_grants() -> SandboxPolicy {
    let jobs = Broker::current().map_or(JOBS, |broker| broker.policy.jobs.min(JOBS));
    SandboxPolicy { jobs, ..SandboxPolicy::default() }
}

/// Takes the value on top of the stack as the option: `false` is none.
///
/// # Safety
/// `lua` is a valid state with a value on top and eight free stack slots.
pub(super) unsafe fn read(lua: *mut lua_State) -> Result<Option<SandboxPolicy>, String> {
    // SAFETY: as demanded; the table is not changed while it is visited, and raw access alone is used.
    unsafe {
        match lua_type(lua, -1) {
            LUA_TBOOLEAN => return Ok((lua_toboolean(lua, -1) != 0).then(without_grants)),
            LUA_TTABLE => {}
            _ => {
                return Err(format!(
                    "option 'sandbox' expects a boolean or a table, got {}",
                    type_name(lua, -1)
                ));
            }
        }
        let mut policy = without_grants();
        lua_pushnil(lua);
        while lua_next(lua, -2) != 0 {
            let key = bytes(lua, -2).map(|key| String::from_utf8_lossy(key).into_owned());
            let Some(key) = key.filter(|key| KNOWN.contains(&key.as_str())) else {
                let got = bytes(lua, -2).map(|key| format!("'{}'", String::from_utf8_lossy(key)));
                let got = got.unwrap_or_else(|| type_name(lua, -2));
                return Err(format!("option 'sandbox' has no field {got} (known: {})", KNOWN.join(", ")));
            };
            set(lua, &mut policy, &key)?;
            lua_pop(lua, 1);
        }
        Ok(Some(policy))
    }
}

unsafe fn set(lua: *mut lua_State, policy: &mut SandboxPolicy, key: &str) -> Result<(), String> {
    // SAFETY: the caller has the field's value on top of the stack, with free slots.
    unsafe {
        match key {
            "read" => policy.read = paths(strings(lua, key, "paths")?, key)?,
            "write" => policy.write = paths(strings(lua, key, "paths")?, key)?,
            "env" => policy.env = strings(lua, key, "names")?.into_iter().filter_map(variable).collect(),
            "libs" => policy.libs = libraries(strings(lua, key, "names")?)?,
            "jobs" => {
                let jobs =
                    integer(lua).and_then(|jobs| u32::try_from(jobs).ok()).filter(|jobs| *jobs <= MOST_JOBS);
                let range = format!("an integer from 0 to {MOST_JOBS}");
                policy.jobs = jobs.ok_or_else(|| {
                    expected(lua, key, &range).replacen("option 'jobs'", "option 'sandbox': 'jobs'", 1)
                })?;
            }
            _ => {
                if lua_type(lua, -1) != LUA_TBOOLEAN {
                    let got = type_name(lua, -1);
                    return Err(format!("option 'sandbox': '{key}' expects a boolean, got {got}"));
                }
                let given = lua_toboolean(lua, -1) != 0;
                match key {
                    "net" => policy.net = given,
                    "exec" => policy.exec = given,
                    _ => policy.best_effort = given,
                }
            }
        }
    }
    Ok(())
}

/// The strings of the table on top.
unsafe fn strings(lua: *mut lua_State, key: &str, what: &str) -> Result<Vec<Vec<u8>>, String> {
    // SAFETY: the caller has a value on top of the stack and a free slot.
    unsafe {
        if lua_type(lua, -1) != LUA_TTABLE {
            let got = type_name(lua, -1);
            return Err(format!("option 'sandbox': '{key}' expects a table of {what}, got {got}"));
        }
        let mut strings = Vec::new();
        for position in 1..=lua_rawlen(lua, -1) {
            lua_rawgeti(lua, -1, position as lua_Integer);
            let text = bytes(lua, -1).map(<[u8]>::to_vec);
            lua_pop(lua, 1);
            let usable = text.filter(|text| !text.is_empty() && !text.contains(&0));
            strings.push(usable.ok_or_else(|| {
                format!("option 'sandbox': '{key}' expects a table of {what}, and entry {position} is none")
            })?);
        }
        Ok(strings)
    }
}

/// Absolute, since the worker has a directory of its own. What is not there cannot be granted.
fn paths(given: Vec<Vec<u8>>, key: &str) -> Result<Vec<Vec<u8>>, String> {
    if Broker::current().is_some() {
        // Here nothing can be asked of the file system; what a path may be is compared with the grants of this sandbox.
        let relative = given.iter().find(|path| !path.starts_with(b"/"));
        return match relative.map(|path| String::from_utf8_lossy(path)) {
            Some(path) => {
                Err(format!("option 'sandbox': '{key}' in a sandbox takes absolute paths, got '{path}'"))
            }
            None => Ok(given),
        };
    }
    let resolve = |path: Vec<u8>| {
        let path = std::ffi::OsString::from_vec(path);
        std::path::absolute(Path::new(&path))
            .and_then(|absolute| {
                std::fs::metadata(&absolute).map(|_| absolute.as_os_str().as_bytes().to_vec())
            })
            .map_err(|error| {
                format!("option 'sandbox': '{key}' cannot grant '{}': {error}", path.to_string_lossy())
            })
    };
    given.into_iter().map(resolve).collect()
}

/// A variable that the host has, with its value; one that it has not is unset in the sandbox too.
fn variable(name: Vec<u8>) -> Option<(Vec<u8>, Vec<u8>)> {
    let value = std::env::var_os(std::ffi::OsStr::from_bytes(&name)).filter(|_| !name.contains(&b'='))?;
    Some((name, value.into_vec()))
}

fn libraries(mut names: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, String> {
    for (name, instead) in [
        (&b"io"[..], "it comes with 'read' or 'write'"),
        (b"os", "a sandbox has what of it is harmless"),
        (b"debug", "a sandbox has its traceback alone"),
        (b"package", "a sandbox has what of it is harmless"),
        (b"ffi", "it reaches all memory of its process"),
    ] {
        if names.iter().any(|given| given == name) {
            let name = String::from_utf8_lossy(name).into_owned();
            return Err(format!("option 'sandbox': 'libs' cannot grant '{name}': {instead}"));
        }
    }
    names.retain(|name| !STANDARD.contains(&name.as_slice()));
    Ok(names)
}

/// What this kernel will enforce of a policy; the error says what it cannot, unless the policy takes what there is.
pub(super) fn check(policy: &SandboxPolicy) -> Result<Report, String> {
    let found = capabilities();
    let missing = found.missing(policy);
    if !missing.is_empty() && !policy.best_effort {
        let words: Vec<&str> = missing.iter().map(|feature| feature.words).collect();
        return Err(format!(
            "this kernel ({}) cannot enforce the sandbox: it lacks {} (best_effort = true runs without)",
            kernel(),
            words.join(" and ")
        ));
    }
    Ok(Report { landlock: found.landlock, seccomp: found.seccomp, missing })
}

/// Pushes a report as a table.
///
/// # Safety
/// `lua` is a valid state with five free stack slots.
pub(super) unsafe fn push_report(lua: *mut lua_State, report: &Report) {
    // SAFETY: as demanded.
    unsafe {
        lua_createtable(lua, 0, 9);
        set_boolean(lua, c"enforced", report.missing.is_empty());
        for key in [c"language", c"limits", c"descriptors", c"environment", c"no_new_privs"] {
            set_boolean(lua, key, true);
        }
        set_boolean(lua, c"seccomp", report.seccomp);
        push_version(lua, report.landlock);
        lua_setfield(lua, -2, c"landlock".as_ptr());
        push_missing(lua, &report.missing);
        lua_setfield(lua, -2, c"missing".as_ptr());
    }
}

/// `thread.capabilities()`.
///
/// # Safety
/// Called by Lua.
pub(super) unsafe fn capabilities_body(lua: *mut lua_State) -> Outcome {
    let found = capabilities();
    let lacking: Vec<Feature> = FEATURES.iter().copied().filter(|feature| !found.has(*feature)).collect();
    // SAFETY: Lua's state.
    unsafe {
        lua_createtable(lua, 0, 12);
        push_text(lua, kernel());
        lua_setfield(lua, -2, c"kernel".as_ptr());
        for feature in FEATURES {
            let key = CString::new(feature.key).unwrap_or_default();
            set_boolean(lua, &key, found.has(*feature));
        }
        push_version(lua, found.landlock);
        lua_setfield(lua, -2, c"landlock".as_ptr());
        for key in [c"no_new_privs", c"limits"] {
            set_boolean(lua, key, true);
        }
        let works = found.missing(&SandboxPolicy::default()).is_empty();
        set_boolean(lua, c"sandbox", works);
        push_missing(lua, &lacking);
        lua_setfield(lua, -2, c"missing".as_ptr());
    }
    Ok(1)
}

unsafe fn set_boolean(lua: *mut lua_State, key: &CStr, value: bool) {
    // SAFETY: the callers have a table on top, with a free slot.
    unsafe {
        lua_pushboolean(lua, value.into());
        lua_setfield(lua, -2, key.as_ptr());
    }
}

/// The version, or false without Landlock.
unsafe fn push_version(lua: *mut lua_State, version: u32) {
    // SAFETY: the callers have a free slot.
    unsafe {
        if version == 0 {
            lua_pushboolean(lua, 0);
        } else {
            lua_pushinteger(lua, version.into());
        }
    }
}

unsafe fn push_missing(lua: *mut lua_State, missing: &[Feature]) {
    // SAFETY: the callers have three free slots.
    unsafe {
        lua_createtable(lua, missing.len() as c_int, 0);
        for (position, feature) in missing.iter().enumerate() {
            push_text(lua, feature.words);
            lua_rawseti(lua, -2, position as lua_Integer + 1);
        }
    }
}
