//! The agenda: what is due, and the numbers that keep deadlines of one millisecond in order.

use std::collections::BTreeMap;

use crate::base::units::Ms;
use crate::record::due::{Due, DueKey};

/// What is due, earliest first.
#[derive(Default)]
pub(crate) struct Agenda {
    due: BTreeMap<DueKey, Due>,
    last_seq: u64,
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

    /// What is due first.
    #[inline]
    pub fn first(&self) -> Option<(DueKey, Due)> {
        self.due.first_key_value().map(|(key, due)| (*key, *due))
    }

    /// Takes what is due first.
    pub fn pop_first(&mut self) -> Option<(DueKey, Due)> {
        self.due.pop_first()
    }

    /// What is due under a key.
    pub fn get(&self, key: DueKey) -> Option<Due> {
        self.due.get(&key).copied()
    }

    /// How many deadlines there are.
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Breaks the agenda on purpose.
    #[cfg(test)]
    pub fn broken(&mut self) -> &mut BTreeMap<DueKey, Due> {
        &mut self.due
    }
}
