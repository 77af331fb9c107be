//! One order, and the writes the page offers.

use std::num::NonZeroU32;
use std::time::Duration;

use redis::{Cmd, cmd};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::ask::AskError;
use super::id::{bytes_of, id_of, name_of, pattern_of};
use super::link::Link;
use super::model::Key;
use super::reply::{Pairs, items, map};
use super::words::Tone;

/// How long a redrive may take: it goes through all that died, in slices.
const REDRIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// ORDER.GET as an object of its own field names, and `id`. `items` are `[sku, qty, missing]`, ids are for people; the
/// same percent-encoded are in `links`. The events of the history say with `title`, `tone` and `text` what happened.
/// Fails when the server is away, or there is no such order.
pub async fn get(link: &Link, key: &Key, order: &[u8]) -> Result<Json, AskError> {
    let reply = cmd("ORDER.GET").arg(&**key).arg(order).query_async(&mut link.ask(key)?).await?;
    let mut object = Map::from_iter([("id".to_string(), id_of(order).into())]);
    let reply = map("ORDER.GET", reply)?;
    object.insert("links".into(), links(&reply));
    for (name, value) in reply.0 {
        let value = match name.as_str() {
            "items" => items(value).into_iter().filter_map(Pairs::of).map(item).collect(),
            "gates" => items(value).into_iter().filter_map(Pairs::of).map(gate).collect(),
            "history" => items(value).into_iter().filter_map(Pairs::of).map(event).collect(),
            _ => plain(value),
        };
        object.insert(name, value);
    }
    Ok(object.into())
}

/// The ids of what belongs to an order, percent-encoded: its customer, its hold, the SKUs of its items, its gates.
fn links(order: &Pairs<redis::Value>) -> Json {
    let ids =
        |list: &str, name: &str| order.maps(list).map(|map| Json::from(id_of(&map.bytes(name)))).collect::<Json>();
    json!({
        "customer": id_of(&order.bytes("customer")),
        "hold": id_of(&order.bytes("hold")),
        "items": ids("items", "sku"),
        "gates": ids("gates", "gate"),
    })
}

fn item(item: Pairs<redis::Value>) -> Json {
    vec![Json::from(name_of(&item.bytes("sku"))), item.int("qty").into(), item.int("missing").into()].into()
}

fn gate(fields: Pairs<redis::Value>) -> Json {
    fields.0.into_iter().map(|(name, value)| (name, plain(value))).collect::<Map<_, _>>().into()
}

fn event(fields: Pairs<redis::Value>) -> Json {
    let mut event: Map<_, _> = fields.0.into_iter().map(|(name, value)| (name, plain(value))).collect();
    event.extend(words_of(&event));
    event.into()
}

/// What happened to an order: a title, a tone and, where there is more to say, a text.
pub fn words_of(event: &Map<String, Json>) -> [(String, Json); 3] {
    let text = |name: &str| event.get(name).and_then(Json::as_str).unwrap_or_default();
    let number = |name: &str| event.get(name).and_then(Json::as_i64).unwrap_or(0);
    let attempt = format!("attempt {}", number("attempt"));
    let units = |count: i64| if count == 1 { "1 unit".to_string() } else { format!("{count} units") };
    let because = |reason: &str| if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let owned = |title: &str, tone, text: &str| (title.to_string(), tone, text.to_string());
    let (title, tone, text) = match text("event") {
        "placed" => owned("Placed", Tone::Placed, "checked, units taken"),
        "forgotten" if number("returns") > 0 => {
            let text = format!("{} units came back with them; only the last 100 are kept", number("units"));
            (format!("{} returns left out", number("returns")), Tone::Muted, text)
        }
        "forgotten" => {
            (format!("{} events left out", number("events")), Tone::Muted, "only the last 100 are kept".into())
        }
        "claimed" => (format!("Claimed by {}", text("worker")), Tone::Work, attempt),
        "failed" => owned("Attempt failed", Tone::Retry, &format!("{attempt}{}", because(text("reason")))),
        "lease-ended" => {
            let text = format!("the worker did not finish {attempt} in time, and lost the order");
            owned("Lease expired", Tone::Retry, &text)
        }
        "yielded" => owned("Given back", Tone::Muted, "the worker shut down; not counted as an attempt"),
        "dead" if text("reason").is_empty() => owned("Died", Tone::Refused, "out of attempts"),
        "dead" => owned("Died", Tone::Refused, text("reason")),
        "redriven" => owned("Redriven", Tone::Placed, "took its units again and was queued again"),
        "step" => (format!("Step: {}", text("step")), Tone::Work, "a step of fulfilment".into()),
        "gathered" => owned("Got its units", Tone::Available, "all that it waited for"),
        "edited" => owned("Edited", Tone::Placed, &format!("it has {} now", units(number("units")))),
        "split" => {
            let text = format!("{} went into order {}", units(number("units")), text("into"));
            owned("Split", Tone::Placed, &text)
        }
        "split-off" => {
            owned("Split off", Tone::Placed, &format!("{} of order {}", units(number("units")), text("from")))
        }
        "gated" => (format!("Gate: {}", text("gate")), Tone::Placed, "workers get it once it is passed".into()),
        "passed" => (format!("Passed: {}", text("gate")), Tone::Placed, String::new()),
        "completed" => owned("Completed", Tone::Completed, "its units left the building"),
        "cancelled" => owned("Cancelled", Tone::Muted, "its units went back on sale"),
        "returned" => {
            let text = match (number("units"), number("scrap")) {
                (1, 0) => "one unit came back",
                (1, _) => "one unit came back and was written off",
                (_, 0) => "units came back",
                _ => "units came back and were written off",
            };
            (format!("{} returned", number("units")), Tone::Muted, text.into())
        }
        other => owned(other, Tone::Muted, ""),
    };
    [("title".into(), title.into()), ("tone".into(), json!(tone)), ("text".into(), text.into())]
}

