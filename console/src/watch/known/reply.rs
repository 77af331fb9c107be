//! Replies of the module's commands, taken apart.

use redis::Value;
use serde::ser::{Serialize, Serializer};

use super::ask::AskError;

/// Named values in the order they came, as a map in JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Pairs<T>(pub Vec<(String, T)>);

impl<T> Pairs<T> {
    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl<T: Serialize> Serialize for Pairs<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Pairs<Value> {
    /// A map, of either protocol.
    pub fn of(reply: Value) -> Option<Pairs<Value>> {
        let named = |(name, value)| Some((String::from_utf8(bytes(name)?).ok()?, value));
        Some(Pairs(reply.into_map_iter().ok()?.map(named).collect::<Option<_>>()?))
    }

    /// Those that are numbers.
    pub fn ints(&self) -> Pairs<i64> {
        Pairs(self.0.iter().filter_map(|(name, value)| Some((name.clone(), int(value)?))).collect())
    }

    /// The number of this name; 0 if it is missing.
    pub fn int(&self, name: &str) -> i64 {
        self.get(name).and_then(int).unwrap_or(0)
    }

    /// The maps of the array of this name; none if it is missing.
    pub fn maps(&self, name: &str) -> impl Iterator<Item = Pairs<Value>> + use<> {
        self.get(name).cloned().map(items).unwrap_or_default().into_iter().filter_map(Pairs::of)
    }

    /// The bytes of this name; empty if it is nil.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.get(name).cloned().and_then(bytes).unwrap_or_default()
    }
}

/// The number of a reply.
pub fn int(value: &Value) -> Option<i64> {
    if let Value::Int(number) = value { Some(*number) } else { None }
}

/// The bytes of a reply that is a string.
pub fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

/// The elements of a reply that is an array, none of any other.
pub fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        _ => Vec::new(),
    }
}

/// A map that a command must have replied. Fails when it replied something else.
pub fn map(command: &str, reply: Value) -> Result<Pairs<Value>, AskError> {
    Pairs::of(reply).ok_or_else(|| AskError::Refused(format!("{command} replied no map")))
}

/// An entry of a stream: its fields.
pub fn entry(entry: Value) -> Option<Pairs<Value>> {
    Pairs::of(items(entry).into_iter().nth(1)?)
}
