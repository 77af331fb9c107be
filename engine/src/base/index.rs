//! From an id to a slot: linear hashing over buckets of one cache line.
//!
//! One table that doubles at a million entries would stop the server for tens of milliseconds. Here one bucket is split
//! at a time, whatever the size of the whole, and one is merged back when entries leave. A look-up reads one line, and
//! a second one where a bucket has more entries than a line has room for.
//!
//! A bucket's number is the lowest bits of the hashes in it. How many it takes is the level of the bucket; splitting it
//! takes one bit more. That bit comes from the tag beside the slot, which is 16 bits of the hash: the records, which
//! are all over the memory, are left alone. [`tag_base`] says which bits.

use crate::base::units::NIL;

/// Entries of a line.
const LINE_ENTRIES: usize = 10;

/// Lines of an allocation: 32 KiB, which the server's allocator gives out without rounding up, and aligned to a cache
/// line without being asked.
const CHUNK_LINES: u32 = 512;

/// A bucket is split above 13 entries for 2 buckets: then a look-up reads 1.1 to 1.2 lines.
const ENTRIES_MAX: (usize, usize) = (13, 2);

/// Two buckets are merged below 3 entries a bucket: few enough that coming and going does not split it again.
const ENTRIES_MIN: usize = 3;

/// Buckets that are filled together when an index is built: as many lines as fit the nearest cache.
const NEIGHBOURS: u32 = 512;

/// Marks the number of a line that is not the first of its bucket.
const OVERFLOW: u32 = 1 << 31;

/// The tag in a bucket of some level is 16 bits of the hash; this is the lowest of them. Bits below the level are in
/// the number of the bucket already, so at least 5 of the 16 tell the entries of a bucket apart, up to the 2^32 entries
/// that 32-bit slots allow. When a bucket is split into a level with another base, its 13 or so records are hashed
/// again: that happens between 832 and 1,664 entries, and between 1.7 and 3.4 million.
#[inline]
fn tag_base(level: u32) -> u32 {
    8 * u32::from(level >= 8) + 11 * u32::from(level >= 19)
}

/// The highest bit of each of four 16-bit numbers that is 0.
#[inline]
fn zeros(numbers: u64) -> u64 {
    const LOW: u64 = 0x7fff_7fff_7fff_7fff;
    !(((numbers & LOW) + LOW) | numbers | LOW)
}

/// Where a look-up has come to: the entries of a line that are still to be looked at, as [`Line::with_tag`] gives them,
/// and the line behind it.
pub(crate) struct Probe {
    tag: u16,
    line: u32,
    next: u32,
    entries: u64,
}

/// Slots and their tags, without gaps; [`NIL`] behind the last. All lines of a bucket but the last are full.
#[repr(C)]
struct Line {
    slots: [u32; LINE_ENTRIES],
    /// Four tags in each, the first the lowest: so that they are compared four at a time. Then the last two.
    tags: [u64; 2],
    last_tags: u32,
    /// The next line of the bucket, or of the lines that are free; [`NIL`] if there is none.
    next: u32,
}

const _: () = assert!(size_of::<Line>() == 64);

impl Line {
    const EMPTY: Line = Line { slots: [NIL; LINE_ENTRIES], tags: [0; 2], last_tags: 0, next: NIL };

    /// The entries with this tag, free ones among them: bit 16 × b + 15 - a is set for entry 4 × a + b.
    #[inline]
    fn with_tag(&self, tag: u16) -> u64 {
        let tag = u64::from(tag) * (u64::MAX / 0xffff);
        // The two tags that the last word has no entries for differ from the tag in any case.
        let last = u64::from(self.last_tags) | !tag << 32;
        zeros(self.tags[0] ^ tag) | zeros(self.tags[1] ^ tag) >> 1 | zeros(last ^ tag) >> 2
    }

    fn tag(&self, at: usize) -> u16 {
        match self.tags.get(at / 4) {
            Some(tags) => (tags >> (16 * (at % 4))) as u16,
            None => (self.last_tags >> (16 * (at % 4))) as u16,
        }
    }

    fn set(&mut self, at: usize, entry: Entry) {
        self.slots[at] = entry.slot;
        let shift = 16 * (at % 4);
        match self.tags.get_mut(at / 4) {
            Some(tags) => *tags = *tags & !(0xffff << shift) | u64::from(entry.tag) << shift,
            None => self.last_tags = self.last_tags & !(0xffff << shift) | u32::from(entry.tag) << shift,
        }
    }

