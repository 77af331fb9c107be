//! The audit: a recount of every sum from the holds and orders themselves, in slices, while the store goes on working.
//!
//! The recount goes through the slots in order. A hold or order that changes in a slot which was counted already is
//! taken out before and put back in after the change, so that at every moment the recount is that of the slots so far.
//! When all are counted, every SKU and customer can be compared, in slices again.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use crate::base::units::{Ms, NIL};
use crate::calls::due::Due;
use crate::record::order::{Order, Seat};
use crate::store::{Queue, Store};
use crate::terms::states::OrderState;
use crate::terms::streams::EntryId;

/// Records one slice looks at: under a millisecond of work, also where every lookup misses the caches.
pub const AUDIT_SLICE: u32 = 1_000;

/// More differences than this are counted, not listed.
const DIFFERENCES_MAX: usize = 1_000;

/// One thing on which the books and the recount disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What was compared: `on_hand`, `held`, `sold`, `customer`, `customer by SKU`, `orders`, `holds`, `queue`, `group`,
    /// `worker`, `late`, `due`, `index`, `stream`.
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
pub(crate) struct Audit {
    holds_counted: u32,
    orders_counted: u32,
    refs_checked: u32,
    skus_compared: u32,
    customers_compared: u32,
    /// Held and sold units of a SKU.
    skus: BySlot,
    /// Units of a customer, and a sum that tells its SKUs apart.
    customers: BySlot,
    /// The last entry checked of the ready orders, the due retries, the ageing and the dead, each sorted by its own key.
    ready_checked: Option<EntryId>,
    retries_checked: Option<(Ms, u64)>,
    aging_checked: Option<(Ms, EntryId)>,
    dead_checked: Option<u64>,
    workers_checked: u32,
    /// The last claim checked of the worker at hand.
    claims_checked: Option<u64>,
    by_state: [i64; 6],
    /// Orders that have a deadline.
    due_orders: i64,
    /// Orders that have an entry in `…:retry`.
    retry_entries: i64,
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

/// The next entries of a map to look at, behind the last that is done.
fn next_entries<K: Ord + Copy>(map: &BTreeMap<K, u32>, done: &mut Option<K>, slice: usize) -> Vec<(K, u32)> {
    let from = done.map_or(Bound::Unbounded, Bound::Excluded);
    let list: Vec<_> = map.range((from, Bound::Unbounded)).take(slice).map(|(key, slot)| (*key, *slot)).collect();
    *done = list.last().map(|(key, _)| *key).or(*done);
    list
}

/// The slots of entries of a map that do not belong there.
fn strays<K: Copy>(entries: &[(K, u32)], belongs: impl Fn(K, u32) -> bool) -> Vec<u32> {
    entries.iter().filter(|(key, slot)| !belongs(*key, *slot)).map(|(_, slot)| *slot).collect()
}

/// The next slots to look at, behind those that are done.
fn next_slots(done: &mut u32, end: u32, slice: u32) -> Option<Range<u32>> {
    let from = *done;
    *done = from.max(from.saturating_add(slice).min(end));
    (from < end).then_some(from..*done)
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
        if let Some(slots) = next_slots(&mut audit.holds_counted, self.holds.end(), slice) {
            for slot in slots {
                self.count_hold(&mut audit, slot, 1);
                self.check_hold(&mut audit, slot);
            }
        } else if let Some(slots) = next_slots(&mut audit.orders_counted, self.orders.end(), slice) {
            for slot in slots {
                self.count_order(&mut audit, slot, 1);
                self.check_order(&mut audit, slot);
                self.check_seat(&mut audit, slot);
            }
        } else if let Some(slots) = next_slots(&mut audit.refs_checked, self.refs.end(), slice) {
            slots.for_each(|slot| self.check_ref(&mut audit, slot));
        } else if audit.workers_checked < self.workers.end() {
            self.check_workers(&mut audit, slice as usize);
        } else if self.check_lines(&mut audit, slice as usize) {
            // The next slice goes on from there.
        } else if let Some(slots) = next_slots(&mut audit.skus_compared, self.skus.end(), slice) {
            slots.for_each(|slot| self.compare_sku(&mut audit, slot));
        } else if let Some(slots) = next_slots(&mut audit.customers_compared, self.customers.end(), slice) {
            slots.for_each(|slot| self.compare_customer(&mut audit, slot));
        } else {
            self.compare_counts(&mut audit);
            return Some(audit.differences);
        }
        self.audit = Some(audit);
        None
    }

    /// Takes an order out of the recount before it changes (-1), puts it back in after (1), if its slot was counted.
    #[inline]
    pub(crate) fn audit_order(&mut self, slot: u32, sign: i64) {
        if self.audit.as_ref().is_some_and(|audit| slot < audit.orders_counted) {
            self.audited(|store, audit| store.count_order(audit, slot, sign));
        }
    }

