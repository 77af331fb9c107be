//! The model's gates.

use super::super::command::{Id, Lines, Reply};
use super::super::published::Published;
use super::{Gate, MAX, Model, Outcome, next_entry};
use crate::record::history::HistoryEvent;
use crate::terms::effects::Event;
use crate::terms::states::OrderState;

impl Model {
    /// The end of a gate; 0: none.
    fn gate_until(&self, ms: u64) -> Result<u64, Vec<&'static str>> {
        match u128::from(self.now) + u128::from(ms) {
            _ if ms == 0 => Ok(0),
            until if until > MAX => Err(vec!["ERR"]),
            until => Ok(until as u64),
        }
    }

    /// The gates of a new order.
    pub(crate) fn new_gates(&self, named: &Lines) -> Result<Vec<Gate>, Vec<&'static str>> {
        let mut gates: Vec<Gate> = Vec::new();
        for (name, ms) in named {
            if gates.len() == 8 || gates.iter().any(|gate| gate.name == *name) {
                return Err(vec!["ERR"]);
            }
            let (until, placed_ms) = (self.gate_until(*ms)?, Some(*ms));
            gates.push(Gate { name: name.clone(), placed_ms, until, waits_ms: None, passed: None });
        }
        Ok(gates)
    }

    /// Sets the deadline of a pending order: when the first of its gates expires.
    pub(crate) fn time_gates(&mut self, id: &Id) {
        let order = &self.orders[id];
        if order.state != OrderState::Pending {
            return;
        }
        let open = order.gates.iter().filter(|gate| gate.passed.is_none() && gate.until > 0);
        let first = open.map(|gate| gate.until).min();
        if first != order.due.map(|(due, _)| due) {
            let due = first.map(|until| (until, self.next_place()));
            self.orders.get_mut(id).unwrap().due = due;
        }
    }

    /// Whether a gate of the order has expired, so that it is as good as cancelled.
    fn gate_expired(&self, id: &Id) -> bool {
        let order = &self.orders[id];
        order.state == OrderState::Pending && order.due.is_some_and(|(due, _)| due <= self.now)
    }

    pub(crate) fn gate(&mut self, id: &Id, name: &Id, ms: u64) -> Outcome {
        let Some(order) = self.orders.get(id) else { return Err(vec!["NOORDER"]) };
        let waits = matches!(order.state, OrderState::Queued | OrderState::Retrying);
        let is_waitlisted = order.state == OrderState::Waitlisted;
        if !waits && !is_waitlisted && order.state != OrderState::Pending || self.gate_expired(id) {
            return Err(vec!["BADSTATE"]);
        }
        // The time of a gate begins when the order has its units.
        let (until, waits_ms) = match self.gate_until(ms)? {
            _ if is_waitlisted => (0, Some(ms)),
            until => (until, None),
        };
        match order.gates.iter().find(|gate| gate.name == *name) {
            Some(gate) if gate.passed.is_some() => return Err(vec!["BADSTATE"]),
            Some(gate) if (gate.until, gate.waits_ms) == (until, waits_ms) => return Ok(Reply::Time(until)),
            None if order.gates.len() == 8 => return Err(vec!["ERR"]),
            _ => {}
        }
        self.changed = true;
        if waits {
            self.leave_retry(id);
            let order = self.orders.get_mut(id).unwrap();
            (order.state, order.due) = (OrderState::Pending, None);
        }
        let gates = &mut self.orders.get_mut(id).unwrap().gates;
        match gates.iter_mut().find(|gate| gate.name == *name) {
            Some(gate) => (gate.until, gate.waits_ms) = (until, waits_ms),
            None => gates.push(Gate { name: name.clone(), placed_ms: None, until, waits_ms, passed: None }),
        }
        self.happened(id, HistoryEvent::Gated { at: self.now, gate: name, until });
        self.time_gates(id);
        self.published.push(Published::Event(Event::OrderGated));
        Ok(Reply::Time(until))
    }

    pub(crate) fn pass(&mut self, id: &Id, name: &Id) -> Outcome {
        let Some(order) = self.orders.get(id) else { return Err(vec!["NOORDER"]) };
        let Some(gate) = order.gates.iter().find(|gate| gate.name == *name) else { return Err(vec!["NOGATE"]) };
        if order.state == OrderState::Cancelled || self.gate_expired(id) {
            return Err(vec!["BADSTATE"]);
        }
        if let Some(left) = gate.passed {
            return Ok(Reply::ToPass(left));
        }
        self.changed = true;
        let gates = &mut self.orders.get_mut(id).unwrap().gates;
        let left = gates.iter().filter(|gate| gate.passed.is_none()).count() as u64 - 1;
        let gate = gates.iter_mut().find(|gate| gate.name == *name).unwrap();
        (gate.passed, gate.waits_ms) = (Some(left), None);
        self.happened(id, HistoryEvent::Passed { at: self.now, gate: name });
        self.published.push(Published::Event(Event::OrderPassed));
        if left == 0 && self.orders[id].state == OrderState::Pending {
            self.queue_passed(id);
        } else {
            self.time_gates(id);
        }
        Ok(Reply::ToPass(left))
    }

    /// Queues a pending order: at its place, or at the end, if it never had one.
    fn queue_passed(&mut self, id: &Id) {
        let order = self.orders.get_mut(id).unwrap();
        (order.state, order.due) = (OrderState::Queued, None);
        if order.entry.is_none() {
            let (queued, entry) = (self.next_place(), next_entry(&mut self.last_orders, self.now));
            let order = self.orders.get_mut(id).unwrap();
            (order.queued, order.entry) = (queued, Some(entry));
            self.published.push(Published::Queued(id.clone(), entry));
        }
        self.published.push(Published::Event(Event::OrderQueued));
    }

    pub(crate) fn expire_gate(&mut self, id: &Id) -> u64 {
        let order = &self.orders[id];
        let due = order.due.map(|(due, _)| due);
        let gate = order.gates.iter().find(|gate| gate.passed.is_none() && Some(gate.until) == due).unwrap();
        let (reason, units) = ([b"gate ", &gate.name[..], b" expired"].concat(), order.items.len() as u64);
        self.call_off(id, &reason);
        self.tally("gates-expired", 1);
        self.alert("gate.expired", b"", id, None, &reason);
        1 + units + self.serve_line()
    }

    /// An order that waited for its units has them: the time of its gates begins. Whether it has any to pass.
    pub(super) fn begin_gates(&mut self, id: &Id) -> bool {
        let now = self.now;
        let order = self.orders.get_mut(id).unwrap();
        for gate in &mut order.gates {
            if let Some(ms) = gate.waits_ms.take().filter(|ms| *ms > 0) {
                gate.until = (now + ms).min(MAX as u64);
            }
        }
        if order.gates.iter().all(|gate| gate.passed.is_some()) {
            return false;
        }
        (order.state, order.due) = (OrderState::Pending, None);
        self.time_gates(id);
        true
    }
}
