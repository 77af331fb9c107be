//! What died of what: the stream `…:dead`, by reason.

use std::collections::HashMap;

use redis::{Value, cmd};
use serde::Serialize;

use super::scan::{Answers, OrderRef, Questions};
use crate::store::stream_of;
use crate::watch::known::ask::AskError;
use crate::watch::known::id::{id_of, name_of};
use crate::watch::known::model::Key;
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

/// Asks for the last dead letters.
pub fn ask(key: &Key, questions: &mut Questions) {
    let mut range = cmd("XREVRANGE");
    range.arg(stream_of(key, "dead")).arg("+").arg("-").arg("COUNT").arg(COUNTED_MAX);
    questions.add(range);
}

/// The dead letters; `total` is how many the store counts.
pub fn take(answers: &mut Answers, total: i64) -> Result<DeadLetters, AskError> {
    // An outsider put something else in place of the stream: everything else can be shown.
    Ok(by_reason(total, answers.take_or(items, Vec::new())?))
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
