//! Dead orders: those that ran out of attempts, and `ORDER.REDRIVE`.

use crate::base::table::Keyed;
use crate::base::units::Ms;
use crate::calls::work::ENTRY_WEIGHT;
use crate::record::customer::UnitChange;
use crate::record::history::HistoryEvent;
use crate::record::order::{Dead, Extra, Stage};
use crate::store::Store;
use crate::terms::alerts::AlertKind;
use crate::terms::effects::{Effect, Effects, Event};
use crate::terms::items::UnitsList;
use crate::terms::journal::{Move, Why};
use crate::terms::refusal::Refusal;
use crate::terms::states::OrderState;
use crate::terms::streams::StreamKind;

impl Store {
    /// An order that has no attempt left: its units go back, and it waits for somebody to redrive it.
    pub(crate) fn die(&mut self, slot: u32, reason: &[u8], fx: &mut Effects) -> u64 {
        let id = self.orders.at(slot).id().to_vec();
        self.move_items(slot, Why { kind: "dead", reference: &id, reason }, Move::Free, fx);
        self.count_items(slot, UnitChange::less);
        self.take_off(slot, fx);
        let at = self.now;
        let dead = Dead { seq: self.agenda.next_seq(), entry: self.last.next(StreamKind::Dead, at) };
        self.changing_order(slot, |_, extra| {
            extra.stage = Stage::Dead(dead);
            extra.set_note(reason);
            extra.history.push(HistoryEvent::Dead { at, reason });
        });
        self.counters.dead = self.counters.dead.saturating_add(1);
        fx.push(Effect::Died { order: slot, id: dead.entry });
        fx.event(Event::OrderDead);
        self.alert_order(AlertKind::OrderDead, slot, reason, fx);
        1 + ENTRY_WEIGHT + self.orders.at(slot).items().count() as u64
    }

    /// Takes the entry of an order that is cancelled, or queued again, out of `…:dead`.
    pub(crate) fn leave_dead(&mut self, slot: u32, fx: &mut Effects) {
        if let Some(dead) = self.orders.extra_at(slot).and_then(|extra| extra.stage.dead()) {
            fx.push(Effect::Left { kind: StreamKind::Dead, id: dead.entry });
        }
    }

    /// Queues a dead order again: says whether it took its units again. One whose stock is gone, or whose customer has
    /// bought up to the limit since, stays dead.
    pub fn redrive(&mut self, now: Ms, id: &[u8], fx: &mut Effects) -> Result<bool, Refusal> {
        let slot = self.orders.slot(id)?;
        let order = self.orders.at(slot);
        if order.state() != OrderState::Dead {
            let origin = self.orders.extra(order).and_then(Extra::origin);
            let redriven = origin.is_some_and(|origin| origin.redrives > 0);
            let before = redriven && order.state() != OrderState::Cancelled;
            return if before { Ok(true) } else { Err(Refusal::order_is(order.state())) };
        }
        let items: UnitsList = order.items().collect();
        let customer = self.customers.look_up(self.customers.id(order.customer));
        let has_room = self.check_limits(&customer, &items).is_ok();
        if !has_room || self.shelf.check_available(&items).is_err() {
            return Ok(false);
        }
        self.touch(now, fx);
        self.leave_dead(slot, fx);
        self.move_items(slot, Why::new("redrive", id), Move::Hold, fx);
        self.count_items(slot, UnitChange::more);
        self.queue_again(slot, fx);
        self.counters.redriven = self.counters.redriven.saturating_add(1);
        fx.event(Event::OrderRedriven);
        Ok(true)
    }

    fn queue_again(&mut self, slot: u32, fx: &mut Effects) {
        let at = self.now;
        let placed_at = self.orders.placed_at(self.orders.at(slot));
        let entry = self.last.next(StreamKind::Orders, at);
        self.changing_order(slot, |order, extra| {
            let origin = extra.origin_mut();
            origin.placed_at = Some(placed_at).filter(|placed| *placed != entry.ms);
            origin.first_entry.get_or_insert(order.entry());
            origin.queued_as = None;
            origin.redrives = origin.redrives.saturating_add(1);
            extra.seldom_mut().failed = None;
            extra.set_note(b"");
            extra.stage = Stage::Queued;
            extra.attempts = 0;
            extra.history.push(HistoryEvent::Redriven { at });
            order.set_entry(entry);
        });
        self.queue_older(slot, entry, fx);
    }

    /// Dead orders whose number among them is higher than `after`, as they died: looks at `count` and says where to go
    /// on, 0 at the end.
    pub fn dead_from(&self, after: u64, count: usize, wanted: impl Fn(&[u8]) -> bool) -> (u64, Vec<&[u8]>) {
        let mut ids = Vec::new();
        let mut last = 0;
        for (looked, (seq, slot)) in self.orders.dead().range(after.saturating_add(1)..).enumerate() {
            if looked == count {
                return (last, ids);
            }
            last = *seq;
            let order = self.orders.at(*slot);
            if self.orders.extra(order).is_some_and(|extra| wanted(extra.reason())) {
                ids.push(order.id());
            }
        }
        (0, ids)
    }
}
