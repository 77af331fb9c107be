//! `STORE.INFO`.

use crate::base::units::Ms;
use crate::store::Store;
use crate::terms::metrics::Counters;
use crate::terms::refusal::Code;
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, StreamKind};

/// What `STORE.INFO` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    /// SKUs.
    pub skus: u64,
    /// Units in the building.
    pub on_hand: u128,
    /// Units of live holds and open orders.
    pub held: u128,
    /// Units that can be sold.
    pub available: u128,
    /// Units held beyond what is on hand, of SKUs that were counted below what is held.
    pub oversold: u128,
    /// Units sold, net of returns.
    pub sold: u128,
    /// Orders by state, in the order of [`OrderState::ALL`].
    pub orders: [u64; OrderState::COUNT],
    /// Live holds.
    pub holds: u64,
    /// Workers that have orders under a lease.
    pub workers: u64,
    /// Customers with a hold, an order or units that count towards the limit.
    pub customers: u64,
    /// How long ago the order that is next was placed, milliseconds; 0: no order waits.
    pub oldest_waiting_ms: Ms,
    /// When something is due next; 0: nothing is.
    pub next_due: Ms,
    /// What was counted since the store was made.
    pub counters: Counters,
}

impl StoreInfo {
    /// Orders that were asked for, placed or refused for want of stock, less those that were completed.
    pub fn overflow(&self) -> u64 {
        let asked = self.counters.placed.saturating_add(self.counters.refused.of(Code::OutOfStock));
        asked.saturating_sub(self.counters.completed)
    }
}

impl Store {
    /// What `STORE.INFO` shows. Ages are as of `now`.
    pub fn info(&self, now: Ms) -> StoreInfo {
        let oldest = self.queue.next(&self.orders).map(|slot| self.orders.placed_at(self.orders.at(slot)));
        let totals = self.shelf.totals();
        StoreInfo {
            skus: self.shelf.skus().len() as u64,
            on_hand: totals.on_hand,
            held: totals.held,
            available: totals.available,
            oversold: totals.oversold,
            sold: totals.sold,
            orders: *self.orders.by_state(),
            holds: self.holds.live(),
            workers: self.workers.records().len() as u64,
            customers: self.customers.records().len() as u64,
            oldest_waiting_ms: oldest.map_or(0, |placed| now.saturating_sub(placed)),
            next_due: self.next_due().unwrap_or(0),
            counters: self.counters,
        }
    }

    /// Orders that wait or are being worked on.
    pub fn open_orders(&self) -> u64 {
        let open = OrderState::ALL.into_iter().filter(|state| state.is_open());
        open.map(|state| self.orders.by_state()[state as usize]).sum()
    }

    /// How many entries a stream that lists orders has to have.
    pub fn entries(&self, kind: StreamKind) -> Option<u64> {
        match kind {
            StreamKind::Orders => Some(self.open_orders() - self.orders.unlisted()),
            StreamKind::Retry => Some(self.orders.retry_entries()),
            StreamKind::Dead => Some(self.orders.dead().len() as u64),
            StreamKind::Complete | StreamKind::Journal | StreamKind::Metrics | StreamKind::Alerts => None,
        }
    }

    /// The id of the last entry of a stream.
    pub fn last_entry(&self, kind: StreamKind) -> EntryId {
        let mut last = self.last;
        *last.of(kind)
    }
}
