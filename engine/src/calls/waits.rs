//! Orders that wait for stock: `ORDER.PLACE … WAIT`, what happens when units come free, and when a wait is over.
//!
//! Units that come free are set aside at once ([`Store::change_stock`]). They are handed on from the head of each line:
//! [`Store::serve_line`] does that for some orders within the command, [`Store::hand_on`] for the others as due work.

use std::collections::BTreeMap;

use crate::base::table::{Key, Keyed};
use crate::base::units::Ms;
use crate::calls::orders::Place;
use crate::calls::work::ENTRY_WEIGHT;
use crate::record::customer::{UnitChange, UnitChanges};
use crate::record::due::Due;
use crate::record::history::HistoryEvent;
use crate::record::order::{Order, Stage, Waitlisted};
use crate::store::Store;
use crate::store::customers::Named;
use crate::store::waitlist::{Came, Turn};
use crate::terms::alerts::AlertKind;
use crate::terms::effects::{Effects, Event};
use crate::terms::items::{Item, Units, UnitsList};
use crate::terms::journal::{Move, Why};
use crate::terms::refusal::{Refusal, checked_sum};
use crate::terms::streams::StreamKind;

/// Records that a command hands units on to, entries counted as [`ENTRY_WEIGHT`]: 64 orders, less than a millisecond.
const LINE_AT_ONCE: u64 = 64 * (1 + ENTRY_WEIGHT);

/// The reason of an order that is cancelled since its units did not come in time.
const WAIT_EXPIRED: &[u8] = b"waitlist expired";

