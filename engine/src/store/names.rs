//! Ids that many records name, kept once: the workers in the histories of ended orders.

use crate::base::slab::Record;
use crate::base::table::{Keyed, Table};
use crate::base::units::{Bytes, NIL};

/// Ids by slot, each for as long as something names it.
pub(crate) struct Names {
    table: Table<Name>,
    /// The slot that was named last, or [`NIL`]: a worker ends many orders one after the other.
    last: u32,
}

struct Name {
    id: Bytes,
    /// How many records name it.
    refs: u64,
    vacant: Option<u32>,
}

impl Names {
    pub fn new(seed: u64) -> Self {
        Names { table: Table::new(seed), last: NIL }
    }

    /// The slot of an id that one more record names.
    pub fn take(&mut self, id: &[u8]) -> u32 {
        if self.last == NIL || self.at(self.last) != id {
            self.last = self.table.find_or_insert(id, || Name { id: id.into(), refs: 0, vacant: None });
        }
        self.table.at_mut(self.last).refs += 1;
        self.last
    }

    /// The id in a slot that a record names.
    pub fn at(&self, slot: u32) -> &[u8] {
        &self.table.at(slot).id
    }

    /// How many ids are kept.
    #[cfg(test)]
    pub fn len(&self) -> u64 {
        self.table.len() as u64
    }

    /// Drops one record's reference to an id; removes the id with the last one.
    pub fn drop_one(&mut self, slot: u32) {
        let name = self.table.at_mut(slot);
        name.refs -= 1;
        if name.refs == 0 {
            self.table.remove(slot);
            self.last = NIL;
        }
    }
}

impl Keyed for Name {
    fn id(&self) -> &[u8] {
        &self.id
    }
}

impl Record for Name {
    fn vacant(next: u32) -> Self {
        Name { id: Bytes::default(), refs: 0, vacant: Some(next) }
    }

    fn next_vacant(&self) -> Option<u32> {
        self.vacant
    }
}
