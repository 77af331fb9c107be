//! Deadlines: holds, leases and gates that expire, retries that come due, waits for stock that end, orders that get
//! late, ended holds and orders and REFs that are forgotten; and units for those who wait. In slices, so that a million
//! of them in one millisecond never stop the server.

use crate::base::units::Ms;
use crate::record::customer::{UnitChange, UnitChanges};
use crate::record::due::Due;
use crate::record::order::Extra;
use crate::store::Store;
use crate::terms::alerts::AlertKind;
use crate::terms::effects::{Effects, Event};
use crate::terms::items::Units;
use crate::terms::journal::{Move, Why};
use crate::terms::states::{HoldState, OrderState};

impl Store {
    /// When something is due next.
    #[inline]
    pub fn next_due(&self) -> Option<Ms> {
        let due = self.agenda.first().map(|(key, _)| key.at);
        let late = self.queue.next_late(&self.orders, self.settings.sla_ms).map(|(late, _)| late);
        due.into_iter().chain(late).min()
    }

    /// Whether what is due first writes no stream of orders: a hold, or something that is forgotten.
    pub fn next_due_leaves_orders(&self) -> bool {
        match self.agenda.first() {
            Some((_, Due::Order(slot))) => !self.orders.at(slot).state().is_open(),
            Some((_, Due::Line)) => false,
            Some((_, Due::Hold(slot))) => !self.is_hold_waited_for(slot),
            Some((_, Due::Ref(_))) | None => true,
        }
    }

    /// Whether orders wait for what a live hold has: they are queued when it expires.
    fn is_hold_waited_for(&self, slot: u32) -> bool {
        let hold = self.holds.at(slot);
        hold.is_live() && hold.items.iter().any(|item| item.left > 0 && self.shelf.at(item.sku).waiting > 0)
    }

    /// Does what is due at `now`, earliest first, until about `budget` records and items have been worked on. Returns
    /// whether anything was due.
    pub fn sweep(&mut self, now: Ms, budget: u64, fx: &mut Effects) -> bool {
        let now = self.stamp(now);
        // A long line takes no more than half, so that no deadline waits for its end.
        let mut spent = self.serve_due_line(now, budget.div_ceil(2), fx);
        while spent < budget {
            let late = self.queue.next_late(&self.orders, self.settings.sla_ms).filter(|(late, _)| *late <= now);
            let due = self.agenda.first_deadline().map(|(key, _)| key.at).filter(|due| *due <= now);
            spent += match (due, late) {
                (due, Some((late, slot))) if due.is_none_or(|due| late < due) => {
                    self.touch(now, fx);
                    self.mark_late(slot, fx);
                    1
                }
                (Some(_), _) => {
                    self.touch(now, fx);
                    self.first_due(fx)
                }
                (None, _) => break,
            };
        }
        spent += self.serve_due_line(now, budget.saturating_sub(spent), fx);
        spent > 0
    }

    /// Goes on with handing units on to those who wait for them; says how many records that were.
    fn serve_due_line(&mut self, now: Ms, budget: u64, fx: &mut Effects) -> u64 {
        if budget == 0 || !self.waitlist.has_turns() {
            return 0;
        }
        self.touch(now, fx);
        self.hand_on(budget, fx)
    }

    /// Counts an order as late, once.
    fn mark_late(&mut self, slot: u32, fx: &mut Effects) {
        self.queue.mark_late(&mut self.orders, slot);
        self.counters.late = self.counters.late.saturating_add(1);
        fx.event(Event::OrderLate);
        self.alert_order(AlertKind::OrderLate, slot, b"", fx);
    }

    /// Does what is due first; says how many records and items that were.
    fn first_due(&mut self, fx: &mut Effects) -> u64 {
        match self.agenda.pop_first(&mut self.orders) {
            None | Some(Due::Line) => 1,
            Some(Due::Hold(slot)) if self.holds.at(slot).is_live() => self.expire_hold(slot, fx),
            Some(Due::Hold(slot)) => self.forget_hold(slot),
            Some(Due::Order(slot)) => match self.orders.at(slot).state() {
                OrderState::Claimed => self.expire_lease(slot, fx),
                OrderState::Retrying => self.retry_due(slot, fx),
                OrderState::Pending => self.expire_gate(slot, fx),
                OrderState::Waitlisted => self.stop_waiting(slot, fx),
                _ => self.forget_order(slot),
            },
            Some(Due::Ref(slot)) => {
                self.remembered.forget(slot);
                1
            }
        }
    }

    fn expire_hold(&mut self, slot: u32, fx: &mut Effects) -> u64 {
        let hold = self.holds.at(slot);
        let (id, items) = (hold.id.clone(), hold.items.clone());
        for item in items.iter().filter(|item| item.left > 0) {
            self.move_stock(item.sku, Move::Free(item.left), Why::new("expire", &id), fx);
        }
        self.empty_hold(slot, HoldState::Expired);
        self.counters.expired = self.counters.expired.saturating_add(1);
        fx.event(Event::HoldExpired);
        1 + items.len() as u64 + self.serve_line(fx)
    }

    /// Forgets an ended hold. What was committed stays counted for the customer and as sold.
    fn forget_hold(&mut self, slot: u32) -> u64 {
        let hold = self.holds.remove(slot);
        let committed = hold.items.iter().map(|item| Units { sku: item.sku, qty: item.committed });
        self.forget_units(hold.customer, committed);
        1 + hold.items.len() as u64
    }

    /// Forgets an ended order. What was sold stays counted for the customer and as sold.
    fn forget_order(&mut self, slot: u32) -> u64 {
        let (order, extra) = self.orders.remove(slot);
        if let Some(group) = extra.as_ref().and_then(Extra::group) {
            self.queue.drop_group(group);
        }
        let is_sold = order.state() == OrderState::Completed;
        self.forget_units(order.customer, order.kept(extra.as_ref()).filter(|_| is_sold));
        1 + order.items().count() as u64
    }

    /// One hold or order less names the customer, and these units that it was sold are not remembered by it any more.
    fn forget_units(&mut self, customer: u32, sold: impl Iterator<Item = Units>) {
        let mut changes = UnitChanges::new();
        for units in sold.filter(|units| units.qty > 0) {
            self.shelf.change(units.sku, |sku| sku.past += units.qty);
            changes.push(UnitChange::forgotten(units));
        }
        self.customers.change(customer, -1, &changes);
    }
}
