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
        let mut conversion = Conversion { path: vec![format!("value {}", index + 1)], room };
        let json = conversion.value(value);
        room = conversion.room;
        json.map_err(|reason| format!("{}: {reason}", conversion.path.join("")))
    };
    values.iter().enumerate().map(one).collect()
}

struct Conversion {
    /// Where the value at hand is, or the one that could not be told.
    path: Vec<String>,
    /// Bytes that may still come.
    room: usize,
}

impl Conversion {
    fn value(&mut self, value: &Value) -> Result<Json, String> {
        /// What a value takes in memory beside its own bytes.
        const EACH: usize = 32;
        self.take(EACH)?;
        match value {
            Value::Nil => Ok(Json::Null),
            Value::LightUserData(pointer) if pointer.0.is_null() => Ok(Json::Null),
            Value::Boolean(value) => Ok(Json::Bool(*value)),
            Value::Integer(value) => Ok(Json::from(*value)),
            Value::Number(value) => serde_json::Number::from_f64(*value)
                .map(Json::Number)
                .ok_or_else(|| format!("JSON has no number for {value}")),
            Value::String(text) => self.string(&text.as_bytes()).map(Json::String),
            Value::Table(_) if self.path.len() > DEEPEST => {
                Err(format!("tables are nested more than {DEEPEST} deep, or contain themselves"))
            }
            Value::Table(table) => self.table(table),
            other => Err(format!("JSON has nothing for a {}", other.type_name())),
        }
    }

    fn take(&mut self, size: usize) -> Result<(), String> {
        let left = self.room.checked_sub(size);
        self.room = left.ok_or_else(|| format!("the values take more than {} MiB", LONGEST >> 20))?;
        Ok(())
    }

    fn string(&mut self, bytes: &[u8]) -> Result<String, String> {
        self.take(bytes.len())?;
        let text = std::str::from_utf8(bytes);
        text.map(str::to_owned).map_err(|_| "the string is not UTF-8, which JSON has to be".to_owned())
    }

    /// An array for the keys 1 to n, an object for strings; `{}` for none.
    fn table(&mut self, table: &Table) -> Result<Json, String> {
        let length = table.raw_len();
        // Raw: nothing of the value's runs here.
        let entries: mlua::Result<Vec<(Value, Value)>> = table.pairs().collect();
        let mut entries = entries.map_err(|error| error.to_string())?;
        let position = |key: &Value| key.as_integer().and_then(|key| usize::try_from(key).ok());
        let in_array = |key: &Value| position(key).is_some_and(|key| (1..=length).contains(&key));
        if length > 0 && entries.len() == length && entries.iter().all(|(key, _)| in_array(key)) {
            entries.sort_by_key(|(key, _)| position(key));
            let parts = (1_usize..).zip(&entries);
            let items = parts.map(|(place, (_, value))| self.part(format!("[{place}]"), value));
            return items.collect::<Result<_, _>>().map(Json::Array);
        }
        let mut object = serde_json::Map::new();
        for (key, value) in &entries {
            let Value::String(key) = key else {
                return Err(format!("JSON has no table with {} keys beside others", key.type_name()));
            };
            let key = self.string(&key.as_bytes())?;
            let value = self.part(format!(".{}", key.escape_debug()), value)?;
            object.insert(key, value);
        }
        Ok(Json::Object(object))
    }

    /// Converts a part; the path keeps its name where that fails.
    fn part(&mut self, name: String, value: &Value) -> Result<Json, String> {
        self.path.push(name);
        let part = self.value(value)?;
        self.path.pop();
        Ok(part)
    }
}
