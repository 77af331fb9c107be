//! One order, and the writes the page offers.

use std::time::Duration;

use redis::{Cmd, cmd};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value as Json};

use super::id::{bytes_of, id_of, name_of, pattern_of};
use super::link::{AskError, Link};
use super::model::Key;
use super::reply::{Pairs, items};

/// How long a redrive may take: it goes through all that died, in slices.
const REDRIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// ORDER.GET as an object of its own field names, and `id`. `items` are `[sku, qty]`, ids are for people.
///
/// # Errors
/// When the server is away, or there is no such order.
pub async fn get(link: &Link, key: &Key, order: &[u8]) -> Result<Json, AskError> {
    let reply = cmd("ORDER.GET").arg(&**key).arg(order).query_async(&mut link.ask()?).await?;
    let fields = Pairs::of(reply).ok_or_else(|| AskError::Refused("ORDER.GET replied no map".into()))?;
    let mut object = Map::from_iter([("id".to_string(), id_of(order).into())]);
    for (name, value) in fields.0 {
        let value = match name.as_str() {
            "items" => items(value).into_iter().filter_map(Pairs::of).map(item).collect(),
            "history" => items(value).into_iter().filter_map(Pairs::of).map(plain_object).collect(),
            _ => plain(value),
        };
        object.insert(name, value);
    }
    Ok(object.into())
}

fn item(item: Pairs<redis::Value>) -> Json {
    vec![Json::from(name_of(&item.bytes("sku"))), item.int("qty").into()].into()
}

fn plain_object(fields: Pairs<redis::Value>) -> Json {
    fields.0.into_iter().map(|(name, value)| (name, plain(value))).collect::<Map<_, _>>().into()
}

fn plain(value: redis::Value) -> Json {
    match value {
        redis::Value::Int(number) => number.into(),
        redis::Value::BulkString(bytes) => name_of(&bytes).into(),
        redis::Value::SimpleString(text) => text.into(),
        _ => Json::Null,
    }
}

/// What to queue anew.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Redrive {
    /// One order, percent-encoded.
    #[serde(default)]
    order: Option<String>,
    /// All that died of exactly this; null: of anything.
    #[serde(default, deserialize_with = "given")]
    reason: Option<Option<String>>,
    /// Ends it once so many are queued.
    #[serde(default)]
    count: Option<u32>,
}

/// Tells null from what is not there.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl Redrive {
    /// The command for it, `Err` with what was wanted where it makes no sense.
    pub fn command(&self, key: &Key) -> Result<Cmd, &'static str> {
        let mut command = cmd("ORDER.REDRIVE");
        command.arg(&**key);
        match (&self.order, &self.reason, self.count) {
            (Some(order), None, None) => return Ok(command.arg(bytes_of(order)).clone()),
            (None, Some(_), Some(0)) => return Err("count is 0, wanted 1 or more"),
            (None, Some(_), _) => command.arg("ALL"),
            _ => return Err("wanted either an order, or a reason (null: any) and perhaps a count"),
        };
        if let Some(Some(reason)) = &self.reason {
            command.arg("REASON").arg(pattern_of(reason.as_bytes()));
        }
        if let Some(count) = self.count {
            command.arg("COUNT").arg(count);
        }
        Ok(command)
    }
}

/// Carries a redrive out, over a connection of its own: others should not wait for it. How many were queued.
///
/// # Errors
/// When the server is away, or refuses.
pub async fn redrive(link: &Link, command: Cmd) -> Result<i64, AskError> {
    let mut connection = link.connect(REDRIVE_TIMEOUT).await?;
    Ok(command.query_async(&mut connection).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(body: &str) -> Result<String, String> {
        let redrive: Redrive = serde_json::from_str(body).map_err(|error| error.to_string())?;
        let command = redrive.command(&Key::from(*b"popup"))?;
        let args = command.args_iter().map(|arg| match arg {
            redis::Arg::Simple(bytes) => name_of(bytes),
            _ => "?".into(),
        });
        Ok(args.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_body_becomes_a_command() {
        assert_eq!(command(r#"{"order":"o%2F1"}"#).as_deref(), Ok("ORDER.REDRIVE popup o/1"));
        assert_eq!(command(r#"{"reason":"why?"}"#).as_deref(), Ok("ORDER.REDRIVE popup ALL REASON why\\?"));
        assert_eq!(command(r#"{"reason":null,"count":3}"#).as_deref(), Ok("ORDER.REDRIVE popup ALL COUNT 3"));
        assert_eq!(command(r#"{"reason":""}"#).as_deref(), Ok("ORDER.REDRIVE popup ALL REASON "));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for body in [
            "{}",
            "[]",
            r#"{"count":3}"#,
            r#"{"order":"o","reason":null}"#,
            r#"{"reason":null,"count":0}"#,
            r#"{"reason":null,"cuont":1}"#,
            r#"{"order":7}"#,
        ] {
            assert!(command(body).is_err(), "{body}");
        }
    }
}