    /// The slot of the first of these entries, which may be free.
    #[inline]
    fn first_of(&self, entries: u64) -> u32 {
        let bit = entries.trailing_zeros();
        self.slots.get((4 * (15 - bit % 16) + bit / 16) as usize).copied().unwrap_or(NIL)
    }

    fn len(&self) -> usize {
        self.slots.partition_point(|slot| *slot != NIL)
    }

    /// Adds an entry; false if the line is full.
    fn push(&mut self, entry: Entry) -> bool {
        let at = self.len();
        if at == LINE_ENTRIES {
            return false;
        }
        self.set(at, entry);
        true
    }

    /// Takes the last entry of a line that has one.
    fn pop(&mut self) -> Entry {
        let at = self.len() - 1;
        Entry { tag: self.tag(at), slot: std::mem::replace(&mut self.slots[at], NIL) }
    }
}

#[derive(Clone, Copy)]
struct Entry {
    slot: u32,
    tag: u16,
}

/// Numbered lines in chunks. The first chunk grows by doubling, so that a small table stays small; no other is copied.
#[derive(Default)]
struct Lines {
    chunks: Vec<Vec<Line>>,
    len: u32,
}

impl Lines {
    /// A line; whether its number is marked does not matter.
    #[inline]
    fn at(&self, number: u32) -> &Line {
        let number = number & !OVERFLOW;
        &self.chunks[(number / CHUNK_LINES) as usize][(number % CHUNK_LINES) as usize]
    }

    #[inline]
    fn at_mut(&mut self, number: u32) -> &mut Line {
        let number = number & !OVERFLOW;
        &mut self.chunks[(number / CHUNK_LINES) as usize][(number % CHUNK_LINES) as usize]
    }

    /// Adds an empty line; its number.
    fn push(&mut self) -> u32 {
        let (chunk, at) = ((self.len / CHUNK_LINES) as usize, (self.len % CHUNK_LINES) as usize);
        if at == 0 {
            self.chunks.push(Vec::with_capacity(if chunk == 0 { 1 } else { CHUNK_LINES as usize }));
        } else if at == self.chunks[chunk].capacity() {
            self.chunks[chunk].reserve_exact(at.min(CHUNK_LINES as usize - at));
        }
        self.chunks[chunk].push(Line::EMPTY);
        self.len += 1;
        self.len - 1
    }

    /// Removes the last line, and its chunk if it was the only line there.
    fn pop(&mut self) {
        self.len -= 1;
        self.chunks.last_mut().map(Vec::pop);
        self.chunks.pop_if(|chunk| chunk.is_empty());
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<Line>()).sum::<usize>();
        chunks + self.chunks.capacity() * size_of::<Vec<Line>>()
    }
}

/// Slots by the hash of their id. The ids stay in the records: callers say how to compare and to hash a slot.
pub(crate) struct Index {
    /// The first line of each bucket.
    buckets: Lines,
    /// The other lines, and the first of those that are free.
    overflow: Lines,
    free: u32,
    overflow_used: u32,
    len: usize,
    /// The bucket that is split next.
    split: u32,
    /// The level of the buckets that are still to be split.
    whole: Level,
    /// The next level: of the buckets before `split`, and of those that were split from them.
    halves: Level,
}

/// A level of buckets: how many bits of the hash their numbers take.
#[derive(Clone, Copy)]
struct Level {
    /// Those bits.
    bits: u32,
    /// The same as a mask.
    mask: u32,
    /// The lowest bit of the hash that is in the tag.
    base: u32,
}

impl Level {
    fn new(bits: u32) -> Self {
        Level { bits, mask: (1 << bits) - 1, base: tag_base(bits) }
    }

    #[inline]
    fn bucket(&self, hash: u64) -> u32 {
        hash as u32 & self.mask
    }

    #[inline]
    fn tag(&self, hash: u64) -> u16 {
        hash.wrapping_shr(self.base) as u16
    }

    #[inline]
    fn entry(&self, hash: u64, slot: u32) -> Entry {
        Entry { slot, tag: self.tag(hash) }
    }

    /// What a bucket of this level knows of the hash of an entry: the lowest bits, up to the highest in the tag.
    #[inline]
    fn known(&self, bucket: u32, entry: Entry) -> u64 {
        let below = u64::from(bucket) & ((1 << self.base) - 1);
        below | u64::from(entry.tag) << self.base
    }
}

