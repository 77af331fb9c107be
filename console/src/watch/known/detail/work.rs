//! Who has which orders in hand.

use std::collections::BTreeMap;

use redis::cmd;
use serde::Serialize;

use super::scan::{Asker, Order, OrderRef, Search, read_orders};
use crate::store::stream_of;
use crate::watch::known::ask::AskError;
use crate::watch::known::id::name_of;
use crate::watch::known::reply::{Pairs, bytes, entry, items};

/// Orders a scan looks at in one command, and how many commands there are for one detail: in a larger store the next
/// detail goes on where this one ended.
const PAGE: &str = "5000";
const PAGES: usize = 10;
/// Orders in work that are shown.
pub const SHOWN_MAX: usize = 500;
/// Workers that are remembered, and for how long after they had an order.
const SEEN_MAX: usize = 500;
const SEEN_KEPT_MS: i64 = 24 * 3_600_000;
/// Orders, the last that were completed, of which one detail reads who had them.
const COMPLETED_READ: usize = 50;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Workers {
    pub orders: i64,
    pub truncated: bool,
    pub shown: Vec<Worker>,
    /// Workers that were seen and have no order now, last seen first; none while not all orders in work are listed.
    pub idle: Vec<Idle>,
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

/// Looks for orders in work, of which there are `in_work`, and for who completed some since the last look.
pub async fn search(
    (search, seen): (&mut Search, &mut Seen),
    asker: &mut Asker<'_>,
    in_work: i64,
) -> Result<(), AskError> {
    seen.read_completed(asker).await?;
    if in_work == 0 {
        *search = Search::default();
        return Ok(());
    }
    Ok(search.go_on(asker, ("ORDER.SCAN", &["STATE", "claimed", "COUNT", PAGE]), PAGES, SHOWN_MAX).await?)
}

/// The workers that have some of the `in_work` orders, by what the orders say that were found; and those that had some
/// before `now_ms`, the server's time.
pub fn take((search, seen): (&mut Search, &mut Seen), orders: Vec<Order>, (in_work, now_ms): (i64, i64)) -> Workers {
    search.found.clear();
    let mut workers = BTreeMap::<Vec<u8>, Vec<InWork>>::new();
    for (id, order) in orders {
        seen.note(&order);
        if order.bytes("state") == b"claimed" {
            workers.entry(order.bytes("worker")).or_default().push(in_hand(&id, &order));
            search.found.insert(id);
        }
    }
    let busy: Vec<Vec<u8>> = workers.keys().cloned().collect();
    busy.iter().for_each(|worker| seen.see(worker, now_ms));
    let worker = |(name, mut orders): (Vec<u8>, Vec<InWork>)| {
        orders.sort_by_key(|order| order.claimed_at);
        Worker { name: name_of(&name), orders }
    };
    let truncated = (search.found.len() as i64) < in_work;
    let idle = if truncated { Vec::new() } else { seen.idle(&busy, now_ms) };
    Workers { orders: in_work, truncated, shown: workers.into_iter().map(worker).collect(), idle }
}

/// A worker without an order; its name for people, and when it had one last, as far as was seen: Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Idle {
    pub name: String,
    pub since: i64,
}

/// The workers that were seen: in the histories of orders in work, and of the orders completed last. The store itself
/// forgets a worker with its last order.
#[derive(Debug, Default)]
pub struct Seen {
    /// When each had an order last, Unix milliseconds.
    seen: BTreeMap<Vec<u8>, i64>,
    /// The last entry of `…:complete` that was read.
    read_to: Option<Vec<u8>>,
}