    /// The same for a hold.
    #[inline]
    pub(crate) fn audit_hold(&mut self, slot: u32, sign: i64) {
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
        if let Some(extra) = self.extra(order) {
            audit.due_orders += sign * i64::from(extra.due_at != 0);
            audit.retry_entries += sign * i64::from(extra.retry.is_some());
        }
        for (sku, kept) in self.kept_units(slot) {
            let kept = sign * kept as i64;
            match state {
                OrderState::Completed => audit.count(order.customer, sku, 0, kept),
                state if state.is_open() => audit.count(order.customer, sku, kept, 0),
                _ => {}
            }
        }
    }

    /// Whether a hold is found by its id, and is due when it says.
    fn check_hold(&self, audit: &mut Audit, slot: u32) {
        let Some(hold) = self.holds.get(slot) else { return };
        let due = self.due.get(&(hold.due, hold.place)) == Some(&Due::Hold(slot));
        audit.differ("index", &hold.id, i64::from(self.find_hold(&hold.id) == Some(slot)), 1);
        audit.differ("due", &hold.id, i64::from(due), 1);
    }

    /// Whether an order is found by its id, its customer is there, and it is due when it says.
    fn check_order(&self, audit: &mut Audit, slot: u32) {
        let Some(order) = self.orders.get(slot) else { return };
        audit.differ("index", order.id(), i64::from(self.find_order(order.id()) == Some(slot)), 1);
        audit.differ("customer", order.id(), i64::from(self.customers.get(order.customer).is_some()), 1);
        let extra = self.extra(order);
        let key = extra.map_or((0, 0), |extra| (extra.due_at, extra.due_place));
        let due = match order.state() {
            OrderState::Queued => key == (0, 0),
            OrderState::Dead => self.dead.get(&key.1) == Some(&slot),
            OrderState::Retrying if key == (0, 0) => extra.is_some_and(|extra| extra.retry.is_some()),
            _ => self.due.get(&key) == Some(&Due::Order(slot)),
        };
        audit.differ("due", order.id(), i64::from(due), 1);
        self.check_worker(audit, order, slot);
        self.check_age(audit, order, slot);
    }

    /// Whether a claimed order is in the hands of its worker, and no other is in anybody's.
    fn check_worker(&self, audit: &mut Audit, order: &Order, slot: u32) {
        let claim = self.extra(order).and_then(|extra| Some((extra.worker?, extra.token)));
        let held = claim.and_then(|(worker, token)| self.workers.get(worker)?.claims.get(&token)) == Some(&slot);
        let wanted = order.state() == OrderState::Claimed;
        audit.differ("worker", order.id(), i64::from(held), i64::from(wanted));
    }

    /// Whether an open order that was not late so far will be found when it is.
    fn check_age(&self, audit: &mut Audit, order: &Order, slot: u32) {
        let noted = self.aging.get(&self.age_of(order)) == Some(&slot);
        let wanted = order.state().is_open() && !order.late && order.seat != Seat::Line;
        audit.differ("late", order.id(), i64::from(noted), i64::from(wanted));
    }

    /// Whether a REF is due when it says.
    fn check_ref(&self, audit: &mut Audit, slot: u32) {
        let Some(reference) = self.refs.get(slot) else { return };
        let due = self.due.get(&(reference.due, reference.place)) == Some(&Due::Ref(slot));
        audit.differ("due", &reference.id, i64::from(due), 1);
    }

    /// Whether an order stands where it should: one that waits in the line, among the ready, among the due retries or
    /// behind the first of its group, and no other anywhere.
    fn check_seat(&self, audit: &mut Audit, slot: u32) {
        let Some(order) = self.orders.get(slot) else { return };
        let (group, retry) = (self.group_of(order), self.extra(order).and_then(|extra| extra.retry));
        let waits = self.waits(order);
        let turn = group.is_none_or(|group| self.groups.at(group).queue.head == slot);
        let seated = match order.seat {
            Seat::Away => !waits,
            Seat::Line => waits && group.is_none() && self.is_linked(&self.queue, slot),
            Seat::Ready => waits && turn && retry.is_none() && self.ready.get(&self.queued_as(order)) == Some(&slot),
            Seat::Retry => waits && turn && retry.is_some_and(|place| self.retries.get(&place) == Some(&slot)),
            Seat::Behind => waits && !turn,
        };
        audit.differ("queue", order.id(), i64::from(seated), 1);
        if let Some(group) = group.filter(|_| order.state().is_open()) {
            let linked = self.is_linked(&self.groups.at(group).queue, slot);
            audit.differ("group", order.id(), i64::from(linked), 1);
        }
    }

    /// Whether an order's neighbours in a queue know it, and were placed in that order.
    fn is_linked(&self, queue: &Queue, slot: u32) -> bool {
        let order = self.orders.at(slot);
        let queued = self.queued_as(order);
        let before = (order.prev == NIL && queue.head == slot)
            || self.orders.get(order.prev).is_some_and(|prev| prev.next == slot && self.queued_as(prev) < queued);
        let after = (order.next == NIL && queue.tail == slot)
            || self.orders.get(order.next).is_some_and(|next| next.prev == slot && self.queued_as(next) > queued);
        before && after
    }