impl Index {
    pub fn new() -> Self {
        Index::with_room(1)
    }

    /// An index of these hashes; their slots are 0, 1, 2 … `None` if two slots are the same id, as `is_same` says.
    pub fn build(hashes: &[u64], mut is_same: impl FnMut(u32, u32) -> bool) -> Option<Self> {
        let mut index = Index::with_room(hashes.len());
        for (hash, slot) in index.by_neighbours(hashes) {
            if index.find(hash, |known| is_same(slot, known)).is_some() {
                return None;
            }
            index.put(hash, slot);
        }
        Some(index)
    }

    /// Hashes with their slots; those of neighbouring buckets are together, so that lines that are filled stay near.
    fn by_neighbours(&self, hashes: &[u64]) -> Vec<(u64, u32)> {
        let group = |hash: u64| (self.level(hash).bucket(hash) / NEIGHBOURS) as usize;
        let mut places = vec![0usize; (self.buckets.len / NEIGHBOURS) as usize + 2];
        hashes.iter().for_each(|hash| places[group(*hash) + 1] += 1);
        for at in 1..places.len() {
            places[at] += places[at - 1];
        }
        let mut sorted = vec![(0, NIL); hashes.len()];
        for (hash, slot) in hashes.iter().zip(0..) {
            let place = &mut places[group(*hash)];
            sorted[*place] = (*hash, slot);
            *place += 1;
        }
        sorted
    }

    /// An index that is not split before it has more than this many entries.
    fn with_room(entries: usize) -> Self {
        let wanted = (entries * ENTRIES_MAX.1).div_ceil(ENTRIES_MAX.0).max(1);
        let mut buckets = Lines::default();
        for _ in 0..wanted {
            buckets.push();
        }
        let mut index = Index {
            overflow: Lines::default(),
            free: NIL,
            overflow_used: 0,
            len: 0,
            split: 0,
            whole: Level::new(0),
            halves: Level::new(1),
            buckets,
        };
        let bits = index.buckets.len.ilog2();
        index.set_level(bits, index.buckets.len - (1 << bits));
        index
    }

    fn set_level(&mut self, bits: u32, split: u32) {
        (self.whole, self.halves, self.split) = (Level::new(bits), Level::new(bits + 1), split);
    }

    /// The level of the bucket that a hash is in.
    #[inline]
    fn level(&self, hash: u64) -> &Level {
        if self.whole.bucket(hash) < self.split { &self.halves } else { &self.whole }
    }

    #[inline]
    fn line(&self, number: u32) -> &Line {
        if number & OVERFLOW == 0 { self.buckets.at(number) } else { self.overflow.at(number) }
    }

    #[inline]
    fn line_mut(&mut self, number: u32) -> &mut Line {
        if number & OVERFLOW == 0 { self.buckets.at_mut(number) } else { self.overflow.at_mut(number) }
    }

    /// Begins to look up a hash. This and [`Self::next`] are out of line, so that all tables share their code: that
    /// stays in the instruction cache.
    #[inline(never)]
    fn start(&self, hash: u64) -> Probe {
        let level = self.level(hash);
        let (tag, line) = (level.tag(hash), level.bucket(hash));
        let first = self.buckets.at(line);
        Probe { tag, line, next: first.next, entries: first.with_tag(tag) }
    }

    /// The next slot that may have the hash: its id has to be compared.
    #[inline(never)]
    fn next(&self, probe: &mut Probe) -> Option<u32> {
        loop {
            if probe.entries == 0 {
                if probe.next == NIL {
                    return None;
                }
                let line = self.overflow.at(probe.next);
                (probe.line, probe.next, probe.entries) = (probe.next, line.next, line.with_tag(probe.tag));
            } else {
                let slot = self.line(probe.line).first_of(probe.entries);
                probe.entries &= probe.entries - 1;
                if slot != NIL {
                    return Some(slot);
                }
            }
        }
    }

