//! Gates: `ORDER.GATE`, `ORDER.PASS`, and what happens when a gate is not passed in time. An order that has one to pass
//! is pending: it holds its units, and no worker gets it.

use crate::base::table::Keyed;
use crate::base::units::{MAX_QUANTITY, Ms};
use crate::record::gate::{GATES_MAX, Gate, GateState, Gates, NewGate};
use crate::record::history::HistoryEvent;
use crate::record::order::{Extra, Pending, Stage};
use crate::store::Store;
use crate::terms::alerts::AlertKind;
use crate::terms::effects::{Effect, Effects, Event};
use crate::terms::refusal::{Refusal, Shown, checked_sum};
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, StreamKind};

impl Store {
    /// Puts a gate on an order that no worker has, or moves its deadline; replies the deadline, 0 where it has no end
    /// or its time does not run yet.
    pub fn gate(&mut self, now: Ms, id: &[u8], new: &NewGate<'_>, fx: &mut Effects) -> Result<Ms, Refusal> {
        let now = self.stamp(now);
        let slot = self.orders.slot(id)?;
        let state = self.orders.at(slot).state();
        if matches!(state, OrderState::Claimed) || !state.is_open() {
            return Err(Refusal::order_is(state));
        }
        self.check_gates_in_time(slot, now)?;
        let known = self.gate_of(slot, new.name).map(|gate| gate.state);
        let waits = state == OrderState::Waitlisted;
        let until = check_until(now, new.ms)?;
        let next = if waits { GateState::Waits(new.ms) } else { GateState::Open(until) };
        let until = if waits { 0 } else { until };
        match known {
            Some(GateState::Passed(_)) => {
                return Err(Refusal::BadState(format!("gate {} is passed", Shown(new.name))));
            }
            Some(known) if known == next => return Ok(until),
            Some(_) => {}
            None => check_count(self.gates_of(slot).map_or(0, |gates| gates.0.len()) + 1)?,
        }
        self.touch(now, fx);
        if matches!(state, OrderState::Queued | OrderState::Retrying) {
            self.withhold(slot, fx);
        }
        let event = HistoryEvent::Gated { at: self.now, gate: new.name, until };
        self.changing_order(slot, |_, extra| {
            extra.seldom_mut().gates.get_or_insert_default().set(new.name, next);
            extra.history.push(event);
        });
        self.time_gates(slot);
        fx.event(Event::OrderGated);
        Ok(until)
    }

    /// Passes a gate; replies how many the order has still to pass. With the last one it is queued.
    pub fn pass(&mut self, now: Ms, id: &[u8], name: &[u8], fx: &mut Effects) -> Result<u64, Refusal> {
        let now = self.stamp(now);
        let slot = self.orders.slot(id)?;
        let no_gate = || Refusal::NoGate { order: id.into(), gate: name.into() };
        let known = self.gate_of(slot, name).ok_or_else(no_gate)?.state;
        let state = self.orders.at(slot).state();
        if state == OrderState::Cancelled {
            return Err(Refusal::order_is(state));
        }
        self.check_gates_in_time(slot, now)?;
        if let GateState::Passed(left) = known {
            return Ok(left);
        }
        self.touch(now, fx);
        let event = HistoryEvent::Passed { at: self.now, gate: name };
        let left = self.changing_order(slot, |_, extra| {
            let gates = extra.seldom_mut().gates.get_or_insert_default();
            let left = gates.to_pass().saturating_sub(1);
            gates.set(name, GateState::Passed(left));
            extra.history.push(event);
            left
        });
        fx.event(Event::OrderPassed);
        match state {
            OrderState::Pending if left == 0 => self.release_pending(slot, fx),
            _ => self.time_gates(slot),
        }
        Ok(left)
    }