impl Seen {
    /// Looks at the last orders that were completed since the last look.
    async fn read_completed(&mut self, asker: &mut Asker<'_>) -> Result<(), AskError> {
        let mut range = cmd("XREVRANGE");
        let after = self.read_to.as_ref().map_or(b"-".to_vec(), |id| [b"(", &id[..]].concat());
        range.arg(stream_of(asker.key, "complete")).arg("+").arg(after).arg("COUNT").arg(COMPLETED_READ);
        let entries = match range.query_async(asker.connection).await.map_err(AskError::from) {
            Ok(entries) => items(entries),
            // An outsider put something else in place of the stream: everything else can be shown.
            Err(AskError::Refused(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let newest = entries.first().cloned().and_then(|entry| bytes(items(entry).into_iter().next()?));
        self.read_to = newest.or(self.read_to.take());
        let ids = entries.into_iter().filter_map(entry).map(|fields| fields.bytes("order")).collect();
        read_orders(asker, ids, COMPLETED_READ).await?.iter().for_each(|(_, order)| self.note(order));
        Ok(())
    }

    /// Notes who had an order, and when.
    fn note(&mut self, order: &Pairs<redis::Value>) {
        let mut last = None;
        for event in order.maps("history").filter(|event| event.bytes("event") == b"claimed") {
            let worker = event.bytes("worker");
            self.see(&worker, event.int("at"));
            last = Some(worker);
        }
        if let (Some(worker), true) = (last, order.bytes("state") == b"completed") {
            self.see(&worker, order.int("ended-at"));
        }
    }

    fn see(&mut self, worker: &[u8], at: i64) {
        let seen = self.seen.entry(worker.to_vec()).or_default();
        *seen = at.max(*seen);
        if self.seen.len() > SEEN_MAX {
            let oldest = self.seen.iter().min_by_key(|(_, at)| **at).map(|(worker, _)| worker.clone());
            if let Some(worker) = oldest {
                self.seen.remove(&worker);
            }
        }
    }

    /// Those seen that are not among the busy, last seen first; forgets those that were not seen for long.
    fn idle(&mut self, busy: &[Vec<u8>], now_ms: i64) -> Vec<Idle> {
        self.seen.retain(|_, at| now_ms.saturating_sub(*at) < SEEN_KEPT_MS);
        let idle = self.seen.iter().filter(|(worker, _)| !busy.contains(worker));
        let mut idle: Vec<Idle> = idle.map(|(worker, at)| Idle { name: name_of(worker), since: *at }).collect();
        idle.sort_by(|a, b| b.since.cmp(&a.since).then_with(|| a.name.cmp(&b.name)));
        idle
    }
}

fn in_hand(id: &[u8], order: &Pairs<redis::Value>) -> InWork {
    let claimed = order.maps("history").filter(|event| event.bytes("event") == b"claimed").last();
    InWork {
        order: OrderRef::of(id),
        attempt: order.int("attempts") + 1,
        deadline: order.int("due"),
        claimed_at: claimed.map_or(0, |event| event.int("at")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_order_is_idle_since_it_was_seen_and_forgotten_after_a_day() {
        let mut seen = Seen::default();
        for (worker, at) in [("w-1", 1_000), ("w-2", 3_000), ("w-1", 2_000), ("w-3", 500), ("w-2", 100)] {
            seen.see(worker.as_bytes(), at);
        }
        let idle = |seen: &mut Seen, now| -> Vec<_> {
            seen.idle(&[b"w-3".to_vec()], now).into_iter().map(|one| (one.name, one.since)).collect()
        };
        assert_eq!(idle(&mut seen, 5_000), [("w-2".to_string(), 3_000), ("w-1".to_string(), 2_000)]);
        assert_eq!(idle(&mut seen, 2_500 + SEEN_KEPT_MS), [("w-2".to_string(), 3_000)]);
    }

    #[test]
    fn the_crowd_that_is_remembered_has_an_end() {
        let mut seen = Seen::default();
        (0..2 * SEEN_MAX as i64).for_each(|at| seen.see(format!("w-{at}").as_bytes(), at));
        let idle = seen.idle(&[], SEEN_MAX as i64);
        assert_eq!((idle.len(), idle[0].since), (SEEN_MAX, 2 * SEEN_MAX as i64 - 1));
    }
}
