//! How orders ended in the usual way, packed: a short end in a slot here, a longer one behind the order's content.

use crate::base::slab::Slab;
use crate::record::end::{self, ShortEnd};
use crate::record::history::HistoryEvent;
use crate::record::order::{EndAt, Extra, Order, Stage};
use crate::store::names::Names;

/// Packed ends.
pub(crate) struct Ends {
    short: Slab<ShortEnd>,
    /// Workers that packed ends name.
    workers: Names,
}

impl Ends {
    pub fn new(seed: u64) -> Self {
        Ends { short: Slab::new(), workers: Names::new(seed) }
    }

    /// Packs how an order ended; false if it has not ended, or not in the usual way.
    pub fn pack(&mut self, order: &mut Order, extra: &Extra) -> bool {
        let Some(end) = end::pack(extra, order.entry(), |worker| self.workers.take(worker)) else { return false };
        match ShortEnd::new(&end).filter(|_| order.is_inline()) {
            Some(short) => order.set_end_slot(self.short.insert(short)),
            None => order.set_end(&end),
        }
        true
    }

    /// The packed end of an order, if it has one.
    #[inline]
    pub fn of<'a>(&'a self, order: &'a Order) -> Option<&'a [u8]> {
        match order.end()? {
            EndAt::Behind(end) => Some(end),
            EndAt::Slot(slot) => Some(self.short.at(slot).bytes()),
        }
    }

    /// What the packed end of an order says, if it has one.
    #[inline]
    pub fn unpack(&self, order: &Order) -> Option<Extra> {
        let end = self.of(order)?;
        Some(end::unpack(end, order.entry(), |worker| self.workers.at(worker)))
    }

    /// The stage alone.
    #[inline]
    pub fn stage(&self, order: &Order) -> Option<Stage> {
        Some(end::stage(self.of(order)?, order.entry()))
    }

    /// The history, and how many earlier events are forgotten.
    pub fn history<'a>(&'a self, order: &'a Order) -> Option<(Vec<HistoryEvent<'a>>, u64)> {
        let end = self.of(order)?;
        Some(end::history(end, order.entry(), |worker| self.workers.at(worker)))
    }

    /// Drops the packed end of an order that is removed, or gets an [`Extra`] instead; nothing if it has none.
    pub fn drop_one(&mut self, order: &Order) {
        if let Some(worker) = self.of(order).and_then(|end| end::worker(end, order.entry())) {
            self.workers.drop_one(worker);
        }
        if let Some(EndAt::Slot(slot)) = order.end() {
            self.short.remove(slot);
        }
    }

    /// How many workers are kept that packed ends name, and how many short ends there are.
    #[cfg(test)]
    pub fn kept(&self) -> (u64, usize) {
        (self.workers.len(), self.short.len())
    }
}
