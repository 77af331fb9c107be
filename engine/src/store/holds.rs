//! The holds, and how many of them are live.

use crate::base::slab::Slab;
use crate::base::table::Table;
use crate::record::due::DueKey;
use crate::record::hold::Hold;
use crate::store::recount::HoldRecount;
use crate::terms::refusal::{Refusal, refuse};

/// Holds, live and ended.
pub(crate) struct Holds {
    table: Table<Hold>,
    live: u64,
    recount: Option<Box<HoldRecount>>,
}

impl Holds {
    pub fn new(seed: u64) -> Self {
        Holds { table: Table::new(seed), live: 0, recount: None }
    }

    /// The holds, for reading.
    pub fn records(&self) -> &Slab<Hold> {
        &self.table
    }

    /// The same, for [`crate::books::defrag`].
    pub fn records_mut(&mut self) -> &mut Slab<Hold> {
        self.table.records_mut()
    }

    #[inline]
    pub fn at(&self, slot: u32) -> &Hold {
        self.table.at(slot)
    }

    /// Live holds.
    pub fn live(&self) -> u64 {
        self.live
    }

    #[inline]
    pub fn find(&self, id: &[u8]) -> Option<u32> {
        self.table.find(id)
    }

    /// The slot of a hold that has to be known.
    pub fn slot(&self, id: &[u8]) -> Result<u32, Refusal> {
        self.find(id).ok_or_else(|| refuse(|| Refusal::NoHold(id.into())))
    }

    /// Adds a hold; its slot. Its deadline is the caller's to note.
    pub(super) fn insert(&mut self, hold: Hold) -> u32 {
        self.live += u64::from(hold.is_live());
        let slot = self.table.insert(hold);
        self.recounted(slot, 1);
        slot
    }

    /// Adds a hold of a store that is being loaded; its slot. [`Self::index_loaded`] follows.
    pub fn load(&mut self, hold: Hold) -> u32 {
        self.live += u64::from(hold.is_live());
        self.table.load(hold)
    }

    /// Makes loaded holds known by their ids; false if there is one twice.
    pub fn index_loaded(&mut self) -> bool {
        self.table.index_loaded(|_, _| true)
    }

    /// Removes a hold that ended.
    pub fn remove(&mut self, slot: u32) -> Hold {
        self.recounted(slot, -1);
        let hold = self.table.remove(slot);
        debug_assert!(!hold.is_live(), "a live hold is never removed");
        hold
    }

    /// Changes a hold: the one way in which that is done, so that counts and a recount stay right. What the change
    /// gives, and when the hold was due before and is now.
    pub(super) fn change<R>(&mut self, slot: u32, change: impl FnOnce(&mut Hold) -> R) -> (R, DueKey, DueKey) {
        self.recounted(slot, -1);
        let hold = self.table.at_mut(slot);
        let (was_live, before) = (hold.is_live(), hold.due);
        let result = change(hold);
        // One that ended lives again where it is replaced.
        self.live = self.live - u64::from(was_live) + u64::from(hold.is_live());
        let after = hold.due;
        self.recounted(slot, 1);
        (result, before, after)
    }

    #[inline]
    fn recounted(&mut self, slot: u32, sign: i64) {
        if let Some(recount) = self.recount.as_mut().filter(|recount| slot < recount.counted) {
            recount.count(self.table.at(slot), sign);
        }
    }

    /// Starts a recount; one that is under way is dropped.
    pub fn start_recount(&mut self) {
        self.recount = Some(Box::default());
    }

    /// Counts the next `slice` slots; which they were, or `None` if all are counted.
    pub fn recount_next(&mut self, slice: u32) -> Option<std::ops::Range<u32>> {
        let recount = self.recount.as_mut()?;
        let from = recount.counted;
        let to = from.saturating_add(slice).min(self.table.end());
        (from..to).filter_map(|slot| self.table.get(slot)).for_each(|hold| recount.count(hold, 1));
        recount.counted = to.max(from);
        (from < to).then_some(from..to)
    }

    /// The recount so far.
    pub fn recount(&self) -> Option<&HoldRecount> {
        self.recount.as_deref()
    }

    /// Ends a recount.
    pub fn end_recount(&mut self) {
        self.recount = None;
    }

    /// Breaks the holds on purpose.
    #[cfg(test)]
    pub fn broken(&mut self) -> (&mut Table<Hold>, &mut u64) {
        (&mut self.table, &mut self.live)
    }
}
