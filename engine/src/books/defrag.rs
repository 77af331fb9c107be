//! Defragmentation: the small pieces of memory of a store, offered one by one to be put elsewhere. Those of which a
//! store has millions: of orders, their histories, customers and holds. Tables and trees stay where they are; the
//! chunks of a table are too large for an allocator to put them among small pieces.

use crate::base::defrag::{Defrag, Move};
use crate::base::slab::{Record, Slab};
use crate::store::Store;

/// Slots that one step looks at.
const STEP: u32 = 64;

impl Store {
    /// A step over the pieces of memory that can be moved. `cursor` is 0 at the start, then what the last step
    /// returned, which is 0 at the end. Between steps the store may change: what it gets meanwhile may be passed over.
    pub fn defrag(&mut self, cursor: u64, put: &mut Move<'_>) -> u64 {
        // The table is in the upper half of a cursor, the slot in the lower.
        let (table, from) = ((cursor >> 32) as u32, cursor as u32);
        let next = match table {
            0 => step(self.orders.records_mut().0, from, put),
            1 => step(self.orders.records_mut().1, from, put),
            2 => step(self.customers.records_mut(), from, put),
            3 => step(self.holds.records_mut(), from, put),
            _ => return 0,
        };
        match next {
            Some(slot) => u64::from(table) << 32 | u64::from(slot),
            None => u64::from(table + 1) << 32,
        }
    }
}

/// Offers the pieces of some records. The next slot, if there is one.
fn step<T: Record + Defrag>(slab: &mut Slab<T>, from: u32, put: &mut Move<'_>) -> Option<u32> {
    let to = from.saturating_add(STEP).min(slab.end());
    (from..to).for_each(|slot| {
        if let Some(record) = slab.get_mut(slot) {
            record.defrag(put);
        }
    });
    (to < slab.end()).then_some(to)
}
