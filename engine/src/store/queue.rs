//! Which order is next: the line of those that came, the ready ones beside it, the due retries, the groups; and which
//! open order is late next.
//!
//! An order that names no group stands in a line through the orders themselves: placing and claiming cost the same
//! whatever its length. Whatever cannot stand there (an order given back at its old place, the first of a group, one
//! that was redriven) is among the ready ones, sorted by its place in the queue. The orders of a group stand in a line
//! of their own; only its first is ever offered, so a blocked group is never looked at.

use crate::base::slab::Slab;
use crate::base::units::{Ms, NIL};
use crate::record::order::{Order, Seat};
use crate::store::{Queue, Store};
use crate::terms::effects::{Effects, Event};
use crate::terms::states::OrderState;
use crate::terms::streams::EntryId;

impl Queue {
    pub const EMPTY: Queue = Queue { head: NIL, tail: NIL };

    fn push(&mut self, orders: &mut Slab<Order>, slot: u32) {
        let tail = self.tail;
        let order = orders.at_mut(slot);
        order.prev = tail;
        order.next = NIL;
        if tail == NIL {
            self.head = slot;
        } else {
            orders.at_mut(tail).next = slot;
        }
        self.tail = slot;
    }

    fn remove(&mut self, orders: &mut Slab<Order>, slot: u32) {
        let order = orders.at(slot);
        let (prev, next) = (order.prev, order.next);
        if prev == NIL {
            self.head = next;
        } else {
            orders.at_mut(prev).next = next;
        }
        if next == NIL {
            self.tail = prev;
        } else {
            orders.at_mut(next).prev = prev;
        }
    }
}

impl Store {
    /// Seats an order behind all others: at the end of the line, or of its group.
    pub(crate) fn enqueue(&mut self, slot: u32) {
        let order = self.orders.at(slot);
        match self.group_of(order) {
            None => self.join_line(slot),
            Some(group) => {
                self.age(slot);
                self.join_group(group, slot);
                self.offer(slot);
            }
        }
    }

    pub(crate) fn join_line(&mut self, slot: u32) {
        self.queue.push(&mut self.orders, slot);
        let order = self.orders.at_mut(slot);
        order.seat = Seat::Line;
        if self.late_from == NIL && !order.late {
            self.late_from = slot;
        }
    }

    /// Puts an order behind the others of its group, without offering it.
    pub(crate) fn join_group(&mut self, group: u32, slot: u32) {
        self.groups.at_mut(group).queue.push(&mut self.orders, slot);
        self.orders.at_mut(slot).seat = Seat::Behind;
    }

    /// The slot of an order's group.
    pub(crate) fn group_of(&self, order: &Order) -> Option<u32> {
        self.extra(order).and_then(|extra| extra.group)
    }

    /// Offers an order that waits to the workers, unless it is not its turn in its group.
    pub(crate) fn offer(&mut self, slot: u32) {
        let order = self.orders.at(slot);
        let turn = self.group_of(order).is_none_or(|group| self.groups.at(group).queue.head == slot);
        let retry = self.extra(order).and_then(|extra| extra.retry);
        let seat = match (turn, retry) {
            (false, _) => Seat::Behind,
            (true, Some(place)) => {
                self.retries.insert(place, slot);
                Seat::Retry
            }
            (true, None) => {
                self.ready.insert(self.queued_as(order), slot);
                Seat::Ready
            }
        };
        self.orders.at_mut(slot).seat = seat;
    }

    /// Takes an open order from where it stands. One that stays open has to be among the ageing then ([`Self::age`]).
    pub(crate) fn unseat(&mut self, slot: u32) {
        let order = self.orders.at(slot);
        match order.seat {
            Seat::Line => self.leave_line(slot),
            Seat::Ready => drop(self.ready.remove(&self.queued_as(order))),
            Seat::Retry => {
                if let Some(place) = self.extra(order).and_then(|extra| extra.retry) {
                    self.retries.remove(&place);
                }
            }
            Seat::Behind | Seat::Away => {}
        }
        self.orders.at_mut(slot).seat = Seat::Away;
    }

