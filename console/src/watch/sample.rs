//! A sample of a store's numbers: one entry of its stream `…:metrics`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use redis::Value;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The id of a stream's entry: Unix milliseconds, and a number within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    /// Unix milliseconds.
    pub ms: u64,
    /// Tells apart the entries of one millisecond, from 0.
    pub seq: u64,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl FromStr for EntryId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<EntryId, Self::Err> {
        let (ms, seq) = text.split_once('-').unwrap_or((text, "0"));
        Ok(EntryId { ms: ms.parse()?, seq: seq.parse()? })
    }
}

/// The names of a sample's fields, in their order. All samples of a store share one list, as long as it is the same.
pub type Names = Arc<[String]>;

/// What a store counted up to a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The entry's id; its milliseconds are the time of the sample, by the server's clock.
    pub id: EntryId,
    names: Names,
    values: Box<[i64]>,
}

impl Sample {
    /// Reads an entry as XRANGE and XREAD reply it. A field that is no whole number is left out: only an outsider can
    /// have written it. `None` for what is no entry. `names` is the list of the sample before, which is used again.
    pub fn of_entry(entry: &Value, names: &Names) -> Option<Sample> {
        let Value::Array(parts) = entry else { return None };
        let [id, Value::Array(fields)] = parts.as_slice() else { return None };
        let id = text(id)?.parse().ok()?;
        let pairs: Vec<(&str, i64)> = fields.chunks_exact(2).filter_map(pair).collect();
        let same = pairs.len() == names.len() && pairs.iter().zip(names.iter()).all(|((name, _), known)| name == known);
        let names = match same {
            true => names.clone(),
            false => pairs.iter().map(|(name, _)| (*name).to_string()).collect(),
        };
        Some(Sample { id, names, values: pairs.iter().map(|(_, value)| *value).collect() })
    }

    /// When it was taken, Unix milliseconds by the server's clock.
    pub fn at_ms(&self) -> u64 {
        self.id.ms
    }

    /// The value of a field; `None` where the sample has no such field.
    pub fn get(&self, name: &str) -> Option<i64> {
        self.names.iter().position(|known| known == name).map(|index| self.values[index])
    }

    /// The value of the field called `name`, which is the sample's field of this index as a rule.
    pub(super) fn nth(&self, index: usize, name: &str) -> Option<i64> {
        match self.names.get(index) {
            Some(known) if known == name => Some(self.values[index]),
            _ => self.get(name),
        }
    }

    /// Its fields, in the order of the entry.
    pub fn fields(&self) -> impl Iterator<Item = (&str, i64)> {
        self.names.iter().map(String::as_str).zip(self.values.iter().copied())
    }

    /// The names of its fields.
    pub fn names(&self) -> &Names {
        &self.names
    }
}

/// The fields alone, as a map.
impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len()))?;
        for (name, value) in self.fields() {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn pair(pair: &[Value]) -> Option<(&str, i64)> {
    Some((text(&pair[0])?, text(&pair[1])?.parse().ok()?))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An entry as a server replies it.
    pub fn entry(id: &str, fields: &[(&str, &str)]) -> Value {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let fields = fields.iter().flat_map(|(name, value)| [text(name), text(value)]).collect();
        Value::Array(vec![text(id), Value::Array(fields)])
    }

    #[test]
    fn an_entry_becomes_a_sample() {
        let none = Names::from([]);
        let first = Sample::of_entry(&entry("1700-2", &[("placed", "7"), ("p50-ms", "0")]), &none).expect("a sample");
        assert_eq!((first.id, first.at_ms()), (EntryId { ms: 1700, seq: 2 }, 1700));
        assert_eq!((first.get("placed"), first.get("late")), (Some(7), None));
        assert_eq!(serde_json::to_string(&first).expect("JSON"), r#"{"placed":7,"p50-ms":0}"#);
        let next = Sample::of_entry(&entry("1701-0", &[("placed", "8"), ("p50-ms", "1")]), first.names());
        assert!(Arc::ptr_eq(next.expect("a sample").names(), first.names()), "the names are shared");
    }

    #[test]
    fn what_an_outsider_wrote_is_left_out() {
        let none = Names::from([]);
        let sample = Sample::of_entry(&entry("5-0", &[("placed", "x"), ("late", "1")]), &none).expect("a sample");
        assert_eq!(sample.fields().collect::<Vec<_>>(), [("late", 1)]);
        assert_eq!(Sample::of_entry(&entry("never", &[]), &none), None);
        assert_eq!(Sample::of_entry(&Value::Nil, &none), None);
    }
}
