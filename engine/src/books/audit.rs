//! The audit: a recount of every sum from the holds and orders themselves, in slices, while the store goes on working.
//!
//! First the holds and orders are counted ([`crate::store::recount`]) and each is looked up where it has to be found.
//! Then what the queue, the workers and the dead name is looked at, and at the end the sums are compared. A step per
//! slice.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use crate::base::table::Keyed;
use crate::base::units::{Ms, NIL};
use crate::record::due::{Due, DueKey};
use crate::record::group::OrderList;
use crate::record::order::{Extra, Order, Position, Stage};
use crate::store::Store;
use crate::store::queue::{Line, waits};
use crate::store::recount::{AuditProgress, weighted};
use crate::store::waitlist::Came;
use crate::terms::audit::Difference;
use crate::terms::items::Units;
use crate::terms::states::OrderState;
use crate::terms::streams::EntryId;

/// Records one slice looks at: a few tenths of a millisecond of work, also where every lookup misses the caches.
pub const AUDIT_SLICE: u32 = 250;

/// More differences than this are counted, not listed.
const DIFFERENCES_MAX: usize = 1_000;

impl AuditProgress {
    fn differ(&mut self, what: &'static str, id: &[u8], books: i64, recount: i64) {
        if books != recount && self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(Difference { what, id: id.into(), books, recount });
        }
    }

    /// Notes a difference where something that has to be so is not.
    fn expect(&mut self, what: &'static str, id: &[u8], is_so: bool) {
        self.differ(what, id, i64::from(is_so), 1);
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
    /// Starts a recount; one that is under way is dropped.
    pub fn audit_start(&mut self) {
        self.audit = Some(Box::default());
        self.holds.start_recount();
        self.orders.start_recount();
    }

    /// Whether a recount is under way.
    pub fn auditing(&self) -> bool {
        self.audit.is_some()
    }

    /// Does one slice; the differences once it is done.
    pub fn audit_slice(&mut self, slice: u32) -> Option<Vec<Difference>> {
        let mut audit = self.audit.take()?;
        if let Some(slots) = self.holds.recount_next(slice) {
            slots.for_each(|slot| self.check_hold(&mut audit, slot));
        } else if let Some(slots) = self.orders.recount_next(slice) {
            slots.for_each(|slot| self.check_order(&mut audit, slot));
        } else if self.check_others(&mut audit, slice) || self.compare_sums(&mut audit, slice) {
            // The next slice goes on from there.
        } else {
            self.compare_counts(&mut audit);
            self.holds.end_recount();
            self.orders.end_recount();
            return Some(audit.differences);
        }
        self.audit = Some(audit);
        None
    }

    /// Goes on with the REFs, the workers, and what the queue and the dead name. Says whether there was any left.
    fn check_others(&self, audit: &mut AuditProgress, slice: u32) -> bool {
        if let Some(slots) = next_slots(&mut audit.refs, self.remembered.refs().end(), slice) {
            slots.for_each(|slot| self.check_ref(audit, slot));
            return true;
        }
        if audit.workers < self.workers.records().end() {
            self.check_workers(audit, slice as usize);
            return true;
        }
        self.check_lists(audit, slice as usize)
    }

    /// Goes on with the sums of SKUs, customers and lanes. Says whether there was any left.
    fn compare_sums(&self, audit: &mut AuditProgress, slice: u32) -> bool {
        if let Some(slots) = next_slots(&mut audit.skus, self.shelf.skus().end(), slice) {
            slots.for_each(|slot| self.compare_sku(audit, slot));
            return true;
        }
        if let Some(slots) = next_slots(&mut audit.customers, self.customers.records().end(), slice) {
            slots.for_each(|slot| self.compare_customer(audit, slot));
            return true;
        }
        let lanes = self.orders.lanes().records().end();
        let Some(slots) = next_slots(&mut audit.lanes, lanes, slice) else { return false };
        slots.for_each(|slot| self.compare_lane(audit, slot));
        true
    }

    /// Whether a hold is found by its id, and is due when it says.
    fn check_hold(&self, audit: &mut AuditProgress, slot: u32) {
        let Some(hold) = self.holds.records().get(slot) else { return };
        audit.expect("index", &hold.id, self.holds.find(&hold.id) == Some(slot));
        audit.expect("due", &hold.id, self.agenda.get(hold.due) == Some(Due::Hold(slot)));
    }

    /// Whether an order is found by its id, its customer is there, it is due when it says, its worker has it, and it is
    /// where it has to be in the queue.
    fn check_order(&self, audit: &mut AuditProgress, slot: u32) {
        let Some(order) = self.orders.records().get(slot) else { return };
        let full = self.orders.full(order);
        let extra = full.as_deref();
        audit.expect("index", order.id(), self.orders.find(order.id()) == Some(slot));
        audit.expect("customer", order.id(), self.customers.records().get(order.customer).is_some());
        audit.expect(
            "state",
            order.id(),
            extra.map_or(OrderState::Queued, |extra| extra.stage.state()) == order.state(),
        );
        let forgotten = |order: &Order| self.orders.stage(order).and_then(|stage| stage.due());
        let is_due = match extra.map(|extra| &extra.stage) {
            None => true,
            Some(Stage::Dead(dead)) => self.orders.dead().get(&dead.seq) == Some(&slot),
            Some(_) if order.position == Position::Ended => self.is_linked(self.agenda.ended(), slot, forgotten),
            Some(stage) => stage.due().is_none_or(|due| self.agenda.get(due) == Some(Due::Order(slot))),
        };
        audit.expect("due", order.id(), is_due);
        self.check_worker(audit, order, slot);
        self.check_lines(audit, order, slot);
        self.check_age(audit, order, slot);
        self.check_position(audit, order, slot);
    }

    /// Whether the worker of a claimed order has it.
    fn check_worker(&self, audit: &mut AuditProgress, order: &Order, slot: u32) {
        let Some(claimed) = self.orders.extra(order).and_then(|extra| extra.stage.claimed()) else { return };
        let worker = self.workers.records().get(claimed.worker);
        let has = worker.and_then(|worker| worker.claims.get(&claimed.token)) == Some(&slot);
        audit.expect("worker", order.id(), has);
    }

    /// Whether an order that waits for stock is in the line of each SKU of which it lacks units.
    fn check_lines(&self, audit: &mut AuditProgress, order: &Order, slot: u32) {
        let Some(waitlisted) = self.orders.extra(order).and_then(|extra| extra.stage.waitlisted()) else { return };
        let came = Came { seq: waitlisted.seq, kept_free: self.orders.queued_as(order) };
        let in_line = |item: &Units| item.qty > 0 && self.waitlist.get(item.sku, came) == Some(slot);
        audit.expect("waitlist", order.id(), waitlisted.missing.iter().all(in_line));
    }

    /// Whether an open order that was not late so far will be found when it is.
    fn check_age(&self, audit: &mut AuditProgress, order: &Order, slot: u32) {
        let noted = self.queue.aging().get(&self.orders.age(order)) == Some(&slot);
        let wanted = order.state().is_open() && !order.late && order.position != Position::Fifo;
        audit.differ("late", order.id(), i64::from(noted), i64::from(wanted));
    }

    /// Whether a REF is due when it says.
    fn check_ref(&self, audit: &mut AuditProgress, slot: u32) {
        let Some(reference) = self.remembered.refs().get(slot) else { return };
        audit.expect("due", &reference.id, self.agenda.get(reference.due) == Some(Due::Ref(slot)));
    }

    /// Whether an order is where it has to be: one that waits in the list, among the ready, among the due retries or in
    /// its group, and no other anywhere.
    fn check_position(&self, audit: &mut AuditProgress, order: &Order, slot: u32) {
        let (group, queue) = (self.orders.group(order), &self.queue);
        let retry = self.orders.extra(order).and_then(|extra| extra.stage.retry());
        let (waits, queued_as) = (waits(&self.orders, order), |order: &Order| self.orders.queued_as(order));
        let lane = self.orders.lane(order);
        let line = queue.line(lane);
        let turn = group.is_none_or(|group| queue.groups().at(group).orders.head == slot);
        let fits = match order.position {
            Position::None | Position::Ended => !waits,
            Position::Fifo | Position::Lane => {
                let is_default = order.position == Position::Fifo;
                let linked = line.is_some_and(|line| self.is_linked(line.fifo(), slot, queued_as));
                waits && group.is_none() && lane.is_none() == is_default && linked
            }
            Position::Ready => {
                let noted = line.is_some_and(|line| line.ready().get(&queued_as(order)) == Some(&slot));
                waits && turn && retry.is_none() && noted
            }
            Position::Retry => {
                let since = |line: &Line| line.retries().get(&retry?.since).copied();
                waits && turn && line.and_then(since) == Some(slot)
            }
            Position::InGroup => waits && !turn,
        };
        audit.expect("queue", order.id(), fits);
        if let Some(group) = group.filter(|_| order.state().is_open() && self.orders.is_listed(order)) {
            let linked = self.is_linked(&queue.groups().at(group).orders, slot, queued_as);
            audit.expect("group", order.id(), linked);
        }
    }

    /// Whether an order's neighbours in a list know it, and are in the order of the list.
    fn is_linked<K: Ord>(&self, list: &OrderList, slot: u32, key: impl Fn(&Order) -> K) -> bool {
        let orders = &self.orders;
        let order = orders.at(slot);
        let own = key(order);
        let (prev, next) = (orders.records().get(order.prev), orders.records().get(order.next));
        let before =
            (order.prev == NIL && list.head == slot) || prev.is_some_and(|prev| prev.next == slot && key(prev) < own);
        let after =
            (order.next == NIL && list.tail == slot) || next.is_some_and(|next| next.prev == slot && key(next) > own);
        before && after
    }

    /// Goes on with the workers and the orders they have: one of them may have more than a slice looks at.
    fn check_workers(&self, audit: &mut AuditProgress, slice: usize) {
        let mut left = slice;
        while left > 0 && audit.workers < self.workers.records().end() {
            let looked = self.check_claims(audit, left);
            if looked == 0 {
                audit.workers += 1;
                audit.claims = None;
            }
            left -= looked.max(1);
        }
    }

    /// Whether what the worker at hand has is a claimed order each, under that token. Says how many it looked at.
    fn check_claims(&self, audit: &mut AuditProgress, slice: usize) -> usize {
        let Some(worker) = self.workers.records().get(audit.workers) else { return 0 };
        if audit.claims.is_none() {
            let known = self.workers.find(&worker.id) == Some(audit.workers) && !worker.claims.is_empty();
            audit.expect("index", &worker.id, known);
        }
        let claims = next_entries(&worker.claims, &mut audit.claims, slice);
        let is_claimed = |token: u64, extra: &Extra| extra.stage.claimed().is_some_and(|c| c.token == token);
        let known = |token, slot: u32| self.extra_of(slot).is_some_and(|extra| is_claimed(token, extra));
        for stray in strays(&claims, known) {
            audit.differ("worker", self.id_of(stray), 1, 0);
        }
        claims.len()
    }

    fn extra_of(&self, slot: u32) -> Option<&Extra> {
        self.orders.records().get(slot).and_then(|order| self.orders.extra(order))
    }

    fn id_of(&self, slot: u32) -> &[u8] {
        self.orders.records().get(slot).map_or(b"", Order::id)
    }

    /// Whether what is among the ready, the due retries, the aging and the dead belongs there. Says whether there was
    /// any to look at.
    fn check_lists(&self, audit: &mut AuditProgress, slice: usize) -> bool {
        if self.check_line(audit, slice) || self.next_lane(audit) {
            return true;
        }
        let aging = next_entries(self.queue.aging(), &mut audit.aging, slice);
        let dead = next_entries(self.orders.dead(), &mut audit.dead, slice);
        let looked = aging.len() + dead.len();
        let strays = [
            ("late", strays(&aging, |age, slot| self.is_aging(slot, age))),
            ("due", strays(&dead, |seq, slot| self.is_dead(slot, seq))),
        ];
        for (what, list) in strays {
            list.into_iter().for_each(|slot| audit.differ(what, self.id_of(slot), 1, 0));
        }
        looked > 0
    }

    /// The same for the ready and the due retries of the lane at hand.
    fn check_line(&self, audit: &mut AuditProgress, slice: usize) -> bool {
        let lane = audit.lane;
        let Some(line) = self.queue.line(lane) else { return false };
        let ready = next_entries(line.ready(), &mut audit.ready, slice);
        let retries = next_entries(line.retries(), &mut audit.retries, slice);
        let strays = [
            strays(&ready, |queued_as, slot| self.is_ready(slot, lane, queued_as)),
            strays(&retries, |since, slot| self.is_retry(slot, lane, since)),
        ];
        strays.into_iter().flatten().for_each(|slot| audit.differ("queue", self.id_of(slot), 1, 0));
        ready.len() + retries.len() > 0
    }

    /// Goes on to the next lane; whether there is one. Its list has to begin and end with orders of that list, and the
    /// index of lanes has to know how its next order stands.
    fn next_lane(&self, audit: &mut AuditProgress) -> bool {
        let from = audit.lane.map_or(Bound::Unbounded, Bound::Excluded);
        let Some((lane, line)) = self.queue.lanes().range((from, Bound::Unbounded)).next() else { return false };
        (audit.lane, audit.ready, audit.retries) = (Some(*lane), None, None);
        let id = self.orders.lanes().records().get(*lane).map_or(&b""[..], |lane| &lane.id);
        audit.expect("queue", id, self.is_in(line.fifo().head, Position::Lane));
        audit.expect("queue", id, self.is_in(line.fifo().tail, Position::Lane));
        let turn = line.turn().filter(|_| line.turn() == line.next_turn(&self.orders));
        audit.expect("lane", id, turn.and_then(|turn| self.queue.turns().get(turn)) == Some(*lane));
        true
    }

    /// Whether an order is at that position, where there is one.
    fn is_in(&self, slot: u32, position: Position) -> bool {
        slot == NIL || self.orders.records().get(slot).is_some_and(|order| order.position == position)
    }

    /// Whether an order of a lane is ready, and was queued then.
    fn is_ready(&self, slot: u32, lane: Option<u32>, queued_as: EntryId) -> bool {
        let order = self.orders.records().get(slot).filter(|order| order.position == Position::Ready);
        order.is_some_and(|order| self.orders.queued_as(order) == queued_as && self.orders.lane(order) == lane)
    }

    /// Whether an order of a lane is a due retry, since then.
    fn is_retry(&self, slot: u32, lane: Option<u32>, since: DueKey) -> bool {
        let order = self.orders.records().get(slot).filter(|order| order.position == Position::Retry);
        let order = order.filter(|order| self.orders.lane(order) == lane);
        let retry = order.and_then(|order| self.orders.extra(order)).and_then(|extra| extra.stage.retry());
        retry.is_some_and(|retry| retry.since == since)
    }

    /// Whether an order is open and not late, at that age.
    fn is_aging(&self, slot: u32, age: (Ms, EntryId)) -> bool {
        let open = |order: &Order| order.state().is_open() && !order.late;
        self.orders.records().get(slot).is_some_and(|order| open(order) && self.orders.age(order) == age)
    }

    /// Whether an order is dead, with that number among them.
    fn is_dead(&self, slot: u32, seq: u64) -> bool {
        self.extra_of(slot).and_then(|extra| extra.stage.dead()).is_some_and(|dead| dead.seq == seq)
    }

    fn compare_sku(&self, audit: &mut AuditProgress, slot: u32) {
        let (Some(holds), Some(orders)) = (self.holds.recount(), self.orders.recount()) else { return };
        let sku = self.shelf.at(slot);
        let ([held, sold], [held_too, sold_too]) = (holds.units.skus.at(slot), orders.units.skus.at(slot));
        let (held, sold) = (held + held_too + sku.aside as i64, sold + sold_too + sku.past as i64);
        audit.differ("held", &sku.id, sku.held as i64, held);
        audit.differ("sold", &sku.id, sku.sold as i64, sold);
        audit.differ("on-hand", &sku.id, sku.on_hand as i64, sku.received - sold);
        let [missing, _] = orders.missing.at(slot);
        audit.differ("waiting", &sku.id, sku.waiting as i64, missing - sku.aside as i64);
        // What is set aside is handed on to the first of the line, and nobody waits for what is available.
        let first = self.waitlist.first(slot).filter(|_| sku.aside > 0).map(|(came, _)| came);
        audit.expect("waitlist", &sku.id, self.waitlist.head(slot) == first && (first.is_some() || sku.aside == 0));
        audit.expect("waitlist", &sku.id, sku.waiting == 0 || sku.available() <= 0);
    }

    fn compare_customer(&self, audit: &mut AuditProgress, slot: u32) {
        let (Some(holds), Some(orders)) = (self.holds.recount(), self.orders.recount()) else { return };
        let Some(customer) = self.customers.records().get(slot) else { return };
        let ([units, mark], [units_too, mark_too]) = (holds.units.customers.at(slot), orders.units.customers.at(slot));
        let (mut units, mut mark) = (units + units_too, mark.wrapping_add(mark_too));
        let (mut books, mut books_mark) = (0i64, 0i64);
        for (sku, known) in self.customers.units(slot) {
            units += known.past as i64;
            mark = mark.wrapping_add(weighted(sku, known.past as i64));
            books += known.units as i64;
            books_mark = books_mark.wrapping_add(weighted(sku, known.units as i64));
        }
        if books == units && books_mark != mark {
            // The sum is right, its parts are not.
            return audit.differ("customer by SKU", customer.id(), books_mark, mark);
        }
        audit.differ("customer", customer.id(), books, units);
    }

    fn compare_counts(&self, audit: &mut AuditProgress) {
        let (Some(holds), Some(orders)) = (self.holds.recount(), self.orders.recount()) else { return };
        for state in OrderState::ALL {
            let books = self.orders.by_state()[state as usize] as i64;
            audit.differ("orders", state.name().as_bytes(), books, orders.by_state[state as usize]);
        }
        audit.differ("holds", b"live", self.holds.live() as i64, holds.live);
        // Every hold, every order with a deadline and every REF is due once, so is what those who wait get, and nothing
        // else is.
        let line = i64::from(self.waitlist.has_turns());
        let recount = self.holds.records().len() as i64 + orders.due + self.remembered.refs().len() as i64 + line;
        audit.differ("due", b"", self.agenda.len() as i64, recount);
        audit.differ("stream", b"orders", self.orders.unlisted() as i64, orders.unlisted);
        audit.differ("waitlist", b"", self.waitlist.len() as i64, orders.waits);
        audit.expect("waitlist", b"", self.waitlist.is_paired());
        audit.differ("stream", b"retry", self.orders.retry_entries() as i64, orders.retry_entries);
        let dead = orders.by_state[OrderState::Dead as usize];
        audit.differ("orders", b"dead letters", self.orders.dead().len() as i64, dead);
        if let Some(line) = self.queue.line(None) {
            audit.expect("queue", b"", self.is_in(line.fifo().head, Position::Fifo));
            audit.expect("queue", b"", self.is_in(line.fifo().tail, Position::Fifo));
        }
        audit.differ("lane", b"", self.orders.lanes().used().len() as i64, orders.used_lanes.len() as i64);
        audit.differ("lane", b"", self.queue.turns().len() as i64, self.queue.lanes().len() as i64);
    }

    /// Whether a lane has as many orders of each state as named it.
    fn compare_lane(&self, audit: &mut AuditProgress, slot: u32) {
        let (Some(orders), lanes) = (self.orders.recount(), self.orders.lanes()) else { return };
        let Some(lane) = lanes.records().get(slot) else { return };
        let recount = orders.lanes.get(&slot).copied().unwrap_or_default();
        for state in OrderState::ALL {
            audit.differ("lane", &lane.id, lane.by_state[state as usize] as i64, recount[state as usize]);
        }
        let known = lanes.find(&lane.id) == Some(slot) && lane.is_named();
        audit.expect("index", &lane.id, known && lanes.used().contains(&slot) == lane.is_used());
    }
}
