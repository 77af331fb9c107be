//! Who has which orders in hand.

use std::collections::{BTreeMap, BTreeSet};

use redis::aio::MultiplexedConnection;
use redis::pipe;
use serde::Serialize;

use super::scan::{OrderRef, scan};
use crate::watch::known::id::name_of;
use crate::watch::known::link::{AskError, ask_all};
use crate::watch::known::model::Key;
use crate::watch::known::reply::{Pairs, items};

/// Orders a scan looks at in one command, and how many commands there are for one detail: in a larger store the next
/// detail goes on where this one ended.
const PAGE: &str = "5000";
const PAGES: u32 = 10;
/// Orders in work that are shown.
const SHOWN_MAX: usize = 500;
/// Orders read in one pipeline.
const ORDERS_PER_PIPELINE: usize = 100;

/// The workers of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Workers {
    /// Orders in workers' hands.
    pub orders: i64,
    /// Not all of them are shown.
    pub truncated: bool,
    /// The workers, by name.
    pub shown: Vec<Worker>,
}

/// A worker with orders in hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Worker {
    /// For people.
    pub name: String,
    /// Its orders, first claimed first.
    pub orders: Vec<InWork>,
}

/// An order in a worker's hands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InWork {
    /// The order.
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

/// The search for orders in work: where it ended, and what it found before.
#[derive(Debug, Default)]
pub struct Search {
    cursor: u64,
    found: BTreeSet<Vec<u8>>,
}

impl Search {
    /// The workers that have some of the `in_work` orders.
    pub async fn find(
        &mut self,
        connection: &mut MultiplexedConnection,
        key: &Key,
        in_work: i64,
    ) -> Result<Workers, AskError> {
        if in_work == 0 {
            *self = Search::default();
            return Ok(Workers { orders: 0, truncated: false, shown: Vec::new() });
        }
        self.go_on(connection, key).await?;
        let orders = std::mem::take(&mut self.found);
        let mut workers = BTreeMap::<Vec<u8>, Vec<InWork>>::new();
        let mut shown = 0;
        for (id, order) in read_orders(connection, key, orders.into_iter().take(SHOWN_MAX).collect()).await? {
            if order.bytes("state") == b"claimed" {
                workers.entry(order.bytes("worker")).or_default().push(in_hand(&id, &order));
                self.found.insert(id);
                shown += 1;
            }
        }
        let worker = |(name, mut orders): (Vec<u8>, Vec<InWork>)| {
            orders.sort_by_key(|order| order.claimed_at);
            Worker { name: name_of(&name), orders }
        };
        Ok(Workers { orders: in_work, truncated: shown < in_work, shown: workers.into_iter().map(worker).collect() })
    }

    async fn go_on(&mut self, connection: &mut MultiplexedConnection, key: &Key) -> Result<(), AskError> {
        for _ in 0..PAGES {
            let state = ["STATE", "claimed", "COUNT", PAGE];
            let (next, orders) = scan(connection, "ORDER.SCAN", key, self.cursor, &state).await?;
            self.found.extend(orders);
            self.cursor = next;
            if next == 0 || self.found.len() >= SHOWN_MAX {
                break;
            }
        }
        Ok(())
    }
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

/// The orders that are still there.
async fn read_orders(
    connection: &mut MultiplexedConnection,
    key: &Key,
    ids: Vec<Vec<u8>>,
) -> Result<Vec<(Vec<u8>, Pairs<redis::Value>)>, AskError> {
    let mut orders = Vec::with_capacity(ids.len());
    for ids in ids.chunks(ORDERS_PER_PIPELINE) {
        let mut questions = pipe();
        for id in ids {
            questions.cmd("ORDER.GET").arg(&**key).arg(id);
        }
        let replies = ask_all(connection, questions).await?;
        // One that has ended meanwhile, and was forgotten, is no error.
        let order = |(id, reply): (&Vec<u8>, Result<_, _>)| Some((id.clone(), Pairs::of(reply.ok()?)?));
        orders.extend(ids.iter().zip(replies).filter_map(order));
    }
    Ok(orders)
}
