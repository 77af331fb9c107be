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

/// An id and its hash. The tables of one store share their seed, so a key of one serves all of them.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    pub id: &'a [u8],
    hash: u64,
}

/// Records by slot and by id. For reading it is a [`Slab`].
pub(crate) struct Table<T> {
    slab: Slab<T>,
    index: Index,
    seed: u64,
    /// Hashes of loaded records that are not in the index yet, by slot.
    loaded: Vec<u64>,
}

/// Out of line: the code of an XXH3 is long, and stays in the instruction cache when all share it.
#[inline(never)]
fn hash(id: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(id, seed)
}

impl<T: Keyed> Table<T> {
    /// An empty table. `seed` keys the hash, so that nobody can choose ids that collide; it changes no result.
    pub fn new(seed: u64) -> Self {
        Table { slab: Slab::new(), index: Index::new(), seed, loaded: Vec::new() }
    }

    /// The key of an id, for calls that look it up more than once.
    #[inline]
    pub fn key<'a>(&self, id: &'a [u8]) -> Key<'a> {
        Key { id, hash: hash(id, self.seed) }
    }

    /// The slot of an id.
    #[inline]
    pub fn find(&self, id: &[u8]) -> Option<u32> {
        self.find_key(&self.key(id))
    }

    /// The same for a key.
    #[inline]
    pub fn find_key(&self, key: &Key<'_>) -> Option<u32> {
        self.index.find(key.hash, |slot| self.slab.at(slot).id() == key.id)
    }

    /// The slot of the record with this id that also fits.
    #[inline]
    pub fn find_if(&self, id: &[u8], fits: impl Fn(&T) -> bool) -> Option<u32> {
        let is_it = |slot| {
            let record = self.slab.at(slot);
            record.id() == id && fits(record)
        };
        self.index.find(self.key(id).hash, is_it)
    }

    /// Adds a record that is not there yet; its slot.
    pub fn insert(&mut self, record: T) -> u32 {
        let hash = hash(record.id(), self.seed);
        self.insert_hashed(hash, record)
    }

    /// The same for a record whose id was looked up.
    #[inline]
    pub fn insert_with(&mut self, key: &Key<'_>, record: T) -> u32 {
        debug_assert!(record.id() == key.id, "the key of another id");
        self.insert_hashed(key.hash, record)
    }

    /// The slot of an id; `record` makes its record if it has none.
    pub fn find_or_insert(&mut self, id: &[u8], record: impl FnOnce() -> T) -> u32 {
        let key = self.key(id);
        self.find_key(&key).unwrap_or_else(|| self.insert_with(&key, record()))
    }

    fn insert_hashed(&mut self, known: u64, record: T) -> u32 {
        let slot = self.slab.insert(record);
        let (seed, slab) = (self.seed, &self.slab);
        self.index.insert(known, slot, &|slot| hash(slab.at(slot).id(), seed));
        slot
    }

    /// Adds a record to a table of nothing but loaded records; its slot. It is not found before
    /// [`Self::index_loaded`]: an index that is built in one go is sized once, and no record is read for it again.
    pub fn load(&mut self, record: T) -> u32 {
        self.loaded.push(hash(record.id(), self.seed));
        let slot = self.slab.insert(record);
        debug_assert_eq!(slot as usize + 1, self.loaded.len(), "nothing was removed, or added in another way");
        slot
    }

    /// Puts loaded records into the index. False if two have one id and are the `same`.
    pub fn index_loaded(&mut self, same: impl Fn(&T, &T) -> bool) -> bool {
        let (hashes, slab) = (std::mem::take(&mut self.loaded), &self.slab);
        let is_same = |one, other| {
            let (one, other): (&T, &T) = (slab.at(one), slab.at(other));
            one.id() == other.id() && same(one, other)
        };
        let index = Index::build(&hashes, is_same);
        index.map(|index| self.index = index).is_some()
    }

    /// Removes the record of a slot that is known to hold one.
    pub fn remove(&mut self, slot: u32) -> T {
        let hash = hash(self.slab.at(slot).id(), self.seed);
        self.index.remove(hash, slot);
        self.slab.remove(slot)
    }

    /// The record of a slot that is known to hold one. Its id must stay as it is.
    #[inline]
    pub fn at_mut(&mut self, slot: u32) -> &mut T {
        self.slab.at_mut(slot)
    }

    /// The records, for [`crate::books::defrag`]: they say the same afterwards.
    pub fn records_mut(&mut self) -> &mut Slab<T> {
        &mut self.slab
    }

    /// Breaks a table on purpose: the record stays, and is not found by its id any more.
    #[cfg(test)]
    pub fn lose(&mut self, slot: u32) {
        let hash = hash(self.slab.at(slot).id(), self.seed);
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
