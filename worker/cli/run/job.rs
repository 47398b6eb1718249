//! The job: a task of `llib.thread` from its start to its outcome.

use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use mlua::{AnyUserData, Function, Lua, LuaString, MultiValue, ObjectLike, Result, Table, Value};

use super::options::{Options, Sandbox};
use super::outcome::{Ending, Failure, Outcome, Output, Usage};
use super::script::Script;
use super::watch::{Event, Watch};
use super::{report, values};
use crate::interpreter::TaskDescriptor;

/// How often it is looked whether the supervisors live. They tell the end of a job, and their own; this is
/// for the case that all of them were killed at once.
const ROUND: Duration = Duration::from_secs(1);

/// Runs a script to its end.
pub(crate) fn run(lua: &Lua, script: &Script, options: &Options) -> Outcome {
    follow(lua, script, options).unwrap_or_else(|error| lost(error.to_string()))
}

/// llib itself failed.
fn lost(reason: impl Into<Vec<u8>>) -> Outcome {
    Failure::new("lost", reason).into()
}

/// `async` raised. What it says of its options is about the command line.
fn refused(reason: Vec<u8>) -> Outcome {
    let options =
        reason.strip_prefix(b"bad argument #2 to 'async' (").and_then(|rest| rest.strip_suffix(b")"));
    match options {
        Some(problem) => Failure::new("usage", problem).into(),
        None => lost(reason),
    }
}

fn follow(lua: &Lua, script: &Script, options: &Options) -> Result<Outcome> {
    // Before the supervisors start: from here on a signal is an event.
    let mut watch = match Watch::begin() {
        Ok(watch) => watch,
        Err(error) => return Ok(lost(format!("failed to watch for signals: {error}"))),
    };
    let task = match start(lua, script, options)? {
        Ok(task) => task,
        Err(reason) => return Ok(refused(reason)),
    };
    let mut outcome = Outcome { ending: wait(&task, &mut watch, options)?, ..Outcome::default() };
    outcome.usage = usage(&task)?;
    if options.output.json {
        outcome.output = output(&task, options)?;
    }
    // When this returns nothing of the job runs.
    task.call_method::<()>("clean", ())?;
    Ok(outcome)
}

/// Starts it; the inner error is why llib could not.
fn start(lua: &Lua, script: &Script, options: &Options) -> Result<std::result::Result<AnyUserData, Vec<u8>>> {
    let llib: Table = lua.globals().get::<Function>("require")?.call("llib")?;
    let chunk = lua.load(include_str!("job.lua")).set_name(format!("={}", report::OWN_CHUNK));
    let starter: Function = chunk.call(llib)?;
    let (started, result) = starter.call::<(bool, Value)>(table(lua, script, options)?)?;
    match result {
        Value::UserData(task) if started => Ok(Ok(task)),
        reason => Ok(Err(reason.to_string()?.into_bytes())),
    }
}

/// The options of `thread.async`.
fn table(lua: &Lua, script: &Script, options: &Options) -> Result<Table> {
    let bytes = |bytes: &[u8]| lua.create_string(bytes);
    let args = lua.create_sequence_from([bytes(&script.text)?, bytes(&script.chunk)?])?;
    args.push(options.output.json)?;
    args.push(bytes(&script.given)?)?;
    for argument in options.arguments() {
        args.push(bytes(&argument.clone().into_vec())?)?;
    }
    let (table, limits) = (lua.create_table()?, &options.limits);
    table.set("args", args)?;
    table.set("globals", "none")?;
    let name = options.output.name.clone().map_or_else(|| script.name.clone(), OsStringExt::into_vec);
    table.set("name", bytes(&name)?)?;
    table.set("timeout", limits.timeout)?;
    table.set("cpu", limits.cpu)?;
    for (key, value) in [
        ("memory", limits.memory),
        ("files", limits.files),
        ("fsize", limits.fsize),
        ("result_limit", limits.result_limit),
        ("nice", limits.nice),
    ] {
        table.set(key, value)?;
    }
    if options.output.json {
        table.set("stdout", "capture")?;
        table.set("stderr", "capture")?;
        // One more, which tells that there was more.
        table.set("capture_limit", options.output.capture_limit + 1)?;
    }
    if let Some(granted) = options.sandbox() {
        table.set("sandbox", sandbox(lua, granted)?)?;
    }
    Ok(table)
}