    /// Goes on with the workers and what they have in hand: one of them may have more than a slice looks at.
    fn check_workers(&self, audit: &mut Audit, slice: usize) {
        let mut left = slice;
        while left > 0 && audit.workers_checked < self.workers.end() {
            let looked = self.check_claims(audit, left);
            if looked == 0 {
                audit.workers_checked += 1;
                audit.claims_checked = None;
            }
            left -= looked.max(1);
        }
    }

    /// Whether what the worker at hand has is a claimed order each, under that token. Says how many it looked at.
    fn check_claims(&self, audit: &mut Audit, slice: usize) -> usize {
        let Some(worker) = self.workers.get(audit.workers_checked) else { return 0 };
        if audit.claims_checked.is_none() {
            let known = self.find_worker(&worker.id) == Some(audit.workers_checked) && !worker.claims.is_empty();
            audit.differ("index", &worker.id, i64::from(known), 1);
        }
        let claims = next_entries(&worker.claims, &mut audit.claims_checked, slice);
        let extra = |slot: u32| self.orders.get(slot).and_then(|order| self.extra(order));
        for stray in strays(&claims, |token, slot| extra(slot).is_some_and(|extra| extra.token == token)) {
            audit.differ("worker", self.orders.get(stray).map_or(b"", Order::id), 1, 0);
        }
        claims.len()
    }

    /// Whether what stands among the ready, the due retries, the ageing and the dead belongs there. Says whether there
    /// was any to look at.
    fn check_lines(&self, audit: &mut Audit, slice: usize) -> bool {
        let ready = next_entries(&self.ready, &mut audit.ready_checked, slice);
        let retries = next_entries(&self.retries, &mut audit.retries_checked, slice);
        let aging = next_entries(&self.aging, &mut audit.aging_checked, slice);
        let dead = next_entries(&self.dead, &mut audit.dead_checked, slice);
        let looked = ready.len() + retries.len() + aging.len() + dead.len();
        let strays = [
            ("queue", strays(&ready, |place, slot| self.is_ready(slot, place))),
            ("queue", strays(&retries, |place, slot| self.is_retry(slot, place))),
            ("late", strays(&aging, |age, slot| self.is_aging(slot, age))),
            ("due", strays(&dead, |place, slot| self.is_dead(slot, place))),
        ];
        for (what, list) in strays {
            for slot in list {
                audit.differ(what, self.orders.get(slot).map_or(b"", Order::id), 1, 0);
            }
        }
        looked > 0
    }

    /// Whether an order is ready, at that place in the queue.
    fn is_ready(&self, slot: u32, place: EntryId) -> bool {
        self.orders.get(slot).is_some_and(|order| order.seat == Seat::Ready && self.queued_as(order) == place)
    }

    /// Whether an order is a due retry, at that place among them.
    fn is_retry(&self, slot: u32, place: (Ms, u64)) -> bool {
        let retry = |order: &Order| self.extra(order).and_then(|extra| extra.retry);
        self.orders.get(slot).is_some_and(|order| order.seat == Seat::Retry && retry(order) == Some(place))
    }

    /// Whether an order is open and not late, at that age.
    fn is_aging(&self, slot: u32, age: (Ms, EntryId)) -> bool {
        let open = |order: &Order| order.state().is_open() && !order.late;
        self.orders.get(slot).is_some_and(|order| open(order) && self.age_of(order) == age)
    }

    /// Whether an order is dead, at that place among them.
    fn is_dead(&self, slot: u32, place: u64) -> bool {
        let died = |order: &Order| self.extra(order).map(|extra| extra.due_place);
        self.orders.get(slot).is_some_and(|order| order.state() == OrderState::Dead && died(order) == Some(place))
    }

    fn compare_sku(&self, audit: &mut Audit, slot: u32) {
        let sku = self.skus.at(slot);
        let [held, sold] = *audit.skus.at(slot);
        let sold = sold + sku.past as i64;
        audit.differ("held", &sku.id, sku.held as i64, held);
        audit.differ("sold", &sku.id, sku.sold as i64, sold);
        audit.differ("on-hand", &sku.id, sku.on_hand as i64, sku.received - sold);
    }

    fn compare_customer(&self, audit: &mut Audit, slot: u32) {
        let Some(customer) = self.customers.get(slot) else { return };
        let [mut units, mut mark] = *audit.customers.at(slot);
        let (mut books, mut books_mark) = (0i64, 0i64);
        for (sku, tally) in crate::record::customer::tallies(customer, self.many.get(&slot)) {
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
        // Every hold, every order with a deadline and every REF is due once, and nothing else is.
        let recount = self.holds.len() as i64 + audit.due_orders + self.refs.len() as i64;
        audit.differ("due", b"", self.due.len() as i64, recount);
        audit.differ("stream", b"retry", self.retry_entries as i64, audit.retry_entries);
        audit.differ("orders", b"dead letters", self.dead.len() as i64, audit.by_state[OrderState::Dead as usize]);
        let stands = |slot: u32| slot == NIL || self.orders.get(slot).is_some_and(|order| order.seat == Seat::Line);
        audit.differ("queue", b"", i64::from(stands(self.queue.head)), 1);
        audit.differ("queue", b"", i64::from(stands(self.queue.tail)), 1);
    }
}