    /// Whether these gates can be those of a new order.
    #[cold]
    pub(crate) fn check_new_gates(&self, now: Ms, gates: &[NewGate<'_>]) -> Result<(), Refusal> {
        check_count(gates.len())?;
        for (i, gate) in gates.iter().enumerate() {
            if gates[..i].iter().any(|other| other.name == gate.name) {
                return Err(Refusal::argument("GATE", format!("must be named once, got {} twice", Shown(gate.name))));
            }
            check_until(now, gate.ms)?;
        }
        Ok(())
    }

    /// An order that was not queued so far has all its units: it is pending if it has gates to pass, whose time starts
    /// now, and queued otherwise. The id of its entry, if it is queued.
    pub(crate) fn admit(&mut self, slot: u32, fx: &mut Effects) -> Option<EntryId> {
        if self.gates_of(slot).is_none_or(|gates| gates.to_pass() == 0) {
            return Some(self.queue_first(slot, fx));
        }
        let now = self.now;
        self.changing_order(slot, |_, extra| {
            extra.stage = Stage::Pending(Pending { due: None });
            for gate in &mut extra.seldom_mut().gates.get_or_insert_default().0 {
                if let GateState::Waits(ms) = gate.state {
                    gate.state = GateState::Open(if ms == 0 { 0 } else { until(now, ms) });
                }
            }
        });
        self.time_gates(slot);
        None
    }

    /// Queues an order that was not queued so far, at the end of its queue; the id of its entry.
    fn queue_first(&mut self, slot: u32, fx: &mut Effects) -> EntryId {
        let placed_at = self.orders.placed_at(self.orders.at(slot));
        self.queue.forget_age(&self.orders, slot);
        let entry = self.last.next(StreamKind::Orders, self.now);
        self.changing_order(slot, |order, extra| {
            let origin = extra.origin_mut();
            origin.placed_at = Some(placed_at).filter(|placed| *placed != entry.ms);
            (origin.queued_as, origin.unlisted) = (None, false);
            extra.stage = Stage::Queued;
            order.set_entry(entry);
        });
        self.queue_older(slot, entry, fx);
        fx.event(Event::OrderQueued);
        entry
    }

    /// Queues a pending order that has passed its last gate: at its old place, if it was queued before.
    fn release_pending(&mut self, slot: u32, fx: &mut Effects) {
        if !self.orders.is_listed(self.orders.at(slot)) {
            self.queue_first(slot, fx);
            return;
        }
        self.changing_order(slot, |_, extra| extra.stage = Stage::Queued);
        self.queue.offer(&mut self.orders, slot);
        fx.event(Event::OrderQueued);
    }

    /// Makes a queued or retrying order pending. Its place in the queue and its entry in `…:orders` stay its own, a
    /// retry has none any more.
    fn withhold(&mut self, slot: u32, fx: &mut Effects) {
        self.queue.withdraw(&mut self.orders, slot);
        self.queue.age(&self.orders, slot);
        let retry = self.changing_order(slot, |_, extra| {
            std::mem::replace(&mut extra.stage, Stage::Pending(Pending { due: None })).retry()
        });
        if let Some(retry) = retry {
            fx.push(Effect::Left { kind: StreamKind::Retry, id: retry.entry });
        }
    }

    /// Notes when the next gate of an order expires, if it is pending.
    fn time_gates(&mut self, slot: u32) {
        let Some(extra) = self.orders.extra_at(slot) else { return };
        let Stage::Pending(Pending { due: known }) = extra.stage else { return };
        let first = extra.gates().and_then(Gates::first_to_expire).map(|(until, _)| until);
        if known.map(|due| due.at) != first {
            let due = first.map(|until| self.agenda.key(until));
            self.changing_order(slot, |_, extra| extra.stage = Stage::Pending(Pending { due }));
        }
    }

    /// A gate of a pending order was not passed in time: the order is cancelled. Says how many records and items it
    /// worked on.
    pub(crate) fn expire_gate(&mut self, slot: u32, fx: &mut Effects) -> u64 {
        let gates = self.gates_of(slot).map(Gates::first_to_expire);
        let gate = gates.flatten().map_or_else(Default::default, |(_, gate)| gate.name.clone());
        let reason = [b"gate ", &*gate, b" expired"].concat();
        let id = self.orders.at(slot).id().to_vec();
        self.call_off(slot, &id, &reason, fx);
        self.counters.gates_expired = self.counters.gates_expired.saturating_add(1);
        self.alert_order(AlertKind::GateExpired, slot, &reason, fx);
        1 + self.orders.at(slot).items().count() as u64 + self.serve_line(fx)
    }

    /// Refuses an order with a gate that has expired, which a sweep will cancel.
    fn check_gates_in_time(&self, slot: u32, now: Ms) -> Result<(), Refusal> {
        let Some(extra) = self.orders.extra_at(slot) else { return Ok(()) };
        let first = match extra.stage {
            Stage::Pending(_) => extra.gates().and_then(Gates::first_to_expire),
            _ => None,
        };
        match first {
            Some((until, gate)) if until <= now => {
                Err(Refusal::BadState(format!("gate {} expired at {until}", Shown(&gate.name))))
            }
            _ => Ok(()),
        }
    }

    fn gates_of(&self, slot: u32) -> Option<&Gates> {
        self.orders.extra_at(slot).and_then(Extra::gates)
    }

    fn gate_of(&self, slot: u32, name: &[u8]) -> Option<&Gate> {
        self.gates_of(slot)?.find(name)
    }
}

/// The end of a gate that can be passed for so long from now.
fn until(now: Ms, ms: Ms) -> Ms {
    now.saturating_add(ms).min(MAX_QUANTITY)
}

/// The same, 0 for no end; refused where it would be past all times.
fn check_until(now: Ms, ms: Ms) -> Result<Ms, Refusal> {
    checked_sum(now, ms, "GATE").map(|until| if ms == 0 { 0 } else { until })
}

fn check_count(gates: usize) -> Result<(), Refusal> {
    if gates <= GATES_MAX {
        return Ok(());
    }
    Err(Refusal::argument("GATE", format!("must be at most {GATES_MAX} gates of an order, got {gates}")))
}