fn plain(value: redis::Value) -> Json {
    match value {
        redis::Value::Int(number) => number.into(),
        redis::Value::BulkString(bytes) => name_of(&bytes).into(),
        redis::Value::SimpleString(text) => text.into(),
        _ => Json::Null,
    }
}

/// What to queue again, as the page asks for it.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "must have either an order, or a reason (null: any) and perhaps a count of 1 or more"
)]
pub enum Redrive {
    /// Its id, percent-encoded.
    Order { order: String },
    /// All that died of exactly this (null: of anything), or `count` of them.
    Reason {
        // Null is another thing than no reason at all.
        #[serde(deserialize_with = "Option::deserialize")]
        reason: Option<String>,
        count: Option<NonZeroU32>,
    },
}

impl Redrive {
    pub fn command(&self, key: &Key) -> Cmd {
        match self {
            Redrive::Order { order } => redrive_order(key, &bytes_of(order)),
            Redrive::Reason { reason, count } => {
                redrive_reason(key, reason.as_ref().map(String::as_bytes), count.map(u32::from))
            }
        }
    }
}

pub fn redrive_order(key: &Key, order: &[u8]) -> Cmd {
    cmd("ORDER.REDRIVE").arg(&**key).arg(order).clone()
}

/// The command that queues again all that died of exactly this reason (`None`: of any), or `count` of them.
pub fn redrive_reason(key: &Key, reason: Option<&[u8]>, count: Option<u32>) -> Cmd {
    let mut command = cmd("ORDER.REDRIVE");
    command.arg(&**key).arg("ALL");
    if let Some(reason) = reason {
        command.arg("REASON").arg(pattern_of(reason));
    }
    if let Some(count) = count {
        command.arg("COUNT").arg(count);
    }
    command
}

/// Carries a redrive out: how many were queued. Fails when the server is away, or refuses.
pub async fn redrive(link: &Link, key: &Key, command: Cmd) -> Result<i64, AskError> {
    link.write(key, command, Some(REDRIVE_TIMEOUT)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_that_are_summed_up_and_scrap_are_told() {
        let said = |event: Json| {
            let [(_, title), _, (_, text)] = words_of(event.as_object().expect("an event"));
            (title.as_str().expect("a title").to_string(), text.as_str().expect("a text").to_string())
        };
        let (title, text) = said(json!({ "event": "forgotten", "returns": 350, "units": 412 }));
        assert!(title == "350 returns left out" && text.starts_with("412 units came back"), "{title}: {text}");
        let (title, text) = said(json!({ "event": "returned", "units": 1, "scrap": 1 }));
        assert_eq!((title.as_str(), text.as_str()), ("1 returned", "one unit came back and was written off"));
        assert_eq!(said(json!({ "event": "returned", "units": 47 })).1, "units came back");
    }

    fn command(body: &str) -> Result<Vec<u8>, String> {
        let redrive: Redrive = serde_json::from_str(body).map_err(|error| error.to_string())?;
        Ok(redrive.command(&Key::from(*b"popup")).get_packed_command())
    }

    #[test]
    fn an_empty_reason_is_a_reason_and_an_id_is_decoded() {
        assert!(command(r#"{"reason":""}"#).expect("a command").ends_with(b"\r\n$6\r\nREASON\r\n$0\r\n\r\n"));
        assert!(command(r#"{"order":"o%2F1"}"#).expect("a command").ends_with(b"\r\no/1\r\n"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for body in [
            "{}",
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
