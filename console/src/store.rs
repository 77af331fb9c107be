//! What every subcommand needs to know of a store: its streams' names, its replies, its errors.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use redis::{FromRedisValue, ParsingError, RedisError, Value};

/// A SKU's counts as INV.GET tells them, in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkuCounts {
    /// Units in the shop, held ones included.
    pub on_hand: i64,
    /// Units in live holds and in orders that have not ended.
    pub held: i64,
    /// Units that can be sold now.
    pub available: i64,
    /// Units in completed orders, less those that were returned.
    pub sold: i64,
}

impl FromRedisValue for SkuCounts {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let fields = HashMap::<String, i64>::from_redis_value(value)?;
        let field = |name: &str| {
            let missing = || ParsingError::from(format!("INV.GET replied no field {name}"));
            fields.get(name).copied().ok_or_else(missing)
        };
        Ok(SkuCounts {
            on_hand: field("on_hand")?,
            held: field("held")?,
            available: field("available")?,
            sold: field("sold")?,
        })
    }
}

/// The name of a store's stream (`orders`, `complete` …): beside its key, in the key's hash slot.
pub fn stream(store: &str, name: &str) -> String {
    String::from_utf8(stream_of(store.as_bytes(), name)).expect("texts put together are a text")
}

/// [`stream`], of a key that need not be text.
pub fn stream_of(key: &[u8], name: &str) -> Vec<u8> {
    let open = key.iter().position(|byte| *byte == b'{');
    let tag = open.and_then(|open| key[open + 1..].iter().position(|byte| *byte == b'}'));
    let (before, after): (&[u8], &[u8]) = if tag.is_some_and(|length| length > 0) { (b"", b"") } else { (b"{", b"}") };
    [before, key, after, b":", name.as_bytes()].concat()
}

/// The first word of an error, which says what kind it is: `OUTOFSTOCK`, `LIMIT`, `NOTOPEN` …
pub fn code(error: &RedisError) -> &str {
    error.code().unwrap_or("ERR")
}

/// Whether it was the connection that failed: whether the command was carried out is not known, so ask again.
pub fn reply_was_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_timeout()
}

/// The counts of STORE.INFO that must be these; a line for each that is not.
///
/// # Errors
/// When the reply is no map of whole numbers.
pub fn info_findings(reply: Value, wanted: &[(&str, i64)]) -> Result<Vec<String>> {
    let info = HashMap::<String, i64>::from_redis_value(reply).context("reading the reply of STORE.INFO")?;
    let finding = |&(field, wanted): &(&str, i64)| match info.get(field) {
        Some(found) if *found == wanted => None,
        Some(found) => Some(format!("STORE.INFO {field}: {found}, wanted {wanted}")),
        None => Some(format!("STORE.INFO has no field {field}")),
    };
    Ok(wanted.iter().filter_map(finding).collect())
}

/// What STORE.AUDIT found: a line for each disagreement, none when the books balance.
///
/// # Errors
/// When the reply is no array.
pub fn audit_findings(reply: Value) -> Result<Vec<String>> {
    match reply {
        Value::Array(findings) | Value::Set(findings) => Ok(findings.iter().map(plain).collect()),
        other => bail!("STORE.AUDIT replied {}, where an array was expected", plain(&other)),
    }
}

/// A reply as one line of text.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_string(),
        Value::Int(number) => number.to_string(),
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::SimpleString(text) => text.clone(),
        Value::Array(items) | Value::Set(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        Value::Map(pairs) => {
            let pairs: Vec<String> =
                pairs.iter().map(|(key, value)| format!("{}={}", plain(key), plain(value))).collect();
            pairs.join(" ")
        }
        other => format!("{other:?}"),
    }
}

/// Makes sure that nothing of the store is in the way; with `force`, removes what is.
///
/// # Errors
/// When the store is there and `force` is not set, when its key holds something else, or when the server does not know
/// the module's commands.
pub fn make_way(connection: &mut redis::Connection, store: &str, force: bool) -> Result<()> {
    require_module(connection)?;
    let kind: String = redis::cmd("TYPE").arg(store).query(connection)?;
    match (kind.as_str(), force) {
        ("none", _) => {}
        (_, false) => bail!(
            "the key {store} is there already (type {kind}): choose another with --store, or remove it with --force"
        ),
        ("holdstore", true) => {
            redis::cmd("STORE.DROP").arg(store).query::<Value>(connection).context("dropping the old store")?;
        }
        (_, true) => bail!("the key {store} is of type {kind}, no store: choose another with --store"),
    }
    let streams = ["orders", "retry", "dead", "complete", "journal", "metrics"].map(|name| stream(store, name));
    let left: i64 = redis::cmd("EXISTS").arg(&streams).query(connection)?;
    match (left, force) {
        (0, _) => Ok(()),
        (_, true) => Ok(redis::cmd("UNLINK").arg(&streams).query(connection)?),
        (_, false) => {
            bail!("{left} streams of an earlier store {store} are there ({} …): remove them with --force", streams[0])
        }
    }
}

fn require_module(connection: &mut redis::Connection) -> Result<()> {
    let known: Vec<Value> = redis::cmd("COMMAND").arg("INFO").arg("STORE.SET").query(connection)?;
    match known.first() {
        None | Some(Value::Nil) => {
            bail!("this server has not loaded Holdfast: it knows no command STORE.SET")
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_stay_in_the_slot_of_their_store() {
        assert_eq!(stream("popup", "orders"), "{popup}:orders");
        assert_eq!(stream("shop:{42}", "orders"), "shop:{42}:orders");
        assert_eq!(stream_of(b"a{\xff}", "dead"), b"a{\xff}:dead");
        assert_eq!(stream_of(b"\xff", "dead"), b"{\xff}:dead");
    }

    #[test]
    fn counts_come_from_a_flat_array_too() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let reply = vec![
            text("on_hand"),
            Value::Int(7),
            text("held"),
            Value::Int(2),
            text("available"),
            Value::Int(5),
            text("sold"),
            Value::Int(9),
        ];
        let counts = SkuCounts::from_redis_value(Value::Array(reply)).expect("a map as RESP2 sends it");
        assert_eq!(counts, SkuCounts { on_hand: 7, held: 2, available: 5, sold: 9 });
    }

    #[test]
    fn info_is_compared_field_by_field() {
        let reply = || Value::Map(vec![(Value::SimpleString("queued".into()), Value::Int(1))]);
        assert!(info_findings(reply(), &[("queued", 1)]).expect("a map").is_empty());
        let found = info_findings(reply(), &[("queued", 0), ("dead", 0)]).expect("a map");
        assert_eq!(found, ["STORE.INFO queued: 1, wanted 0", "STORE.INFO has no field dead"]);
    }

    #[test]
    fn audit_findings_are_lines() {
        assert!(audit_findings(Value::Array(vec![])).expect("an array").is_empty());
        let found = Value::Array(vec![Value::Array(vec![Value::SimpleString("held".into()), Value::Int(3)])]);
        assert_eq!(audit_findings(found).expect("an array"), ["held 3"]);
        assert!(audit_findings(Value::Int(1)).is_err());
    }
}
