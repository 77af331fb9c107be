//! From an id to a slot: an extendible hash table of small tables.
//!
//! One table that doubles at a million entries would stop the server for tens of milliseconds. Here a table that is
//! full splits in two and moves at most [`SEGMENT_MAX`] entries, whatever the size of the whole.

use hashbrown::HashTable;

/// Entries a table holds before it splits: 7/8 of 1024 buckets, where hashbrown would double it.
const SEGMENT_MAX: usize = 896;

/// The directory takes its bits from here up; hashbrown takes the lowest for the bucket and the highest for its tag.
const DIRECTORY_SHIFT: u32 = 24;

/// More bits the hash does not have to spare; tables beyond grow instead (only with colliding hashes).
const DIRECTORY_BITS_MAX: u32 = 24;

struct Segment {
    table: HashTable<u32>,
    bits: u32,
}

/// Slots by the hash of their id. The ids stay in the records: callers say how to compare and to hash a slot.
pub(crate) struct Index {
    directory: Vec<u32>,
    bits: u32,
    segments: Vec<Segment>,
}

impl Index {
    pub fn new() -> Self {
        Index { directory: vec![0], bits: 0, segments: vec![Segment { table: HashTable::new(), bits: 0 }] }
    }

    #[inline]
    fn segment_of(&self, hash: u64) -> usize {
        let mask = (1u64 << self.bits) - 1;
        self.directory[((hash >> DIRECTORY_SHIFT) & mask) as usize] as usize
    }

    #[inline]
    pub fn find(&self, hash: u64, is_it: impl FnMut(&u32) -> bool) -> Option<u32> {
        self.segments[self.segment_of(hash)].table.find(hash, is_it).copied()
    }

    /// Adds a slot whose id is not there yet. `hash_of` hashes the id of a slot that is.
    pub fn insert(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        let mut at = self.segment_of(hash);
        while self.segments[at].table.len() >= SEGMENT_MAX && self.segments[at].bits < DIRECTORY_BITS_MAX {
            self.split(at, &hash_of);
            at = self.segment_of(hash);
        }
        self.segments[at].table.insert_unique(hash, slot, |s| hash_of(*s));
    }

    /// Takes a slot out; it must be there.
    pub fn remove(&mut self, hash: u64, slot: u32) {
        let at = self.segment_of(hash);
        if let Ok(entry) = self.segments[at].table.find_entry(hash, |s| *s == slot) {
            entry.remove();
        } else {
            debug_assert!(false, "slot {slot} is not in the index");
        }
    }

    fn split(&mut self, at: usize, hash_of: &impl Fn(u32) -> u64) {
        let bits = self.segments[at].bits;
        if bits == self.bits {
            self.directory.extend_from_within(..);
            self.bits += 1;
        }
        let (low, high) = Self::halves(&self.segments[at].table, bits, hash_of);
        self.segments[at] = Segment { table: low, bits: bits + 1 };
        let new = self.segments.len() as u32;
        self.segments.push(Segment { table: high, bits: bits + 1 });
        // The new half serves every directory entry of the old one whose next bit is set.
        let first = (0..1usize << bits).find(|i| self.directory[*i] as usize == at).unwrap_or(0);
        let step = 1usize << (bits + 1);
        for entry in self.directory.iter_mut().skip(first + (1 << bits)).step_by(step) {
            *entry = new;
        }
    }

    fn halves(full: &HashTable<u32>, bits: u32, hash_of: &impl Fn(u32) -> u64) -> (HashTable<u32>, HashTable<u32>) {
        // The records are all over the memory: hashing them one by one would wait for each. Without what is done with
        // the hash in between, the processor fetches many at a time.
        let hashes: Vec<(u32, u64)> = full.iter().map(|slot| (*slot, hash_of(*slot))).collect();
        let mut low = HashTable::with_capacity(SEGMENT_MAX);
        let mut high = HashTable::with_capacity(SEGMENT_MAX);
        for (slot, hash) in hashes {
            let half = if hash >> DIRECTORY_SHIFT >> bits & 1 == 0 { &mut low } else { &mut high };
            half.insert_unique(hash, slot, |s| hash_of(*s));
        }
        (low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_64;

    fn hash(slot: u32) -> u64 {
        xxh3_64(&slot.to_le_bytes())
    }

    #[test]
    fn finds_what_was_put_in_and_nothing_else_over_many_splits() {
        let mut index = Index::new();
        for slot in 0..200_000 {
            index.insert(hash(slot), slot, hash);
        }
        for slot in (0..200_000).step_by(3) {
            index.remove(hash(slot), slot);
        }
        for slot in 0..200_000 {
            let found = index.find(hash(slot), |s| *s == slot);
            assert_eq!(found, (slot % 3 != 0).then_some(slot));
        }
        assert!(index.segments.iter().all(|s| s.table.len() <= SEGMENT_MAX));
    }

    #[test]
    fn ids_with_one_hash_still_fit() {
        let mut index = Index::new();
        for slot in 0..3_000 {
            index.insert(42, slot, |_| 42);
        }
        assert_eq!(index.find(42, |s| *s == 2_999), Some(2_999));
    }

    /// Entries that are looked at again, by their hash, while one is added: what a step moves.
    fn moved_by(index: &mut Index, slot: u32) -> usize {
        let moved = std::cell::Cell::new(0);
        index.insert(hash(slot), slot, |s| {
            moved.set(moved.get() + 1);
            hash(s)
        });
        moved.get()
    }

    #[test]
    fn no_insert_of_a_million_moves_more_than_a_table_or_two() {
        let mut index = Index::new();
        let (mut most, mut all, mut directory) = (0, 0, 0);
        for slot in 0..1_000_000 {
            let moved = moved_by(&mut index, slot);
            most = most.max(moved);
            all += moved;
            // Where the directory doubles, its numbers are copied: few for the tables there are.
            if index.directory.len() > directory {
                directory = index.directory.len();
                assert!(directory <= 16 * index.segments.len(), "{directory} for {} tables", index.segments.len());
            }
        }
        assert!(most <= 2 * SEGMENT_MAX, "one insert moved {most}");
        assert!(all < 4_000_000, "a million inserts moved {all}");
        let least = index.segments.iter().map(|s| s.table.len()).min();
        assert!(least > Some(SEGMENT_MAX / 8), "tables split evenly, none is left with {least:?}");
    }

    #[test]
    fn coming_and_going_neither_moves_nor_grows_more() {
        // A queue that stands at 20,000 while 300,000 pass through it.
        let (standing, mut most) = (20_000, 0);
        let mut index = Index::new();
        for slot in 0..300_000 {
            most = most.max(moved_by(&mut index, slot));
            if slot >= standing {
                index.remove(hash(slot - standing), slot - standing);
            }
        }
        assert!(most <= 2 * SEGMENT_MAX, "one insert moved {most}");
        let (tables, room) = (index.segments.len(), index.segments.iter().map(|s| s.table.capacity()).sum::<usize>());
        assert!(tables < 100 && room < 8 * standing as usize, "{tables} tables with room for {room}");
    }
}
