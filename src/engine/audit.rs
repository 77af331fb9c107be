//! The audit: a recount of every sum from the holds and orders themselves, in slices, while the store goes on working.
//!
//! The recount goes through the slots in order. A hold or order that changes in a slot which was counted already is
//! taken out before and put back in after the change, so that at every moment the recount is that of the slots so far.
//! When all are counted, every SKU and customer can be compared, in slices again.

use super::order::OrderState;
use super::store::Store;
use super::types::NIL;

/// Records one slice looks at: well under a millisecond of work.
pub const AUDIT_SLICE: u32 = 2_000;

/// More differences than this are counted, not listed.
const DIFFERENCES_MAX: usize = 1_000;

/// One thing on which the books and the recount disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What was compared: `on_hand`, `held`, `sold`, `customer`, `customer by SKU`, `orders`, `holds`, `queue`, `stream`.
    pub what: &'static str,
    /// Of which SKU, customer, state or stream.
    pub id: Box<[u8]>,
    /// What the books say.
    pub books: i64,
    /// What the recount says.
    pub recount: i64,
}

/// Numbers by slot, growing in chunks.
#[derive(Default)]
struct BySlot {
    chunks: Vec<Vec<[i64; 2]>>,
}

const CHUNK: usize = 4096;

impl BySlot {
    fn at(&mut self, slot: u32) -> &mut [i64; 2] {
        let chunk = slot as usize / CHUNK;
        while self.chunks.len() <= chunk {
            self.chunks.push(Vec::new());
        }
        let numbers = &mut self.chunks[chunk];
        if numbers.is_empty() {
            numbers.resize(CHUNK, [0; 2]);
        }
        &mut numbers[slot as usize % CHUNK]
    }
}

/// A recount on its way.
#[derive(Default)]
pub(super) struct Audit {
    holds_counted: u32,
    orders_counted: u32,
    skus_compared: u32,
    customers_compared: u32,
    /// Held and sold units of a SKU.
    skus: BySlot,
    /// Units of a customer, and a sum that tells its SKUs apart.
    customers: BySlot,
    by_state: [i64; 6],
    live_holds: i64,
    differences: Vec<Difference>,
}

/// Makes units of different SKUs count differently: SplitMix64's finalizer.
fn weighted(sku: u32, units: i64) -> i64 {
    let mut n = u64::from(sku).wrapping_add(0x9e37_79b9_7f4a_7c15);
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    units.wrapping_mul((n ^ (n >> 31)) as i64)
}

impl Audit {
    fn count(&mut self, customer: u32, sku: u32, held: i64, sold: i64) {
        let [h, s] = self.skus.at(sku);
        *h += held;
        *s += sold;
        if customer != NIL {
            let [units, mark] = self.customers.at(customer);
            *units += held + sold;
            *mark = mark.wrapping_add(weighted(sku, held + sold));
        }
    }

    fn differ(&mut self, what: &'static str, id: &[u8], books: i64, recount: i64) {
        if books != recount && self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(Difference { what, id: id.into(), books, recount });
        }
    }
}

impl Store {
    /// Starts a recount; one that was on its way is given up.
    pub fn audit_start(&mut self) {
        self.audit = Some(Box::default());
    }

    /// Whether a recount is on its way.
    pub fn auditing(&self) -> bool {
        self.audit.is_some()
    }

    /// Does one slice; the differences once it is done.
    pub fn audit_slice(&mut self, slice: u32) -> Option<Vec<Difference>> {
        let mut audit = self.audit.take()?;
        if audit.holds_counted < self.holds.end() {
            let to = (audit.holds_counted + slice).min(self.holds.end());
            for slot in audit.holds_counted..to {
                self.count_hold(&mut audit, slot, 1);
            }
            audit.holds_counted = to;
        } else if audit.orders_counted < self.orders.end() {
            let to = (audit.orders_counted + slice).min(self.orders.end());
            for slot in audit.orders_counted..to {
                self.count_order(&mut audit, slot, 1);
                self.check_links(&mut audit, slot);
            }
            audit.orders_counted = to;
        } else if audit.skus_compared < self.skus.end() {
            let to = (audit.skus_compared + slice).min(self.skus.end());
            (audit.skus_compared..to).for_each(|slot| self.compare_sku(&mut audit, slot));
            audit.skus_compared = to;
        } else if audit.customers_compared < self.customers.end() {
            let to = (audit.customers_compared + slice).min(self.customers.end());
            (audit.customers_compared..to).for_each(|slot| self.compare_customer(&mut audit, slot));
            audit.customers_compared = to;
        } else {
            self.compare_counts(&mut audit);
            return Some(audit.differences);
        }
        self.audit = Some(audit);
        None
    }

