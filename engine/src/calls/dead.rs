//! Dead orders: those that ran out of attempts, and `ORDER.REDRIVE`.

use crate::base::units::{Ms, UnitsList};
use crate::calls::work::ENTRY_WEIGHT;
use crate::record::history::HistoryEvent;
use crate::store::Store;
use crate::terms::effects::{Effect, Effects, Event};
use crate::terms::journal::{Move, Why};
use crate::terms::refusal::Refusal;
use crate::terms::states::OrderState;
use crate::terms::streams::StreamKind;

impl Store {
    /// An order that has no attempt left: its units go back, and it waits for somebody to redrive it.
    pub(crate) fn die(&mut self, slot: u32, reason: &[u8], fx: &mut Effects) -> u64 {
        let id = self.orders.at(slot).id().to_vec();
        self.move_items(slot, Why { kind: "dead", reference: &id, reason }, Move::Free, fx);
        self.tally_items(slot, -1);
        self.take_off(slot, fx);
        let (place, entry, at) = (self.next_place(), self.last.next(StreamKind::Dead, self.now), self.now);
        let extra = self.extra_mut(slot);
        extra.note = reason.into();
        extra.due_place = place;
        extra.side = entry;
        extra.history.push(HistoryEvent::Dead { at, reason });
        self.dead.insert(place, slot);
        self.set_order_state(slot, OrderState::Dead);
        self.counters.dead = self.counters.dead.saturating_add(1);
        fx.push(Effect::Died { order: slot, id: entry });
        fx.event(Event::OrderDead);
        1 + ENTRY_WEIGHT + self.orders.at(slot).items().count() as u64
    }

    /// An order that is cancelled, or queued anew, is not among the dead any more.
    pub(crate) fn leave_dead(&mut self, slot: u32, fx: &mut Effects) {
        let extra = self.extra_mut(slot);
        let place = std::mem::take(&mut extra.due_place);
        let id = std::mem::take(&mut extra.side);
        self.dead.remove(&place);
        fx.push(Effect::Left { kind: StreamKind::Dead, id });
    }

    /// Queues a dead order anew: says whether it took its units again. One whose stock is gone, or whose customer has
    /// bought up to the limit since, stays dead.
    pub fn redrive(&mut self, now: Ms, id: &[u8], fx: &mut Effects) -> Result<bool, Refusal> {
        let slot = self.order_slot(id)?;
        let order = self.orders.at(slot);
        if order.state() != OrderState::Dead {
            let stands = order.state() != OrderState::Cancelled;
            let before = stands && self.extra(order).is_some_and(|extra| extra.redrives > 0);
            return if before { Ok(true) } else { Err(Refusal::order_is(order.state())) };
        }
        let items: UnitsList = order.items().collect();
        let customer = self.customers.at(order.customer).id();
        if self.check_stock(&items).is_err() || self.check_limits(Some(order.customer), customer, &items).is_err() {
            return Ok(false);
        }
        self.touch(now, fx);
        self.audit_order(slot, -1);
        self.leave_dead(slot, fx);
        self.move_items(slot, Why::new("redrive", id), Move::Hold, fx);
        self.tally_items(slot, 1);
        self.queue_anew(slot, fx);
        self.audit_order(slot, 1);
        self.counters.redriven = self.counters.redriven.saturating_add(1);
        fx.event(Event::OrderRedriven);
        Ok(true)
    }

    fn queue_anew(&mut self, slot: u32, fx: &mut Effects) {
        let order = self.orders.at(slot);
        let (placed_at, first, at) = (self.placed_at(order), order.entry(), self.now);
        let entry = self.last.next(StreamKind::Orders, at);
        let extra = self.extra_mut(slot);
        extra.placed_at = Some(placed_at).filter(|placed| *placed != entry.ms);
        extra.first_entry.get_or_insert(first);
        extra.queued_as = None;
        extra.attempts = 0;
        extra.failed = None;
        extra.note = Box::default();
        extra.redrives = extra.redrives.saturating_add(1);
        extra.history.push(HistoryEvent::Redriven { at });
        let group = extra.group;
        self.orders.at_mut(slot).set_entry(entry);
        self.set_order_state(slot, OrderState::Queued);
        self.age(slot);
        if let Some(group) = group {
            self.join_group(group, slot);
        }
        self.offer(slot);
        fx.push(Effect::Queued { order: slot, id: entry });
    }

    /// Dead orders behind a place among them, as they died: looks at `count` and says where to go on, 0 at the end.
    pub fn dead_from(&self, after: u64, count: usize, wanted: impl Fn(&[u8]) -> bool) -> (u64, Vec<&[u8]>) {
        let mut ids = Vec::new();
        let mut last = 0;
        for (looked, (place, slot)) in self.dead.range(after.saturating_add(1)..).enumerate() {
            if looked == count {
                return (last, ids);
            }
            last = *place;
            let order = self.orders.at(*slot);
            if self.extra(order).is_some_and(|extra| wanted(&extra.note)) {
                ids.push(order.id());
            }
        }
        (0, ids)
    }
}
