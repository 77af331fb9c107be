//! The lanes by name, and how many orders of each state are in them. Orders that name no lane are in the default lane,
//! `""`, which has no record.

use std::collections::BTreeSet;

use crate::base::slab::Slab;
use crate::base::table::Table;
use crate::record::lane::Lane;
use crate::terms::states::OrderState;

/// The most lanes that orders of a store can be in at a time, next to the default one.
pub const LANES_MAX: usize = 64;

/// Lanes that orders named.
pub(crate) struct Lanes {
    table: Table<Lane>,
    /// Those that an order which has not ended is in.
    used: BTreeSet<u32>,
}

impl Lanes {
    pub fn new(seed: u64) -> Self {
        Lanes { table: Table::new(seed), used: BTreeSet::new() }
    }

    /// The lanes, for reading.
    pub fn records(&self) -> &Slab<Lane> {
        &self.table
    }

    #[inline]
    pub fn id(&self, slot: u32) -> &[u8] {
        &self.table.at(slot).id
    }

    pub fn find(&self, id: &[u8]) -> Option<u32> {
        self.table.find(id)
    }

    /// The slot of a lane that an order is about to name; it is made if it is new.
    pub fn name(&mut self, id: &[u8]) -> u32 {
        self.table.find_or_insert(id, || Lane::new(id))
    }

    /// The slots of the lanes that an order which has not ended is in.
    pub fn used(&self) -> &BTreeSet<u32> {
        &self.used
    }

    /// Whether an order can be placed in a lane: one that is in use, or one more.
    pub fn has_room(&self, id: &[u8]) -> bool {
        self.used.len() < LANES_MAX || self.find(id).is_some_and(|slot| self.used.contains(&slot))
    }

    /// Counts an order that comes to a lane in a state, goes from one to another, or is forgotten. The last one takes
    /// the lane with it.
    #[cold]
    pub fn count(&mut self, slot: u32, from: Option<OrderState>, to: Option<OrderState>) {
        let lane = self.table.at_mut(slot);
        from.into_iter().for_each(|state| lane.by_state[state as usize] -= 1);
        to.into_iter().for_each(|state| lane.by_state[state as usize] += 1);
        if lane.is_used() {
            self.used.insert(slot);
        } else {
            self.used.remove(&slot);
        }
        if !lane.is_named() {
            self.table.remove(slot);
        }
    }

    /// Breaks what is counted on purpose.
    #[cfg(test)]
    pub fn broken(&mut self) -> (&mut Table<Lane>, &mut BTreeSet<u32>) {
        (&mut self.table, &mut self.used)
    }
}