    fn leave_line(&mut self, slot: u32) {
        if self.late_from == slot {
            self.late_from = self.orders.at(slot).next;
        }
        self.queue.remove(&mut self.orders, slot);
    }

    /// Takes an order that is not open any more out of every line, and offers the next of its group.
    pub(crate) fn leave_queue(&mut self, slot: u32) {
        if self.orders.at(slot).seat != Seat::Line {
            self.aging.remove(&self.age_of(self.orders.at(slot)));
        }
        self.unseat(slot);
        let Some(group) = self.group_of(self.orders.at(slot)) else { return };
        let queue = &mut self.groups.at_mut(group).queue;
        let was_first = queue.head == slot;
        queue.remove(&mut self.orders, slot);
        let next = queue.head;
        if was_first && next != NIL && self.orders.at(next).seat == Seat::Behind {
            self.offer(next);
        }
    }

    /// The order that is handed out next: due retries first, then by their place in the queue.
    pub(crate) fn next_order(&self) -> Option<u32> {
        if let Some((_, slot)) = self.retries.first_key_value() {
            return Some(*slot);
        }
        let line = (self.queue.head != NIL).then(|| (self.queued_as(self.orders.at(self.queue.head)), self.queue.head));
        let ready = self.ready.first_key_value().map(|(place, slot)| (*place, *slot));
        match (line, ready) {
            (Some(line), Some(ready)) => Some(line.min(ready).1),
            (line, ready) => line.or(ready).map(|(_, slot)| slot),
        }
    }

    /// Whether a worker that asks now gets an order.
    pub fn has_work(&self) -> bool {
        let waits = self.queue.head != NIL || !self.ready.is_empty() || !self.retries.is_empty();
        waits && self.settings.paused == 0
    }

    /// The age of an order, and what tells it from others of that age.
    pub(crate) fn age_of(&self, order: &Order) -> (Ms, EntryId) {
        (self.placed_at(order), self.queued_as(order))
    }

    /// Whether an order waits for a worker, or for its turn in its group: nobody has it, and its retry is due.
    pub(crate) fn waits(&self, order: &Order) -> bool {
        match order.state() {
            OrderState::Queued => true,
            OrderState::Retrying => self.extra(order).is_some_and(|extra| extra.due_at == 0),
            _ => false,
        }
    }

    /// Notes an open order that is not in the line and was not late so far.
    pub(crate) fn age(&mut self, slot: u32) {
        let order = self.orders.at(slot);
        if !order.late {
            self.aging.insert(self.age_of(order), slot);
        }
    }

    /// The open order that is late next, and from when on it is: those in the line are sorted by age as they stand there.
    #[inline]
    pub(crate) fn next_late(&self) -> Option<(Ms, u32)> {
        let sla_ms = self.settings.sla_ms;
        if sla_ms == 0 {
            return None;
        }
        let line = (self.late_from != NIL).then(|| (self.age_of(self.orders.at(self.late_from)), self.late_from));
        let aging = self.aging.first_key_value().map(|(age, slot)| (*age, *slot));
        let ((placed_at, _), slot) = line.into_iter().chain(aging).min()?;
        Some((placed_at.saturating_add(sla_ms).saturating_add(1), slot))
    }

    /// Counts an order as late, once.
    pub(crate) fn mark_late(&mut self, slot: u32, fx: &mut Effects) {
        if self.late_from == slot {
            self.late_from = self.orders.at(slot).next;
        } else {
            self.aging.remove(&self.age_of(self.orders.at(slot)));
        }
        self.orders.at_mut(slot).late = true;
        self.counters.late = self.counters.late.saturating_add(1);
        fx.event(Event::OrderLate);
    }
}
