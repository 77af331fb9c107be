//! The model's waitlist: a list of orders as they came, and units that are handed to them one after the other.

use super::super::command::{Id, Reply};
use super::super::published::Published;
use super::{MAX, Model, Order, Outcome, next_entry};
use crate::record::history::HistoryEvent;
use crate::terms::effects::Event;
use crate::terms::states::OrderState;

impl Model {
    /// Units of a SKU that orders wait for.
    pub fn waiting(&self, sku: &[u8]) -> u64 {
        let items = self.line.iter().flat_map(|id| &self.orders[id].items).filter(|item| item.sku == sku);
        items.map(|item| item.qty - item.has).sum::<u64>() - self.aside.get(sku).copied().unwrap_or(0)
    }

    /// Whether an order of which units are short may wait for them.
    pub(super) fn may_wait(&self, items: &[(Id, u128)], wait_ms: u64) -> Result<(), Vec<&'static str>> {
        for (sku, qty) in items {
            let short = qty - (self.available(sku).max(0) as u128).min(*qty);
            let backlog = self.skus[sku].backlog.map_or(MAX, u128::from);
            if short > 0 && u128::from(self.waiting(sku)) + short > backlog {
                return Err(vec!["OUTOFSTOCK"]);
            }
        }
        if u128::from(self.now) + u128::from(wait_ms) > MAX { Err(vec!["ERR"]) } else { Ok(()) }
    }

    pub(super) fn place_waiting(&mut self, id: &Id, mut order: Order, wait_ms: Option<u64>) -> Outcome {
        let before = self.levels(order.items.iter().map(|item| item.sku.clone()));
        for item in &mut order.items {
            item.has = item.qty.min(self.available(&item.sku).max(0) as u64);
        }
        (order.state, order.came) = (OrderState::Waitlisted, self.next_place());
        (order.unlisted, order.entry) = (true, None);
        for gate in &mut order.gates {
            (gate.until, gate.waits_ms) = (0, gate.placed_ms);
        }
        order.due = wait_ms.filter(|ms| *ms > 0).map(|ms| (self.now + ms, self.next_place()));
        let has: Vec<_> = order.items.iter().map(|item| item.has as i64).collect();
        self.orders.insert(id.clone(), order);
        self.line.push(id.clone());
        for (before, has) in before.iter().zip(has).filter(|(_, has)| *has > 0) {
            self.moved(before, "place", has, id, b"");
        }
        self.tally("placed", 1);
        self.published.push(Published::Event(Event::OrderPlaced));
        Ok(Reply::Unlisted)
    }

    /// What is available of a SKU is for those who wait for it.
    pub(super) fn set_aside(&mut self, sku: &Id) {
        let units = self.waiting(sku).min(self.available(sku).max(0) as u64);
        if units > 0 {
            *self.aside.entry(sku.clone()).or_default() += units;
            self.write_down(sku, "waitlist", units as i64, b"", b"");
        }
    }

    /// Hands out what came free, to the first first. How much work that was: an order with one SKU is one piece, an
    /// order that is queued three.
    pub(super) fn serve_line(&mut self) -> u64 {
        let mut work = 0;
        for id in self.line.clone() {
            let order = self.orders.get_mut(&id).unwrap();
            for item in &mut order.items {
                let Some(aside) = self.aside.get_mut(&item.sku) else { continue };
                let units = (*aside).min(item.qty - item.has);
                item.has += units;
                *aside -= units;
                work += u64::from(units > 0);
            }
            if order.items.iter().all(|item| item.has == item.qty) {
                self.queue_served(&id);
                work += 3;
            }
        }
        assert!(self.aside.values().all(|left| *left == 0), "who waits takes all that is for them");
        self.aside.clear();
        work
    }

    /// An order that lacks nothing any more is queued.
    pub(super) fn end_wait(&mut self, id: &Id) {
        let order = &self.orders[id];
        if order.state == OrderState::Waitlisted && order.items.iter().all(|item| item.has == item.qty) {
            self.queue_served(id);
        }
    }

    fn queue_served(&mut self, id: &Id) {
        self.line.retain(|other| other != id);
        self.happened(id, HistoryEvent::Gathered { at: self.now });
        self.let_in(id);
        if self.orders[id].state == OrderState::Pending {
            self.published.push(Published::Event(Event::OrderGated));
        }
    }

    /// An order that has its units is pending if it has gates to pass, and queued otherwise.
    pub(super) fn let_in(&mut self, id: &Id) {
        if self.begin_gates(id) {
            return;
        }
        let (at, queued) = (self.now, self.next_place());
        let entry = next_entry(&mut self.last_orders, at);
        let order = self.orders.get_mut(id).unwrap();
        order.state = OrderState::Queued;
        (order.entry, order.queued, order.due) = (Some(entry), queued, None);
        self.published.extend([Published::Queued(id.clone(), entry), Published::Event(Event::OrderQueued)]);
    }

    pub(super) fn stop_waiting(&mut self, id: &Id) -> u64 {
        let items = self.orders[id].items.len() as u64;
        self.tally("waitlist-expired", 1);
        self.call_off(id, &b"waitlist expired".to_vec());
        self.alert("waitlist.expired", b"", id, None, b"waitlist expired");
        1 + items + self.serve_line()
    }
}