    /// The slot with this hash for which `is_it` is true.
    #[inline]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut probe = self.start(hash);
        // Most ids that are looked up are new, and no tag of their bucket fits.
        while probe.entries != 0 || probe.next != NIL {
            let slot = self.next(&mut probe)?;
            if is_it(slot) {
                return Some(slot);
            }
        }
        None
    }

    /// Adds a slot that is not there yet. `hash_of` hashes the id of a slot that is.
    #[inline(never)]
    pub fn insert(&mut self, hash: u64, slot: u32, hash_of: &dyn Fn(u32) -> u64) {
        self.put(hash, slot);
        if self.len * ENTRIES_MAX.1 > self.buckets.len as usize * ENTRIES_MAX.0 {
            self.split(hash_of);
        }
    }

    #[inline]
    fn put(&mut self, hash: u64, slot: u32) {
        let level = self.level(hash);
        let (bucket, entry) = (level.bucket(hash), level.entry(hash, slot));
        let mut line = self.buckets.at_mut(bucket);
        while line.next != NIL {
            let next = line.next;
            line = self.overflow.at_mut(next);
        }
        if !line.push(entry) {
            self.push_line(bucket, entry);
        }
        self.len += 1;
    }

    /// Adds a line with one entry to a bucket whose lines are full.
    #[cold]
    fn push_line(&mut self, bucket: u32, entry: Entry) {
        let last = self.lines_of(bucket).last().unwrap_or(bucket);
        let next = self.take_free_line();
        self.line_mut(last).next = next;
        self.line_mut(next).push(entry);
    }

    /// Takes a slot out; it must be there.
    pub fn remove(&mut self, hash: u64, slot: u32) {
        let bucket = self.level(hash).bucket(hash);
        let is_it = |line: &Line| line.slots.iter().position(|known| *known == slot);
        let found = self.lines_of(bucket).find_map(|number| Some((number, is_it(self.line(number))?)));
        let Some((number, at)) = found else {
            return debug_assert!(false, "slot {slot} is not in the index");
        };
        let last = self.pop(bucket);
        if last.slot != slot {
            self.line_mut(number).set(at, last);
        }
        self.len -= 1;
        if self.len < self.buckets.len as usize * ENTRIES_MIN && self.buckets.len > 1 {
            self.merge();
        }
    }

    /// The lines of a bucket.
    #[inline]
    fn lines_of(&self, bucket: u32) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(Some(bucket), |number| Some(self.line(*number).next).filter(|next| *next != NIL))
    }

    /// Takes the last entry of a bucket that has one, and frees its line if it is empty then.
    fn pop(&mut self, bucket: u32) -> Entry {
        let (mut before, mut last) = (NIL, bucket);
        while self.line(last).next != NIL {
            (before, last) = (last, self.line(last).next);
        }
        let entry = self.line_mut(last).pop();
        if before != NIL && self.line(last).len() == 0 {
            self.line_mut(before).next = NIL;
            self.free_line(last);
        }
        entry
    }

    #[cold]
    fn take_free_line(&mut self) -> u32 {
        self.overflow_used += 1;
        if self.free == NIL {
            return self.overflow.push() | OVERFLOW;
        }
        let number = self.free;
        self.free = std::mem::replace(&mut self.line_mut(number).next, NIL);
        number
    }

    #[cold]
    fn free_line(&mut self, number: u32) {
        self.overflow_used -= 1;
        let next = self.free;
        *self.line_mut(number) = Line { next, ..Line::EMPTY };
        self.free = number;
    }

    /// Splits the next bucket: it takes one bit more of the hashes.
    #[inline(never)]
    fn split(&mut self, hash_of: &dyn Fn(u32) -> u64) {
        let (from, to, bucket) = (self.whole, self.halves, self.split);
        let mut halves = [Filling::new(bucket), Filling::new(self.buckets.push())];
        let next_bit = from.bits - from.base;
        self.empty(bucket, |index, entry| {
            let (half, entry) = if from.base == to.base {
                (usize::from(entry.tag >> next_bit & 1), entry)
            } else {
                let hash = hash_of(entry.slot);
                (usize::from(to.bucket(hash) != bucket), to.entry(hash, entry.slot))
            };
            index.fill(&mut halves[half], entry);
        });
        halves.into_iter().for_each(|half| self.finish(half));
        if bucket == from.mask { self.set_level(to.bits, 0) } else { self.split += 1 }
    }

    /// Merges the last bucket with the one it was split from. What their numbers have more goes back to the tags.
    #[inline(never)]
    fn merge(&mut self) {
        match self.split {
            0 => self.set_level(self.whole.bits - 1, self.whole.mask >> 1),
            split => self.split = split - 1,
        }
        let (from, to) = (self.halves, self.whole);
        let mut whole = Filling::new(self.split);
        for bucket in [self.split, self.buckets.len - 1] {
            self.empty(bucket, |index, entry| {
                index.fill(&mut whole, to.entry(from.known(bucket, entry), entry.slot));
            });
        }
        self.finish(whole);
        self.buckets.pop();
        if self.overflow_used == 0 {
            (self.overflow, self.free) = (Lines::default(), NIL);
        }
    }

    /// Takes all entries out of a bucket.
    #[inline]
    fn empty(&mut self, bucket: u32, mut take: impl FnMut(&mut Self, Entry)) {
        let mut line = std::mem::replace(self.line_mut(bucket), Line::EMPTY);
        loop {
            for at in 0..LINE_ENTRIES {
                if line.slots[at] == NIL {
                    return;
                }
                take(self, Entry { slot: line.slots[at], tag: line.tag(at) });
            }
            let next = line.next;
            if next == NIL {
                return;
            }
            line = std::mem::replace(self.line_mut(next), Line::EMPTY);
            self.free_line(next);
        }
    }

    /// Adds an entry to a bucket that was empty.
    #[inline]
    fn fill(&mut self, to: &mut Filling, entry: Entry) {
        if to.len == LINE_ENTRIES {
            to.line.next = self.take_free_line();
            let next = Filling::new(to.line.next);
            self.finish(std::mem::replace(to, next));
        }
        to.line.set(to.len, entry);
        to.len += 1;
    }

    fn finish(&mut self, filled: Filling) {
        *self.line_mut(filled.number) = filled.line;
    }
}

