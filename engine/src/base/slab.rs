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
    rooms: Vec<Room>,
    /// The chunk that is being filled.
    filling: u32,
    /// The first chunk that has vacant slots, or [`NIL`].
    open: u32,
    /// The first chunk whose memory was given back, or [`NIL`].
    empty: u32,
    live: usize,
}

/// What is vacant in a chunk.
#[derive(Clone, Copy)]
struct Room {
    live: u32,
    /// The first vacant slot, or [`NIL`].
    vacant: u32,
    /// The neighbours among the chunks that have vacant slots; of one whose memory was given back, the next such one.
    prev: u32,
    next: u32,
}

impl Room {
    const FULL: Room = Room { live: 0, vacant: NIL, prev: NIL, next: NIL };
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
        Slab { chunks: Vec::new(), rooms: Vec::new(), filling: NIL, open: NIL, empty: NIL, live: 0 }
    }

    /// How many slots hold a record.
    pub fn len(&self) -> usize {
        self.live
    }

    /// One past the highest slot that can be in use.
    pub fn end(&self) -> u32 {
        match self.chunks.last() {
            Some(last) => ((self.chunks.len() - 1) * Self::CHUNK + last.len()) as u32,
            None => 0,
        }
    }

    pub fn insert(&mut self, record: T) -> u32 {
        self.live += 1;
        if self.open != NIL {
            return self.reuse(record);
        }
        match self.chunks.get_mut(self.filling as usize) {
            Some(chunk) if chunk.len() < Self::CHUNK => {
                chunk.push(record);
                self.rooms[self.filling as usize].live += 1;
                self.filling * Self::CHUNK as u32 + chunk.len() as u32 - 1
            }
            _ => self.begin_chunk(record),
        }
    }

    /// Puts a record into a vacant slot.
    fn reuse(&mut self, record: T) -> u32 {
        let room = &mut self.rooms[self.open as usize];
        let slot = room.vacant;
        let (chunk, at) = Self::at_chunk(slot);
        let vacant = std::mem::replace(&mut self.chunks[chunk][at], record);
        room.vacant = vacant.next_vacant().unwrap_or(NIL);
        room.live += 1;
        if room.vacant == NIL {
            self.close(chunk as u32);
        }
        slot
    }

    #[cold]
    fn begin_chunk(&mut self, record: T) -> u32 {
        let mut chunk = Vec::with_capacity(if self.chunks.is_empty() { 1 } else { Self::CHUNK });
        chunk.push(record);
        let room = Room { live: 1, ..Room::FULL };
        if self.empty == NIL {
            self.filling = self.chunks.len() as u32;
            self.chunks.push(chunk);
            self.rooms.push(room);
        } else {
            self.filling = self.empty;
            self.chunks[self.filling as usize] = chunk;
            self.empty = std::mem::replace(&mut self.rooms[self.filling as usize], room).next;
        }
        self.filling * Self::CHUNK as u32
    }

    /// Takes a chunk off the list of those that have vacant slots.
    fn close(&mut self, chunk: u32) {
        let Room { prev, next, .. } = self.rooms[chunk as usize];
        match self.rooms.get_mut(prev as usize) {
            Some(room) => room.next = next,
            None => self.open = next,
        }
        if let Some(room) = self.rooms.get_mut(next as usize) {
            room.prev = prev;
        }
    }

    pub fn remove(&mut self, slot: u32) -> T {
        let (number, at) = Self::at_chunk(slot);
        let (chunk, room) = (number as u32, &mut self.rooms[number]);
        let was_full = room.vacant == NIL;
        let record = std::mem::replace(&mut self.chunks[number][at], T::vacant(room.vacant));
        debug_assert!(record.next_vacant().is_none(), "slot {slot} is vacant already");
        room.vacant = slot;
        room.live -= 1;
        self.live -= 1;
        if was_full {
            (room.prev, room.next) = (NIL, self.open);
            if let Some(next) = self.rooms.get_mut(self.open as usize) {
                next.prev = chunk;
            }
            self.open = chunk;
        }
        let room = self.rooms[number];
        // One chunk with vacant slots stays, so that none is allocated and freed again and again.
        if room.live == 0 && chunk != self.filling && (room.prev, room.next) != (NIL, NIL) {
            self.give_back(chunk);
        }
        record
    }

    /// Gives the memory of a chunk back that holds no record.
    #[cold]
    fn give_back(&mut self, chunk: u32) {
        self.close(chunk);
        self.chunks[chunk as usize] = Vec::new();
        self.rooms[chunk as usize] = Room { next: self.empty, ..Room::FULL };
        self.empty = chunk;
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

    /// The same to change it.
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        let (chunk, at) = Self::at_chunk(slot);
        let record = self.chunks.get_mut(chunk)?.get_mut(at)?;
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

    #[test]
    fn chunks_that_hold_nothing_give_their_memory_back_and_are_used_again() {
        let chunk = Slab::<Number>::CHUNK as u32;
        let mut slab = Slab::new();
        let taken = |slab: &Slab<Number>| slab.chunks.iter().filter(|chunk| chunk.capacity() > 0).count();
        (0..10 * chunk).for_each(|n| assert_eq!(slab.insert(number(n.into())), n));
        (0..9 * chunk).for_each(|slot| assert_eq!(slab.remove(slot).number, u64::from(slot)));
        assert_eq!((slab.len(), taken(&slab)), (chunk as usize, 2), "the one that is full, and one with vacant slots");
        assert!((9 * chunk..10 * chunk).all(|slot| slab.at(slot).number == u64::from(slot)));
        assert_eq!(slab.iter().count(), chunk as usize);
        let again: Vec<u32> = (0..9 * chunk).map(|n| slab.insert(number(n.into()))).collect();
        assert_eq!((slab.len(), slab.end(), taken(&slab)), (10 * chunk as usize, 10 * chunk, 10));
        assert!(again.iter().zip(0..).all(|(slot, n)| slab.at(*slot).number == n));
    }

    #[test]
    fn one_record_that_comes_and_goes_allocates_nothing_anew() {
        let chunk = Slab::<Number>::CHUNK as u64;
        let mut slab = Slab::new();
        (0..chunk).for_each(|n| assert_eq!(u64::from(slab.insert(number(n))), n));
        let slot = slab.insert(number(1));
        let place = std::ptr::from_ref(slab.at(slot));
        for _ in 0..3 {
            slab.remove(slot);
            assert_eq!(slab.insert(number(2)), slot);
            assert!(std::ptr::eq(slab.at(slot), place));
        }
    }
}