    /// Takes an order out of the recount before it changes (-1), puts it back in after (1), if its slot was counted.
    #[inline]
    pub(super) fn audit_order(&mut self, slot: u32, sign: i64) {
        if self.audit.as_ref().is_some_and(|audit| slot < audit.orders_counted) {
            self.audited(|store, audit| store.count_order(audit, slot, sign));
        }
    }

    /// The same for a hold.
    #[inline]
    pub(super) fn audit_hold(&mut self, slot: u32, sign: i64) {
        if self.audit.as_ref().is_some_and(|audit| slot < audit.holds_counted) {
            self.audited(|store, audit| store.count_hold(audit, slot, sign));
        }
    }

    fn audited(&mut self, count: impl FnOnce(&Store, &mut Audit)) {
        if let Some(mut audit) = self.audit.take() {
            count(self, &mut audit);
            self.audit = Some(audit);
        }
    }

    fn count_hold(&self, audit: &mut Audit, slot: u32, sign: i64) {
        let Some(hold) = self.holds.get(slot) else { return };
        audit.live_holds += sign * i64::from(hold.is_live());
        for item in &hold.items {
            let held = if hold.is_live() { item.left as i64 } else { 0 };
            audit.count(hold.customer, item.sku, sign * held, sign * item.committed as i64);
        }
    }

    fn count_order(&self, audit: &mut Audit, slot: u32, sign: i64) {
        let Some(order) = self.orders.get(slot) else { return };
        let state = order.state();
        audit.by_state[state as usize] += sign;
        for (sku, kept) in self.kept_units(slot) {
            let kept = sign * kept as i64;
            match state {
                OrderState::Completed => audit.count(order.customer, sku, 0, kept),
                state if state.is_open() => audit.count(order.customer, sku, kept, 0),
                _ => {}
            }
        }
    }

    /// Whether a waiting order's neighbours in the queue know it, and were placed in that order.
    fn check_links(&self, audit: &mut Audit, slot: u32) {
        let Some(order) = self.orders.get(slot).filter(|order| order.state() == OrderState::Queued) else { return };
        let queued = self.queued_as(order);
        let before = (order.prev == NIL && self.queue.head == slot)
            || self.orders.get(order.prev).is_some_and(|prev| prev.next == slot && self.queued_as(prev) < queued);
        let after = (order.next == NIL && self.queue.tail == slot)
            || self.orders.get(order.next).is_some_and(|next| next.prev == slot && self.queued_as(next) > queued);
        audit.differ("queue", order.id(), i64::from(before) + i64::from(after), 2);
    }

    fn compare_sku(&self, audit: &mut Audit, slot: u32) {
        let sku = self.skus.at(slot);
        let [held, sold] = *audit.skus.at(slot);
        let sold = sold + sku.past as i64;
        audit.differ("held", &sku.id, sku.held as i64, held);
        audit.differ("sold", &sku.id, sku.sold as i64, sold);
        audit.differ("on_hand", &sku.id, sku.on_hand as i64, sku.received - sold);
    }

    fn compare_customer(&self, audit: &mut Audit, slot: u32) {
        let Some(customer) = self.customers.get(slot) else { return };
        let [mut units, mut mark] = *audit.customers.at(slot);
        let (mut books, mut books_mark) = (0i64, 0i64);
        for (sku, tally) in super::customer::tallies(customer, self.many.get(&slot)) {
            units += tally.past as i64;
            mark = mark.wrapping_add(weighted(sku, tally.past as i64));
            books += tally.units as i64;
            books_mark = books_mark.wrapping_add(weighted(sku, tally.units as i64));
        }
        if books == units && books_mark != mark {
            // The sum is right, its parts are not.
            return audit.differ("customer by SKU", customer.id(), books_mark, mark);
        }
        audit.differ("customer", customer.id(), books, units);
    }

    fn compare_counts(&self, audit: &mut Audit) {
        for state in OrderState::ALL {
            let (books, recount) = (self.by_state[state as usize] as i64, audit.by_state[state as usize]);
            audit.differ("orders", state.name().as_bytes(), books, recount);
        }
        let recount = audit.live_holds;
        audit.differ("holds", b"live", self.live_holds as i64, recount);
    }
}