impl Store {
    /// Places an order of which units are not available, as `short` says: it takes what there is and waits for the
    /// rest, if it may. All but the stock was checked before.
    #[cold]
    #[inline(never)]
    pub(crate) fn place_waiting(
        &mut self,
        now: Ms,
        place: &Place<'_>,
        named: &[Item<'_>],
        short: Refusal,
        fx: &mut Effects,
    ) -> Result<(), Refusal> {
        let Some(wait_ms) = place.wait_ms.filter(|_| matches!(short, Refusal::OutOfStock { .. })) else {
            return Err(short);
        };
        let items = self.shelf.resolve(named)?;
        self.check_backlog(&items)?;
        let ends = if wait_ms == 0 { None } else { Some(checked_sum(now, wait_ms, "WAIT")?) };
        self.touch(now, fx);
        let key = self.orders.key(place.order);
        let customer = self.customers.look_up(place.customer);
        self.new_waitlisted(place, (&key, &customer), &items, ends, fx);
        self.counters.placed = self.counters.placed.saturating_add(1);
        fx.event(Event::OrderPlaced);
        Ok(())
    }

    /// Adds an order that waits to the books and to the lines, and takes what is available.
    fn new_waitlisted(
        &mut self,
        place: &Place<'_>,
        (key, customer): (&Key<'_>, &Named<'_>),
        items: &UnitsList,
        ends: Option<Ms>,
        fx: &mut Effects,
    ) {
        let changes: UnitChanges = items.iter().map(|item| UnitChange::more(*item)).collect();
        let customer = self.customers.join(customer, &changes);
        let entry = self.last.next(StreamKind::Orders, self.now);
        let order = Order::new(place.order, customer, entry, items, place.data);
        let mut missing: Vec<Units> = items.iter().map(|item| self.lacking(item)).filter(|item| item.qty > 0).collect();
        missing.sort_unstable_by_key(|item| item.sku);
        let (seq, until) = (self.agenda.next_seq(), ends.map(|at| self.agenda.key(at)));
        let mut extra = self.extra_of_new(place, entry);
        let origin = extra.origin_mut();
        (origin.unlisted, origin.waited) = (true, true);
        extra.stage = Stage::Waitlisted(Box::new(Waitlisted { seq, until, missing: missing.clone() }));
        let slot = self.orders.insert_with(key, order, extra);
        self.queue.age(&self.orders, slot);
        self.agenda.move_due(None, until, Due::Order(slot));
        for item in items {
            let has = item.qty - self.lacking(item).qty;
            if has > 0 {
                self.move_stock(item.sku, Move::Hold(has), Why::new("place", place.order), fx);
            }
        }
        let came = self.came(slot);
        for item in missing {
            self.shelf.change(item.sku, |sku| sku.waiting += item.qty);
            self.waitlist.join(item.sku, came, slot);
        }
    }

    /// The place in the lines of an order that waits for stock.
    fn came(&self, slot: u32) -> Came {
        let waitlisted = self.orders.extra_at(slot).and_then(|extra| extra.stage.waitlisted());
        let seq = waitlisted.map_or(0, |waitlisted| waitlisted.seq);
        Came { seq, kept_free: self.orders.queued_as(self.orders.at(slot)) }
    }

    /// How many of the units that are wanted are not available.
    fn lacking(&self, item: &Units) -> Units {
        Units { sku: item.sku, qty: item.qty - self.shelf.at(item.sku).takes(item.qty) }
    }

    /// Whether any order waits for stock.
    pub fn is_waited_for(&self) -> bool {
        self.waitlist.len() > 0
    }

    /// Hands on what came free, within the same command or step: to some orders, the others are due. How many records
    /// it worked on.
    pub(crate) fn serve_line(&mut self, fx: &mut Effects) -> u64 {
        if self.waitlist.has_turns() { self.hand_on(LINE_AT_ONCE, fx) } else { 0 }
    }

    /// Hands on what is set aside, first come, first served, until about `budget` records have been worked on; how many
    /// it was.
    pub(crate) fn hand_on(&mut self, budget: u64, fx: &mut Effects) -> u64 {
        let mut spent = 0;
        while spent < budget {
            let Some(turn) = self.waitlist.next() else { break };
            spent += self.hand_to(turn, fx);
        }
        spent
    }

    /// Hands units of one SKU on to the order whose turn it is, which is let in if it has all it waited for.
    fn hand_to(&mut self, turn: Turn, fx: &mut Effects) -> u64 {
        let aside = self.shelf.at(turn.sku).aside;
        let (units, is_served) = self.changing_order(turn.order, |_, extra| {
            let Stage::Waitlisted(waitlisted) = &mut extra.stage else { return (0, true) };
            let units = waitlisted.miss_fewer(turn.sku, aside);
            (units, waitlisted.missing_of(turn.sku) == 0)
        });
        debug_assert!(units > 0, "who is in a line waits for units of its SKU");
        self.shelf.change(turn.sku, |sku| sku.aside -= units);
        if is_served {
            self.waitlist.leave(turn.sku, turn.came);
        }
        self.follow_line(turn.sku);
        if self.end_wait(turn.order, fx) { 1 + ENTRY_WEIGHT } else { 1 }
    }

    /// Lets an order in that waited for stock, if it lacks nothing any more; says whether it does not.
    pub(crate) fn end_wait(&mut self, slot: u32, fx: &mut Effects) -> bool {
        let waitlisted = self.orders.extra_at(slot).and_then(|extra| extra.stage.waitlisted());
        if waitlisted.is_none_or(|waitlisted| !waitlisted.missing.is_empty()) {
            return false;
        }
        let at = self.now;
        self.changing_order(slot, |_, extra| extra.history.push(HistoryEvent::Gathered { at }));
        // The time of its gates begins now: who has to pay learns of it.
        if self.admit(slot, fx).is_none() {
            fx.event(Event::OrderGated);
        }
        true
    }

    /// Takes an order that is called off out of the lines, and puts back what it has. How many units that were, and how
    /// many it still waited for.
    pub(crate) fn leave_lines(&mut self, slot: u32, why: Why<'_>, fx: &mut Effects) -> (u64, u64) {
        let items: UnitsList = self.orders.at(slot).items().collect();
        let gathered = self.give_up(slot, &items, fx);
        for item in &gathered {
            self.move_stock(item.sku, Move::Free(item.qty), why, fx);
        }
        let total = |list: &[Units]| list.iter().map(|item| item.qty).sum::<u64>();
        (total(&gathered), total(&items) - total(&gathered))
    }

    /// An order that waits for stock is to have fewer units: it gives up those that it lacks first, and leaves the
    /// lines in which it lacks none then. The others, which it has, are the caller's to move.
    pub(crate) fn give_up(&mut self, slot: u32, less: &[Units], fx: &mut Effects) -> UnitsList {
        let (mut lacked, mut has) = (UnitsList::new(), UnitsList::new());
        self.changing_order(slot, |_, extra| {
            let Stage::Waitlisted(waitlisted) = &mut extra.stage else { return };
            for item in less {
                let fewer = waitlisted.miss_fewer(item.sku, item.qty);
                lacked.push(Units { sku: item.sku, qty: fewer });
                has.push(Units { sku: item.sku, qty: item.qty - fewer });
            }
        });
        has.retain(|item| item.qty > 0);
        // It leaves every line before anything is put back: nothing of that may come to itself.
        for item in lacked.iter().filter(|item| item.qty > 0) {
            self.leave_if_served(slot, item.sku);
            self.want_fewer(item, fx);
        }
        has
    }

    /// Takes an order that waits for stock out of the line of a SKU of which it lacks none any more.
    fn leave_if_served(&mut self, slot: u32, sku: u32) {
        let waitlisted = self.orders.extra_at(slot).and_then(|extra| extra.stage.waitlisted());
        if waitlisted.is_none_or(|waitlisted| waitlisted.missing_of(sku) == 0) {
            self.waitlist.leave(sku, self.came(slot));
        }
    }

    /// An order that waits for stock is to have more units: it takes what is available, and waits for the others at
    /// its place in the lines.
    pub(crate) fn want_more(&mut self, slot: u32, more: &[Units], why: Why<'_>, fx: &mut Effects) {
        let came = self.came(slot);
        for item in more {
            let lacks = self.lacking(item);
            if lacks.qty < item.qty {
                self.move_stock(item.sku, Move::Hold(item.qty - lacks.qty), why, fx);
            }
            if lacks.qty > 0 {
                self.changing_order(slot, |_, extra| {
                    let Stage::Waitlisted(waitlisted) = &mut extra.stage else { return };
                    waitlisted.miss_more(lacks);
                });
                self.shelf.change(item.sku, |sku| sku.waiting += lacks.qty);
                self.waitlist.join(item.sku, came, slot);
                self.follow_line(item.sku);
            }
        }
    }

    /// Divides what an order waits for between itself and a part that is split off. The part gets what it needs of what
    /// is gathered, the order keeps the rest of it; what the part lacks, sorted by SKU. [`Self::wait_too`] follows.
    pub(crate) fn divide_wait(&mut self, slot: u32, part: &[Units]) -> Vec<Units> {
        let all: BTreeMap<u32, u64> = self.orders.at(slot).items().map(|item| (item.sku, item.qty)).collect();
        let mut lacks: Vec<Units> = self.changing_order(slot, |_, extra| {
            let Stage::Waitlisted(waitlisted) = &mut extra.stage else { return Vec::new() };
            let lack = |item: &Units| {
                let all = all.get(&item.sku).copied().unwrap_or(0);
                let gathered = all.saturating_sub(waitlisted.missing_of(item.sku));
                let qty = waitlisted.miss_fewer(item.sku, item.qty.saturating_sub(gathered));
                Units { sku: item.sku, qty }
            };
            part.iter().map(lack).collect()
        });
        lacks.retain(|item| item.qty > 0);
        lacks.sort_unstable_by_key(|item| item.sku);
        lacks.iter().for_each(|item| self.leave_if_served(slot, item.sku));
        lacks
    }

    /// A part of an order that waited waits as well, for what [`Self::divide_wait`] left it to wait for.
    pub(crate) fn wait_too(&mut self, slot: u32) {
        let Some(extra) = self.orders.extra_at(slot) else { return };
        let Stage::Waitlisted(waitlisted) = &extra.stage else { return };
        let (until, missing, came) = (waitlisted.until, waitlisted.missing.clone(), self.came(slot));
        self.agenda.move_due(None, until, Due::Order(slot));
        for item in missing {
            self.waitlist.join(item.sku, came, slot);
            self.follow_line(item.sku);
        }
    }

    /// Fewer units of a SKU are waited for. Some may be set aside for them already: others who wait get those, and
    /// where nobody else waits they are available again.
    fn want_fewer(&mut self, fewer: &Units, fx: &mut Effects) {
        let waiting = self.shelf.at(fewer.sku).waiting.min(fewer.qty);
        self.shelf.change(fewer.sku, |sku| sku.waiting -= waiting);
        if waiting < fewer.qty {
            self.move_aside(fewer.sku, waiting as i64 - fewer.qty as i64, fx);
        } else {
            self.follow_line(fewer.sku);
        }
    }

    /// An order's units did not come in time: it is cancelled. Says how many records and items it worked on.
    pub(crate) fn stop_waiting(&mut self, slot: u32, fx: &mut Effects) -> u64 {
        let order = self.orders.at(slot);
        let (id, items) = (order.id().to_vec(), order.items().count() as u64);
        self.counters.waitlist_expired = self.counters.waitlist_expired.saturating_add(1);
        self.call_off(slot, &id, WAIT_EXPIRED, fx);
        self.alert_order(AlertKind::WaitlistExpired, slot, WAIT_EXPIRED, fx);
        1 + items + self.serve_line(fx)
    }
}