/// The last line of a bucket that is filled.
struct Filling {
    number: u32,
    line: Line,
    len: usize,
}

impl Filling {
    fn new(number: u32) -> Self {
        Filling { number, line: Line::EMPTY, len: 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashMap;

    use super::*;
    use xxhash_rust::xxh3::xxh3_64;

    fn hash(slot: u32) -> u64 {
        xxh3_64(&slot.to_le_bytes())
    }

    fn found(index: &Index, slot: u32) -> bool {
        index.find(hash(slot), |known| known == slot) == Some(slot)
    }

    impl Index {
        fn bytes(&self) -> usize {
            self.buckets.bytes() + self.overflow.bytes()
        }

        /// The most lines a bucket has, and the lines and slots there are.
        fn shape(&self) -> (usize, usize, usize) {
            let (mut most, mut lines, mut slots) = (0, 0, 0);
            for bucket in 0..self.buckets.len {
                let numbers: Vec<u32> = self.lines_of(bucket).collect();
                let full = numbers[..numbers.len() - 1].iter().all(|number| self.line(*number).len() == LINE_ENTRIES);
                assert!(full && (numbers.len() == 1 || self.line(numbers[numbers.len() - 1]).len() > 0));
                most = most.max(numbers.len());
                lines += numbers.len();
                slots += numbers.iter().map(|number| self.line(*number).len()).sum::<usize>();
            }
            assert_eq!(lines, (self.buckets.len + self.overflow_used) as usize);
            assert_eq!(slots, self.len);
            (most, lines, slots)
        }
    }

    /// Entries that are hashed again while one is added: whose records are read.
    fn hashed_by(index: &mut Index, slot: u32) -> usize {
        let hashed = Cell::new(0);
        index.insert(hash(slot), slot, &|s| {
            hashed.set(hashed.get() + 1);
            hash(s)
        });
        hashed.get()
    }

    #[test]
    fn finds_what_was_put_in_and_nothing_else_over_many_splits() {
        let mut index = Index::new();
        for slot in 0..200_000 {
            index.insert(hash(slot), slot, &hash);
        }
        for slot in (0..200_000).step_by(3) {
            index.remove(hash(slot), slot);
        }
        for slot in 0..200_000 {
            assert_eq!(found(&index, slot), slot % 3 != 0);
        }
        index.shape();
    }

    #[test]
    fn comes_and_goes_like_a_map() {
        let (mut index, mut map, mut dice) = (Index::new(), HashMap::new(), 1u64);
        // Each phase ends far from where it began, and passes the levels at which tags change.
        for (phase, percent_in) in [90, 10, 70, 30, 95, 0].into_iter().enumerate() {
            for _ in 0..60_000 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let (slot, roll) = ((dice >> 33) as u32 % 40_000, dice >> 20 & 0x7f);
                let inserts = roll * 100 < percent_in * 128;
                assert_eq!(found(&index, slot), map.contains_key(&slot));
                if inserts && map.insert(slot, phase).is_none() {
                    index.insert(hash(slot), slot, &hash);
                } else if !inserts && map.remove(&slot).is_some() {
                    index.remove(hash(slot), slot);
                }
            }
            assert_eq!(index.shape().2, map.len());
            assert!((0..40_000).all(|slot| found(&index, slot) == map.contains_key(&slot)));
        }
    }

    #[test]
    fn ids_with_one_hash_still_fit() {
        let mut index = Index::new();
        for slot in 0..3_000 {
            index.insert(42, slot, &|_| 42);
        }
        assert_eq!(index.find(42, |slot| slot == 2_999), Some(2_999));
        for slot in 0..3_000 {
            index.remove(42, slot);
        }
        assert_eq!((index.find(42, |_| true), index.shape()), (None, (1, 1, 0)));
    }

    #[test]
    fn no_insert_of_three_million_reads_more_than_a_few_records_and_most_read_none() {
        let (mut index, mut most) = (Index::new(), 0);
        for slot in 0..3_000_000 {
            let (buckets, hashed) = (index.buckets.len, hashed_by(&mut index, slot));
            most = most.max(hashed);
            assert!(index.buckets.len <= buckets + 1, "one insert splits one bucket");
            let reads = matches!(index.buckets.len.ilog2(), 7 | 18);
            assert!(hashed == 0 || reads || index.buckets.len.is_power_of_two(), "{hashed} at {slot}");
            if matches!(slot, 300_000 | 1_000_000 | 2_999_999) {
                let (most, lines, slots) = index.shape();
                let bytes = index.bytes() as f64 / slots as f64;
                println!("{slots} slots: {bytes:.2} bytes each, {most} lines a bucket at most, {lines} in all");
                assert!(bytes < 12.0 && most <= 5);
            }
        }
        assert!(most <= 50, "one insert read {most} records");
        assert!((0..3_000_000).step_by(7).all(|slot| found(&index, slot)));
    }

    #[test]
    fn coming_and_going_neither_grows_nor_degrades() {
        // A queue that stands at 20,000 while 2,000,000 pass through it.
        let (standing, mut index, mut read) = (20_000, Index::new(), 0);
        for slot in 0..2_000_000 {
            let hashed = hashed_by(&mut index, slot);
            if slot >= standing {
                read += hashed;
                index.remove(hash(slot - standing), slot - standing);
            }
        }
        assert_eq!(read, 0, "records that were read");
        let (most, lines, _) = index.shape();
        assert!(most <= 4 && index.bytes() < 16 * standing as usize, "{lines} lines, {} bytes", index.bytes());
    }

    #[test]
    fn a_small_index_is_small_and_one_that_was_large_is_small_again() {
        let mut index = Index::new();
        index.insert(hash(0), 0, &hash);
        assert!(index.bytes() <= 256);
        for slot in 1..100_000 {
            index.insert(hash(slot), slot, &hash);
        }
        for slot in 0..100_000 {
            index.remove(hash(slot), slot);
        }
        assert_eq!(index.shape(), (1, 1, 0));
        assert!(index.bytes() <= 64 * 1024, "{}", index.bytes());
    }

    #[test]
    fn an_index_that_is_built_is_like_one_that_grew() {
        for entries in [0, 1, 6, 7, 1_000, 10_000, 100_000] {
            let hashes: Vec<u64> = (0..entries).map(hash).collect();
            let mut index = Index::build(&hashes, |one, other| one == other).expect("no slot is there twice");
            assert!((0..entries).all(|slot| found(&index, slot)));
            let (_, _, slots) = index.shape();
            assert!(slots == entries as usize && index.buckets.len as usize <= slots / 6 + 1);
            for slot in entries..2 * entries {
                index.insert(hash(slot), slot, &hash);
            }
            assert!((0..2 * entries).all(|slot| found(&index, slot)));
        }
    }

    #[test]
    fn an_id_that_is_there_twice_is_seen_when_an_index_is_built() {
        let hashes: Vec<u64> = (0..50_000).map(|slot| hash(slot % 49_999)).collect();
        assert!(Index::build(&hashes, |one, other| one % 49_999 == other % 49_999).is_none());
    }
}