fn sandbox(lua: &Lua, granted: &Sandbox) -> Result<Table> {
    let table = lua.create_table()?;
    for (key, names) in
        [("read", &granted.read), ("write", &granted.write), ("env", &granted.env), ("libs", &granted.libs)]
    {
        if !names.is_empty() {
            let names = names.iter().map(|name| lua.create_string(name.clone().into_vec()));
            table.set(key, lua.create_sequence_from(names.collect::<Result<Vec<LuaString>>>()?)?)?;
        }
    }
    table.set("jobs", granted.jobs)?;
    for (key, given) in [("net", granted.net), ("exec", granted.exec), ("best_effort", granted.best_effort)] {
        table.set(key, given)?;
    }
    Ok(table)
}

/// Waits until the job has ended, or ends it where a signal says so.
fn wait(task: &AnyUserData, watch: &mut Watch, options: &Options) -> Result<Ending> {
    let descriptor = TaskDescriptor::of(task)?;
    loop {
        match watch.next(&descriptor, ROUND) {
            Ok(Event::Ended | Event::Nothing) => {}
            Ok(Event::Input) => continue,
            Ok(Event::Signal(number)) => {
                task.call_method::<()>("kill", "KILL")?;
                return Ok(Ending::Interrupted(number));
            }
            Ok(Event::Stop) => {
                task.call_method::<()>("pause", ())?;
                watch.stop();
                task.call_method::<()>("resume", ())?;
                continue;
            }
            Err(error) => {
                task.call_method::<()>("kill", "KILL")?;
                return Ok(Ending::Failed(Failure::new("lost", format!("failed to wait: {error}"))));
            }
        }
        if status(task)? == "running" {
            // An await looks after the supervisors as well, at the end of a short while.
            task.call_method::<()>("await", (60, true))?;
        }
        match &*status(task)? {
            "running" => {}
            status => return ending(task, status == "done", options),
        }
    }
}

fn status(task: &AnyUserData) -> Result<String> {
    task.call_method("status", ())
}

fn ending(task: &AnyUserData, done: bool, options: &Options) -> Result<Ending> {
    let values: MultiValue = task.call_method("await", (Value::Nil, true))?;
    let failure = match values.get(1) {
        Some(Value::Table(failure)) if matches!(values.front(), Some(Value::Nil)) => Some(failure),
        _ => None,
    };
    if let Some(failure) = failure {
        // A result that cannot be received is a failure of this task; the script may have returned another's.
        let pid = || {
            Ok::<_, mlua::Error>(task.call_method::<Value>("pid", ())? == failure.raw_get::<Value>("pid")?)
        };
        if !done || (text(failure, "kind")?.as_deref() == Some("encode") && pid()?) {
            return self::failure(failure).map(Ending::Failed);
        }
    }
    let result = if options.output.json { values::to_json(&values) } else { Ok(Vec::new()) };
    Ok(Ending::Returned(result))
}

fn failure(failure: &Table) -> Result<Failure> {
    let bytes = |key| {
        Ok::<_, mlua::Error>(failure.raw_get::<Option<LuaString>>(key)?.map(|text| text.as_bytes().to_vec()))
    };
    Ok(Failure {
        kind: text(failure, "kind")?.unwrap_or_default(),
        message: bytes("message")?.unwrap_or_default(),
        traceback: bytes("traceback")?,
        signal: text(failure, "signal")?,
        code: failure.raw_get("code")?,
        limit: failure.raw_get("limit")?,
        call: text(failure, "call")?,
    })
}

fn text(table: &Table, key: &str) -> Result<Option<String>> {
    let text = table.raw_get::<Option<LuaString>>(key)?;
    Ok(text.map(|text| text.to_string_lossy()))
}

fn usage(task: &AnyUserData) -> Result<Option<Usage>> {
    let usage: Table = task.call_method("usage", ())?;
    // Whole microseconds: the rest is noise of the conversion.
    let time = |key| usage.raw_get::<f64>(key).map(|time| (time * 1000.0).round() / 1000.0);
    Ok(Some(Usage {
        wall: time("wall")?,
        user: time("user")?,
        system: time("system")?,
        maxrss: usage.raw_get("maxrss")?,
    }))
}

fn output(task: &AnyUserData, options: &Options) -> Result<Option<Output>> {
    let limit = usize::try_from(options.output.capture_limit).unwrap_or(usize::MAX);
    let (stdout, stderr) = task.call_method::<(Option<LuaString>, Option<LuaString>)>("output", ())?;
    let mut truncated = false;
    let mut kept = |text: Option<LuaString>| {
        let bytes = text.map(|text| text.as_bytes().to_vec()).unwrap_or_default();
        truncated |= bytes.len() > limit;
        String::from_utf8_lossy(bytes.get(..limit).unwrap_or(&bytes)).into_owned()
    };
    let (stdout, stderr) = (kept(stdout), kept(stderr));
    Ok(Some(Output { stdout, stderr, truncated }))
}
