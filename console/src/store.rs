//! What every subcommand needs to know of a store: its streams' names, its replies, its errors.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use redis::{ConnectionLike, FromRedisValue, ParsingError, RedisError, Value, cmd};

/// A reply that is a map.
#[derive(Clone, Debug, Default)]
pub struct Fields(HashMap<String, Value>);

impl FromRedisValue for Fields {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        HashMap::from_redis_value(value).map(Fields)
    }
}

impl Fields {
    /// A field's value. Fails when there is no such field, or it is of another kind.
    pub fn get<T: FromRedisValue>(&self, name: &str) -> Result<T, ParsingError> {
        let value = self.0.get(name).ok_or_else(|| ParsingError::from(format!("the reply has no field {name}")))?;
        T::from_redis_value(value.clone())
    }

    /// A count; 0 where there is none.
    pub fn count(&self, name: &str) -> i64 {
        self.get(name).unwrap_or(0)
    }
}

/// A SKU's counts as INV.GET replies them, in units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
        let fields = Fields::from_redis_value(value)?;
        Ok(SkuCounts {
            on_hand: fields.get("on-hand")?,
            held: fields.get("held")?,
            available: fields.get("available")?,
            sold: fields.get("sold")?,
        })
    }
}

/// The name of a store's stream (`orders`, `complete` …): next to its key, in the key's hash slot.
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

/// A reply as one line of text.
pub fn plain(value: &Value) -> String {
    let joined = |items: &[Value]| items.iter().map(plain).collect::<Vec<_>>().join(" ");
    match value {
        Value::Nil => "nil".to_string(),
        Value::Array(items) | Value::Set(items) => joined(items),
        other => String::from_redis_value(other.clone()).unwrap_or_else(|_| format!("{other:?}")),
    }
}

/// Makes sure that nothing of the store is in the way; with `force`, removes what is. Fails when the store is there and
/// `force` is not set, when its key holds something else, or when the server does not know the module's commands.
pub fn make_way(connection: &mut dyn ConnectionLike, store: &str, force: bool) -> Result<()> {
    let known: Vec<Value> = cmd("COMMAND").arg("INFO").arg("STORE.SET").query(connection)?;
    if matches!(known.first(), None | Some(Value::Nil)) {
        bail!("this server has not loaded Holdfast: it knows no command STORE.SET");
    }
    let kind: String = cmd("TYPE").arg(store).query(connection)?;
    match (kind.as_str(), force) {
        ("none", _) => {}
        (_, false) => bail!(
            "the key {store} is there already (type {kind}): choose another with --store, or remove it with --force"
        ),
        ("holdstore", true) => cmd("STORE.DROP").arg(store).exec(connection).context("dropping the old store")?,
        (_, true) => bail!("the key {store} is of type {kind}, no store: choose another with --store"),
    }
    let streams =
        ["orders", "retry", "dead", "complete", "journal", "metrics", "alerts"].map(|name| stream(store, name));
    let left: i64 = cmd("EXISTS").arg(&streams).query(connection)?;
    match (left, force) {
        (0, _) => Ok(()),
        (_, true) => Ok(cmd("UNLINK").arg(&streams).exec(connection)?),
        (_, false) => {
            bail!("{left} streams of an earlier store {store} are there ({} …): remove them with --force", streams[0])
        }
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
        let counts = [("on-hand", 7), ("held", 2), ("available", 5), ("sold", 9)];
        let reply = counts.iter().flat_map(|(name, count)| [text(name), Value::Int(*count)]).collect();
        let counts = SkuCounts::from_redis_value(Value::Array(reply)).expect("a map as RESP2 sends it");
        assert_eq!(counts, SkuCounts { on_hand: 7, held: 2, available: 5, sold: 9 });
    }
}
