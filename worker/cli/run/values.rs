//! Lua values as JSON, as far as JSON can say them.

use mlua::{MultiValue, Table, Value};
use serde_json::Value as Json;

/// Tables inside tables; what reads JSON has a limit like this.
const DEEPEST: usize = 100;

/// A table that is referred to twice is written twice, so a small value can make a document without end.
const LONGEST: usize = 64 << 20;

/// The values as a list, or which of them cannot be told and why.
pub(crate) fn to_json(values: &MultiValue) -> Result<Vec<Json>, String> {
    let mut room = LONGEST;
    let one = |(index, value)| {
        let mut path = vec![format!("value {}", index + 1)];
        convert(value, &mut path, &mut room).map_err(|reason| format!("{}: {reason}", path.join("")))
    };
    values.iter().enumerate().map(one).collect()
}

fn convert(value: &Value, path: &mut Vec<String>, room: &mut usize) -> Result<Json, String> {
    /// What a value takes in memory beside its own bytes.
    const EACH: usize = 32;
    take(room, EACH)?;
    match value {
        Value::Nil => Ok(Json::Null),
        Value::LightUserData(pointer) if pointer.0.is_null() => Ok(Json::Null),
        Value::Boolean(value) => Ok(Json::Bool(*value)),
        Value::Integer(value) => Ok(Json::from(*value)),
        Value::Number(value) => serde_json::Number::from_f64(*value)
            .map(Json::Number)
            .ok_or_else(|| format!("JSON has no number for {value}")),
        Value::String(text) => string(&text.as_bytes(), room).map(Json::String),
        Value::Table(table) => {
            if path.len() > DEEPEST {
                return Err(format!("tables are nested more than {DEEPEST} deep, or contain themselves"));
            }
            convert_table(table, path, room)
        }
        other => Err(format!("JSON has nothing for a {}", other.type_name())),
    }
}

fn take(room: &mut usize, size: usize) -> Result<(), String> {
    *room =
        room.checked_sub(size).ok_or_else(|| format!("the values take more than {} MiB", LONGEST >> 20))?;
    Ok(())
}

fn string(bytes: &[u8], room: &mut usize) -> Result<String, String> {
    take(room, bytes.len())?;
    let text =
        std::str::from_utf8(bytes).map_err(|_| "the string is not UTF-8, which JSON has to be".to_owned())?;
    Ok(text.to_owned())
}

/// An array for the keys 1 to n, an object for strings; `{}` for none.
fn convert_table(table: &Table, path: &mut Vec<String>, room: &mut usize) -> Result<Json, String> {
    let length = table.raw_len();
    let mut entries = Vec::new();
    // Raw: nothing of the value's runs here.
    for pair in table.pairs::<Value, Value>() {
        entries.push(pair.map_err(|error| error.to_string())?);
    }
    let position = |key: &Value| key.as_integer().and_then(|key| usize::try_from(key).ok());
    let in_array = |key: &Value| position(key).is_some_and(|key| (1..=length).contains(&key));
    if length > 0 && entries.len() == length && entries.iter().all(|(key, _)| in_array(key)) {
        entries.sort_by_key(|(key, _)| position(key));
        let mut items = Vec::with_capacity(length);
        for (key, value) in &entries {
            items.push(inside(path, format!("[{}]", position(key).unwrap_or(0)), |path| {
                convert(value, path, room)
            })?);
        }
        return Ok(Json::Array(items));
    }
    let mut object = serde_json::Map::new();
    for (key, value) in &entries {
        let Value::String(key) = key else {
            return Err(format!("JSON has no table with {} keys beside others", key.type_name()));
        };
        let key = string(&key.as_bytes(), room)?;
        let value = inside(path, format!(".{}", key.escape_debug()), |path| convert(value, path, room))?;
        object.insert(key, value);
    }
    Ok(Json::Object(object))
}

/// Converts a part; the path keeps its name where that fails.
fn inside(
    path: &mut Vec<String>,
    name: String,
    convert: impl FnOnce(&mut Vec<String>) -> Result<Json, String>,
) -> Result<Json, String> {
    path.push(name);
    let part = convert(path)?;
    path.pop();
    Ok(part)
}
