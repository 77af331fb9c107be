//! Deadlines: holds that expire, leases that end, retries that come due, orders that get late, ended holds and orders and
//! REFs that are forgotten. In slices, so that a million of them in one millisecond never stop the server.

use crate::base::units::{Ms, NIL};
use crate::calls::orders::Tallied;
use crate::record::customer::Change;
use crate::store::Store;
use crate::terms::effects::{Effects, Event};
use crate::terms::journal::{Move, Why};
use crate::terms::states::HoldState;
use crate::terms::states::OrderState;

/// What is due, by slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// A live hold expires, an ended one is forgotten.
    Hold(u32),
    /// The lease of a claimed order ends, the retry of a failed one is due, an ended one is forgotten.
    Order(u32),
    /// A REF is forgotten.
    Ref(u32),
}

impl Store {
    /// When something is due next.
    #[inline]
    pub fn next_due(&self) -> Option<Ms> {
        let due = self.due.first_key_value().map(|((due, _), _)| *due);
        match self.next_late() {
            None => due,
            Some((late, _)) => Some(due.map_or(late, |due| due.min(late))),
        }
    }

    /// Whether what is due first writes no stream of orders: a hold, or something that is forgotten.
    pub fn next_due_leaves_orders(&self) -> bool {
        match self.due.first_key_value() {
            Some((_, Due::Order(slot))) => !self.orders.at(*slot).state().is_open(),
            Some((_, Due::Hold(_) | Due::Ref(_))) | None => true,
        }
    }

    /// When what ends now is forgotten.
    pub(crate) fn forget_at(&self) -> Ms {
        self.now.saturating_add(self.settings.keep_ms)
    }

    /// Does what is due at `now`, earliest first, until about `budget` records and items have been worked on. Returns
    /// whether anything was due.
    pub fn sweep(&mut self, now: Ms, budget: u64, fx: &mut Effects) -> bool {
        let now = self.stamp(now);
        let mut spent = 0;
        while spent < budget {
            let late = self.next_late().filter(|(late, _)| *late <= now);
            let due = self.due.first_key_value().map(|((due, _), _)| *due).filter(|due| *due <= now);
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
        spent > 0
    }

    /// Does what is due first; says how many records and items that were.
    fn first_due(&mut self, fx: &mut Effects) -> u64 {
        match self.due.pop_first() {
            None => 1,
            Some((_, Due::Hold(slot))) if self.holds.at(slot).is_live() => self.expire_hold(slot, fx),
            Some((_, Due::Hold(slot))) => self.forget_hold(slot),
            Some((_, Due::Order(slot))) => match self.orders.at(slot).state() {
                OrderState::Claimed => self.end_lease(slot, fx),
                OrderState::Retrying => self.retry_due(slot, fx),
                _ => self.forget_order(slot),
            },
            Some((_, Due::Ref(slot))) => {
                self.remove_ref(slot);
                1
            }
        }
    }

    fn expire_hold(&mut self, slot: u32, fx: &mut Effects) -> u64 {
        self.audit_hold(slot, -1);
        let hold = self.holds.at(slot);
        let (id, items) = (hold.id.clone(), hold.items.clone());
        for item in items.iter().filter(|item| item.left > 0) {
            self.move_stock(item.sku, Move::Free(item.left), Why::new("expire", &id), fx);
        }
        self.empty_hold(slot);
        self.end_hold(slot, HoldState::Expired, 0);
        self.audit_hold(slot, 1);
        self.counters.expired = self.counters.expired.saturating_add(1);
        fx.event(Event::HoldExpired);
        1 + items.len() as u64
    }

    /// Forgets an ended hold. What was committed stays counted for the customer and as sold.
    fn forget_hold(&mut self, slot: u32) -> u64 {
        self.audit_hold(slot, -1);
        let hold = self.remove_hold(slot);
        let mut past = Tallied::new();
        for item in hold.items.iter().filter(|item| item.committed > 0) {
            self.skus.at_mut(item.sku).past += item.committed;
            past.push((item.sku, 0, item.committed as i64));
        }
        self.change_customer(hold.customer, &Change { refs: -1, units: &past });
        1 + hold.items.len() as u64
    }

    /// Forgets an ended order. What was sold stays counted for the customer and as sold.
    fn forget_order(&mut self, slot: u32) -> u64 {
        self.audit_order(slot, -1);
        let state = self.orders.at(slot).state();
        self.by_state[state as usize] -= 1;
        let kept = self.kept_units(slot);
        if let Some(group) = self.group_of(self.orders.at(slot)) {
            self.leave_group(group);
        }
        let order = self.remove_order(slot);
        let mut past = Tallied::new();
        if state == OrderState::Completed {
            for (sku, qty) in kept.iter().copied().filter(|(_, qty)| *qty > 0) {
                self.skus.at_mut(sku).past += qty;
                past.push((sku, 0, qty as i64));
            }
        }
        debug_assert!(order.customer != NIL);
        self.change_customer(order.customer, &Change { refs: -1, units: &past });
        1 + kept.len() as u64
    }

    /// Units that came back of an order, an item each in the order of the items; empty if none did.
    pub(crate) fn returned(&self, order: &crate::record::order::Order) -> &[u64] {
        self.extra(order).and_then(|extra| extra.returns.as_deref()).map_or(&[][..], |returns| &returns.units)
    }

    /// What an order took and did not bring back, by SKU.
    pub(crate) fn kept_units(&self, slot: u32) -> Vec<(u32, u64)> {
        let order = self.orders.at(slot);
        let returned = self.returned(order);
        let kept = |(i, units): (usize, crate::base::units::Units)| {
            (units.sku, units.qty - returned.get(i).copied().unwrap_or(0))
        };
        order.items().enumerate().map(kept).collect()
    }
}
