//! Who has which orders in hand.

use std::collections::BTreeMap;

use serde::Serialize;

use super::scan::{Asker, OrderRef, Search, read_orders};
use crate::watch::known::ask::AskError;
use crate::watch::known::id::name_of;
use crate::watch::known::reply::{Pairs, items};

/// Orders a scan looks at in one command, and how many commands there are for one detail: in a larger store the next
/// detail goes on where this one ended.
const PAGE: &str = "5000";
const PAGES: usize = 10;
/// Orders in work that are shown.
const SHOWN_MAX: usize = 500;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Workers {
    pub orders: i64,
    pub truncated: bool,
    pub shown: Vec<Worker>,
}

/// A worker with orders in hand, first claimed first; its name for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Worker {
    pub name: String,
    pub orders: Vec<InWork>,
}

/// An order in a worker's hands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InWork {
    #[serde(flatten)]
    pub order: OrderRef,
    /// The attempt it is, the first is 1.
    pub attempt: i64,
    /// When the lease ends, Unix milliseconds.
    pub deadline: i64,
    /// When it was claimed, Unix milliseconds.
    #[serde(rename = "claimed-at")]
    pub claimed_at: i64,
}

/// The workers that have some of the `in_work` orders, of those known and those the search comes by.
pub async fn find(search: &mut Search, asker: &mut Asker<'_>, in_work: i64) -> Result<Workers, AskError> {
    if in_work == 0 {
        *search = Search::default();
        return Ok(Workers { orders: 0, truncated: false, shown: Vec::new() });
    }
    search.go_on(asker, ("ORDER.SCAN", &["STATE", "claimed", "COUNT", PAGE]), PAGES, SHOWN_MAX).await?;
    let mut workers = BTreeMap::<Vec<u8>, Vec<InWork>>::new();
    for (id, order) in read_orders(asker, std::mem::take(&mut search.found), SHOWN_MAX).await? {
        if order.bytes("state") == b"claimed" {
            workers.entry(order.bytes("worker")).or_default().push(in_hand(&id, &order));
            search.found.insert(id);
        }
    }
    let worker = |(name, mut orders): (Vec<u8>, Vec<InWork>)| {
        orders.sort_by_key(|order| order.claimed_at);
        Worker { name: name_of(&name), orders }
    };
    let truncated = (search.found.len() as i64) < in_work;
    Ok(Workers { orders: in_work, truncated, shown: workers.into_iter().map(worker).collect() })
}

fn in_hand(id: &[u8], order: &Pairs<redis::Value>) -> InWork {
    let history = order.get("history").cloned().map(items).unwrap_or_default();
    let claimed = history.into_iter().rev().filter_map(Pairs::of).find(|event| event.bytes("event") == b"claimed");
    InWork {
        order: OrderRef::of(id),
        attempt: order.int("attempts") + 1,
        deadline: order.int("due"),
        claimed_at: claimed.map_or(0, |event| event.int("at")),
    }
}
