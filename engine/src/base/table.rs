//! Records that are found by their id: a slab, an index and the hash of an id in one. Only this file hashes ids.

use std::ops::Deref;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::base::index::Index;
use crate::base::slab::{Record, Slab};

/// A record with an id, which stays the same for as long as the record lives.
pub(crate) trait Keyed: Record {
    /// What it is found by. Records of one table may share an id where [`Table::find_if`] tells them apart.
    fn id(&self) -> &[u8];
}

/// Records by slot and by id. For reading it is a [`Slab`].
pub(crate) struct Table<T> {
    slab: Slab<T>,
    index: Index,
    seed: u64,
}

impl<T: Keyed> Table<T> {
    /// An empty table. `seed` keys the hash, so that nobody can choose ids that collide; it changes no result.
    pub fn new(seed: u64) -> Self {
        Table { slab: Slab::new(), index: Index::new(), seed }
    }

    /// The slot of an id.
    #[inline]
    pub fn find(&self, id: &[u8]) -> Option<u32> {
        self.find_if(id, |_| true)
    }

    /// The slot of the record with this id that also fits.
    #[inline]
    pub fn find_if(&self, id: &[u8], fits: impl Fn(&T) -> bool) -> Option<u32> {
        let is_it = |slot: &u32| {
            let record = self.slab.at(*slot);
            record.id() == id && fits(record)
        };
        self.index.find(xxh3_64_with_seed(id, self.seed), is_it)
    }

    /// Adds a record that is not there yet; its slot.
    pub fn insert(&mut self, record: T) -> u32 {
        let slot = self.slab.insert(record);
        let (seed, slab) = (self.seed, &self.slab);
        let hash_of = |slot: u32| xxh3_64_with_seed(slab.at(slot).id(), seed);
        self.index.insert(hash_of(slot), slot, hash_of);
        slot
    }

    /// Removes the record of a slot that is known to hold one.
    pub fn remove(&mut self, slot: u32) -> T {
        let hash = xxh3_64_with_seed(self.slab.at(slot).id(), self.seed);
        self.index.remove(hash, slot);
        self.slab.remove(slot)
    }

    /// The record of a slot that is known to hold one. Its id must stay as it is.
    #[inline]
    pub fn at_mut(&mut self, slot: u32) -> &mut T {
        self.slab.at_mut(slot)
    }

    /// Breaks a table on purpose: the record stays, and is not found by its id any more.
    #[cfg(test)]
    pub fn lose(&mut self, slot: u32) {
        let hash = xxh3_64_with_seed(self.slab.at(slot).id(), self.seed);
        self.index.remove(hash, slot);
    }
}

impl<T> Deref for Table<T> {
    type Target = Slab<T>;

    #[inline]
    fn deref(&self) -> &Slab<T> {
        &self.slab
    }
}
