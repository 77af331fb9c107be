//! The agenda: what is due, and the numbers that keep deadlines of one millisecond in order.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::base::units::{Ms, NIL};
use crate::record::due::{Due, DueKey};
use crate::record::group::OrderList;
use crate::record::order::Position;
use crate::store::orders::Orders;

/// When units are to be handed on that are set aside: before all else. No deadline has this number.
const LINE: DueKey = DueKey { at: 1, seq: 0 };

/// What is due, earliest first.
#[derive(Default)]
pub(crate) struct Agenda {
    due: BTreeMap<DueKey, Due>,
    ended: Ended,
    last_seq: u64,
}

/// Ended orders, by when they are forgotten: a list through the orders themselves, so that it takes no memory. An order
/// that is forgotten earlier than the last of them, since `keep-ms` was made shorter, is among all that is due.
struct Ended {
    list: OrderList,
    /// When the first of them is forgotten, and the last: looking at the order itself would wait for the memory.
    first: DueKey,
    last: DueKey,
    len: usize,
}

impl Default for Ended {
    fn default() -> Self {
        Ended { list: OrderList::EMPTY, first: DueKey::default(), last: DueKey::default(), len: 0 }
    }
}

impl Ended {
    fn first(&self) -> Option<(DueKey, Due)> {
        (self.list.head != NIL).then_some((self.first, Due::Order(self.list.head)))
    }

    /// Adds an order; false if it is forgotten earlier than the last.
    fn join(&mut self, orders: &mut Orders, slot: u32, forget: DueKey) -> bool {
        if self.list.head == NIL {
            self.first = forget;
        } else if forget < self.last {
            return false;
        }
        self.list.push(orders, slot);
        orders.queued_mut(slot).position = Position::Ended;
        self.last = forget;
        self.len += 1;
        true
    }

    /// Takes the first order out.
    fn pop(&mut self, orders: &mut Orders) {
        let slot = self.list.head;
        self.list.remove(orders, slot);
        orders.queued_mut(slot).position = Position::None;
        let next = Some(self.list.head).filter(|head| *head != NIL);
        self.first = next.and_then(|next| orders.due(next)).unwrap_or_default();
        self.len -= 1;
    }
}

impl Agenda {
    /// The last number that was given out.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Sets the last number, for a store that is loaded.
    pub fn set_last_seq(&mut self, seq: u64) {
        self.last_seq = seq;
    }

    /// The next number.
    pub fn next_seq(&mut self) -> u64 {
        self.last_seq += 1;
        self.last_seq
    }

    /// A new deadline at a time.
    #[inline]
    pub fn key(&mut self, at: Ms) -> DueKey {
        DueKey { at, seq: self.next_seq() }
    }

    /// Notes what is due; what was noted under this key before, which is a mistake.
    pub fn insert(&mut self, key: DueKey, due: Due) -> Option<Due> {
        self.due.insert(key, due)
    }

    /// Notes all that is due in a store that is loaded.
    pub fn load(&mut self, orders: &mut Orders, mut due: Vec<(DueKey, Due)>) {
        due.sort_unstable_by_key(|(key, _)| *key);
        due.retain(|(key, due)| !matches!(due, Due::Order(slot) if self.join_ended(orders, *slot, *key)));
        self.due = due.into_iter().collect();
    }

    /// Moves what is due from one time to another.
    #[inline]
    pub fn move_due(&mut self, from: Option<DueKey>, to: Option<DueKey>, due: Due) {
        if from == to {
            return;
        }
        if let Some(from) = from {
            self.due.remove(&from);
        }
        if let Some(to) = to {
            self.due.insert(to, due);
        }
    }

    /// Moves what an order is due for from one time to another. One that ended stays so, and does not move any more.
    #[inline]
    pub fn move_order(&mut self, orders: &mut Orders, slot: u32, from: Option<DueKey>, to: Option<DueKey>) {
        if from == to {
            return;
        }
        let forgotten = to.filter(|forget| self.join_ended(orders, slot, *forget));
        self.move_due(from, to.filter(|_| forgotten.is_none()), Due::Order(slot));
    }

    /// Adds an order to those that ended; false if it did not end, or is forgotten earlier than the last of them.
    #[inline]
    fn join_ended(&mut self, orders: &mut Orders, slot: u32, forget: DueKey) -> bool {
        !orders.at(slot).state().is_open() && self.ended.join(orders, slot, forget)
    }

    /// What is due first.
    #[inline]
    pub fn first(&self) -> Option<(DueKey, Due)> {
        let due = self.due.first_key_value().map(|(key, due)| (*key, *due));
        match (due, self.ended.first()) {
            (Some(due), Some(ended)) => Some(if due.0 < ended.0 { due } else { ended }),
            (due, ended) => due.or(ended),
        }
    }

    /// What is due first, but for the units that are to be handed on.
    pub fn first_deadline(&self) -> Option<(DueKey, Due)> {
        let due = self.due.range((Bound::Excluded(LINE), Bound::Unbounded)).next();
        due.map(|(key, due)| (*key, *due)).into_iter().chain(self.ended.first()).min_by_key(|(key, _)| *key)
    }

    /// Takes out the deadline that comes first.
    pub fn pop_first(&mut self, orders: &mut Orders) -> Option<Due> {
        let (key, due) = self.first_deadline()?;
        if self.due.remove(&key).is_none() {
            self.ended.pop(orders);
        }
        Some(due)
    }

    /// The ended orders, by when they are forgotten.
    pub fn ended(&self) -> &OrderList {
        &self.ended.list
    }

    /// What is due under a key.
    pub fn get(&self, key: DueKey) -> Option<Due> {
        self.due.get(&key).copied()
    }

    /// How many deadlines there are.
    pub fn len(&self) -> usize {
        self.due.len() + self.ended.len
    }

    /// Notes whether units are to be handed on to orders that wait for stock.
    pub fn note_line(&mut self, is_due: bool) {
        if is_due {
            self.due.insert(LINE, Due::Line);
        } else {
            self.due.remove(&LINE);
        }
    }

    /// Breaks the agenda on purpose.
    #[cfg(test)]
    pub fn broken(&mut self) -> &mut BTreeMap<DueKey, Due> {
        &mut self.due
    }
}
