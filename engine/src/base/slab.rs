//! Records in numbered slots, in chunks: growing never copies what is there, so it never stops the server.

/// A record that can mark its slot as vacant and remember the next vacant one, so that no list of free slots is needed.
pub(crate) trait Record {
    /// The mark that a vacant slot holds; `next` is the next vacant slot or [`crate::base::units::NIL`].
    fn vacant(next: u32) -> Self;
    /// The next vacant slot if this slot is vacant, `None` if it holds a record.
    fn next_vacant(&self) -> Option<u32>;
}

/// Bytes a chunk has at most: what the server's allocator gives out without rounding it up. The first chunk grows by
/// doubling, so that a small store stays small.
const CHUNK_BYTES: usize = 64 * 1024;

use crate::base::units::NIL;

pub(crate) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    vacant: u32,
    live: usize,
}

impl<T: Record> Slab<T> {
    /// Slots a chunk.
    const CHUNK: usize = CHUNK_BYTES / size_of::<T>();

    /// The chunk that a slot is in, and where in it.
    #[inline]
    fn at_chunk(slot: u32) -> (usize, usize) {
        // 32 bits: the division by a constant is then one multiplication.
        let chunk = slot / Self::CHUNK as u32;
        (chunk as usize, (slot - chunk * Self::CHUNK as u32) as usize)
    }

    pub fn new() -> Self {
        Slab { chunks: Vec::new(), vacant: NIL, live: 0 }
    }

    /// How many slots hold a record.
    pub fn len(&self) -> usize {
        self.live
    }

    /// One past the highest slot ever used.
    pub fn end(&self) -> u32 {
        match self.chunks.last() {
            Some(last) => ((self.chunks.len() - 1) * Self::CHUNK + last.len()) as u32,
            None => 0,
        }
    }

    pub fn insert(&mut self, record: T) -> u32 {
        self.live += 1;
        if self.vacant != NIL {
            let slot = self.vacant;
            let at = self.at_mut(slot);
            let next = at.next_vacant().unwrap_or(NIL);
            *at = record;
            self.vacant = next;
            return slot;
        }
        self.push(record)
    }

    #[inline]
    fn push(&mut self, record: T) -> u32 {
        let slot = self.end();
        match self.chunks.last_mut() {
            Some(last) if last.len() < Self::CHUNK => last.push(record),
            _ => self.add_chunk(record),
        }
        slot
    }

    #[cold]
    fn add_chunk(&mut self, record: T) {
        let room = if self.chunks.is_empty() { 1 } else { Self::CHUNK };
        let mut chunk = Vec::with_capacity(room);
        chunk.push(record);
        self.chunks.push(chunk);
    }

    pub fn remove(&mut self, slot: u32) -> T {
        let vacant = T::vacant(self.vacant);
        let at = self.at_mut(slot);
        debug_assert!(at.next_vacant().is_none(), "slot {slot} is vacant already");
        let record = std::mem::replace(at, vacant);
        self.vacant = slot;
        self.live -= 1;
        record
    }

    /// The record of a slot that is known to hold one.
    #[inline]
    pub fn at(&self, slot: u32) -> &T {
        let (chunk, at) = Self::at_chunk(slot);
        &self.chunks[chunk][at]
    }

    #[inline]
    pub fn at_mut(&mut self, slot: u32) -> &mut T {
        let (chunk, at) = Self::at_chunk(slot);
        &mut self.chunks[chunk][at]
    }

    /// The record of any slot number, if it holds one.
    pub fn get(&self, slot: u32) -> Option<&T> {
        let (chunk, at) = Self::at_chunk(slot);
        let record = self.chunks.get(chunk)?.get(at)?;
        record.next_vacant().is_none().then_some(record)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> + '_ {
        (0..self.end()).filter_map(|slot| self.get(slot).map(|record| (slot, record)))
    }

    /// One step of a cursor over slots: looks at `count` of them from `cursor` on, however many hold a record that
    /// `seen` lets through. The next cursor, 0 at the end, and what was seen.
    pub fn scan<'a, R>(&'a self, cursor: u64, count: usize, seen: impl Fn(&'a T) -> Option<R>) -> (u64, Vec<R>) {
        let end = self.end();
        let from = cursor.min(u64::from(end)) as u32;
        let to = u64::from(from).saturating_add(count as u64).min(u64::from(end)) as u32;
        let found = (from..to).filter_map(|slot| self.get(slot).and_then(&seen)).collect();
        (if to == end { 0 } else { u64::from(to) }, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Number {
        number: u64,
        vacant: Option<u32>,
    }

    impl Record for Number {
        fn vacant(next: u32) -> Self {
            Number { number: 0, vacant: Some(next) }
        }

        fn next_vacant(&self) -> Option<u32> {
            self.vacant
        }
    }

    fn number(number: u64) -> Number {
        Number { number, vacant: None }
    }

    #[test]
    fn growing_to_a_million_moves_nothing_but_a_small_first_chunk() {
        let mut slab = Slab::new();
        let mut places = Vec::new();
        for n in 0..1_000_000u64 {
            let slot = slab.insert(number(n));
            assert_eq!(u64::from(slot), n);
            if n >= Slab::<Number>::CHUNK as u64 && n % 1_000 == 0 {
                places.push((slot, std::ptr::from_ref(slab.at(slot))));
            }
        }
        assert!(places.iter().all(|(slot, place)| std::ptr::eq(slab.at(*slot), *place)));
        assert_eq!((slab.len(), slab.end()), (1_000_000, 1_000_000));
    }

    #[test]
    fn vacant_slots_are_used_again_last_first_before_new_ones() {
        let mut slab = Slab::new();
        for n in 0..3_000u32 {
            assert_eq!(slab.insert(number(n.into())), n);
        }
        for slot in [5, 2_999, 1_024] {
            assert_eq!(slab.remove(slot).number, u64::from(slot));
            assert!(slab.get(slot).is_none());
        }
        assert_eq!((slab.len(), slab.end(), slab.iter().count()), (2_997, 3_000, 2_997));
        assert_eq!([7, 8, 9, 10].map(|n| slab.insert(number(n))), [1_024, 2_999, 5, 3_000]);
        assert_eq!(slab.at(5).number, 9);
        assert!(slab.get(3_001).is_none() && slab.get(NIL).is_none());
    }

    #[test]
    fn a_small_slab_is_small() {
        let mut slab = Slab::new();
        slab.insert(number(1));
        assert!(slab.chunks[0].capacity() < 8);
    }
}
