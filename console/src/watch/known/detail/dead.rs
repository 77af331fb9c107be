//! What died of what: the stream `…:dead`, by reason.

use std::collections::HashMap;

use redis::{Value, cmd};
use serde::Serialize;

use super::scan::{Asker, OrderRef};
use crate::store::stream_of;
use crate::watch::known::ask::AskError;
use crate::watch::known::id::{id_of, name_of};
use crate::watch::known::reply::{entry, items};

/// Dead letters that are counted by reason: the last that died.
const COUNTED_MAX: usize = 1_000;
/// Orders shown of one reason.
const ORDERS_SHOWN: usize = 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetters {
    pub total: i64,
    /// How many of them were counted by reason, the last that died.
    pub counted: i64,
    /// Most frequent first.
    pub reasons: Vec<Reason>,
}

/// A reason orders died of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// As the worker put it, for people; empty where it said nothing.
    pub reason: String,
    /// The same, percent-encoded.
    pub id: String,
    pub count: i64,
    /// Some of them, last died first.
    pub orders: Vec<OrderRef>,
}

/// Reads the dead letters; `total` is how many the store counts.
pub async fn read(asker: &mut Asker<'_>, total: i64) -> Result<DeadLetters, AskError> {
    if total == 0 {
        return Ok(DeadLetters { total, counted: 0, reasons: Vec::new() });
    }
    let mut range = cmd("XREVRANGE");
    range.arg(stream_of(asker.key, "dead")).arg("+").arg("-").arg("COUNT").arg(COUNTED_MAX);
    match range.query_async(asker.connection).await.map_err(AskError::from) {
        Ok(entries) => Ok(by_reason(total, items(entries))),
        // An outsider put something else in place of the stream: everything else can be shown.
        Err(AskError::Refused(_)) => Ok(by_reason(total, Vec::new())),
        Err(error) => Err(error),
    }
}

fn by_reason(total: i64, entries: Vec<Value>) -> DeadLetters {
    let mut found = HashMap::<Vec<u8>, Reason>::new();
    for letter in entries.into_iter().filter_map(entry) {
        let reason = letter.bytes("reason");
        let new = || Reason { reason: name_of(&reason), id: id_of(&reason), count: 0, orders: Vec::new() };
        let group = found.entry(reason.clone()).or_insert_with(new);
        group.count += 1;
        if group.orders.len() < ORDERS_SHOWN {
            group.orders.push(OrderRef::of(&letter.bytes("order")));
        }
    }
    let mut reasons: Vec<Reason> = found.into_values().collect();
    reasons.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
    DeadLetters { total, counted: reasons.iter().map(|reason| reason.count).sum(), reasons }
}
