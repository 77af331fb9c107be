//! JSON whose names are in order.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The same JSON with the names of each object in alphabetical order. Numbers stay as they are written.
pub fn in_order(json: String) -> serde_json::Result<String> {
    let parts = match json.as_bytes().first() {
        Some(b'{') => {
            let named = |(name, value)| Ok(format!("{}:{}", serde_json::to_string(&name)?, part(value)?));
            let object: BTreeMap<String, &RawValue> = serde_json::from_str(&json)?;
            object.into_iter().map(named).collect::<serde_json::Result<Vec<_>>>().map(|parts| ("{", parts, "}"))
        }
        Some(b'[') => {
            let array: Vec<&RawValue> = serde_json::from_str(&json)?;
            array.into_iter().map(part).collect::<serde_json::Result<Vec<_>>>().map(|parts| ("[", parts, "]"))
        }
        _ => return Ok(json),
    };
    parts.map(|(open, parts, close)| [open, &parts.join(","), close].concat())
}

fn part(value: &RawValue) -> serde_json::Result<String> {
    in_order(value.get().to_owned())
}
