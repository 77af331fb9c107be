//! The orders: their records, and what is counted and found by their state.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::slab::Slab;
use crate::base::table::{Key, Table};
use crate::base::units::{Ms, NIL};
use crate::record::due::DueKey;
use crate::record::end;
use crate::record::group::OrderList;
use crate::record::history::{History, HistoryEvent};
use crate::record::order::{Extra, Order, Stage};
use crate::store::ends::Ends;
use crate::store::lanes::Lanes;
use crate::store::recount::OrderRecount;
use crate::terms::refusal::{Refusal, refuse};
use crate::terms::states::OrderState;
use crate::terms::streams::EntryId;

/// Orders, open and ended.
pub(crate) struct Orders {
    table: Table<Order>,
    extras: Slab<Extra>,
    by_state: [u64; OrderState::COUNT],
    /// Dead orders, as they died.
    dead: BTreeMap<u64, u32>,
    /// Entries that are in `…:retry`.
    retry_entries: u64,
    /// Open orders that were never queued: they have no entry in `…:orders`.
    unlisted: u64,
    ends: Ends,
    lanes: Lanes,
    recount: Option<Box<OrderRecount>>,
}

/// What other parts have to follow when an order changes.
#[derive(Clone, Copy)]
pub(super) struct Ties {
    /// When it is due.
    pub due: Option<DueKey>,
    /// The worker that has it, by slot, and the token.
    pub claim: Option<(u32, u64)>,
}

impl Ties {
    #[inline]
    fn of(extra: &Extra) -> Self {
        let claim = extra.stage.claimed().map(|claimed| (claimed.worker, claimed.token));
        Ties { due: extra.stage.due(), claim }
    }
}

impl Orders {
    pub fn new(seed: u64) -> Self {
        Orders {
            table: Table::new(seed),
            extras: Slab::new(),
            by_state: [0; OrderState::COUNT],
            dead: BTreeMap::new(),
            retry_entries: 0,
            unlisted: 0,
            ends: Ends::new(seed),
            lanes: Lanes::new(seed),
            recount: None,
        }
    }

    /// The orders, for reading.
    pub fn records(&self) -> &Slab<Order> {
        &self.table
    }

    /// The same and their further records, for [`crate::books::defrag`].
    pub fn records_mut(&mut self) -> (&mut Slab<Order>, &mut Slab<Extra>) {
        (self.table.records_mut(), &mut self.extras)
    }

    #[inline]
    pub fn at(&self, slot: u32) -> &Order {
        self.table.at(slot)
    }

    #[inline]
    pub fn find(&self, id: &[u8]) -> Option<u32> {
        self.table.find(id)
    }

    /// The key of an order's id, for calls that look it up more than once.
    #[inline]
    pub fn key<'a>(&self, id: &'a [u8]) -> Key<'a> {
        self.table.key(id)
    }

    #[inline]
    pub fn find_key(&self, key: &Key<'_>) -> Option<u32> {
        self.table.find_key(key)
    }

    /// The slot of an order that has to be known.
    pub fn slot(&self, id: &[u8]) -> Result<u32, Refusal> {
        self.find(id).ok_or_else(|| refuse(|| Refusal::NoOrder(id.into())))
    }

    /// What few orders have, if this one has any of it. Of one that ended in the usual way there is none:
    /// [`Self::full`] says how it ended.
    #[inline]
    pub fn extra(&self, order: &Order) -> Option<&Extra> {
        order.extra_slot().map(|slot| self.extras.at(slot))
    }

    /// The same, and of an order that ended in the usual way what says how.
    pub fn full(&self, order: &Order) -> Option<Cow<'_, Extra>> {
        match self.ends.unpack(order) {
            Some(extra) => Some(Cow::Owned(extra)),
            None => self.extra(order).map(Cow::Borrowed),
        }
    }

    /// Where an order is in its life; `None`: it is queued, and has nothing of what few orders have.
    #[inline]
    pub fn stage(&self, order: &Order) -> Option<Cow<'_, Stage>> {
        match self.ends.stage(order) {
            Some(stage) => Some(Cow::Owned(stage)),
            None => self.extra(order).map(|extra| Cow::Borrowed(&extra.stage)),
        }
    }

    /// What happened to an order, and how many earlier events are forgotten.
    pub fn history<'a>(&'a self, order: &'a Order) -> (Vec<HistoryEvent<'a>>, u64) {
        let of_extra = || self.extra(order).map_or((Vec::new(), 0), |extra| History::read(extra.history.bytes()));
        self.ends.history(order).unwrap_or_else(of_extra)
    }

    /// The same by slot.
    #[inline]
    pub fn extra_at(&self, slot: u32) -> Option<&Extra> {
        self.extra(self.table.at(slot))
    }

    /// When an order was placed.
    #[inline]
    pub fn placed_at(&self, order: &Order) -> Ms {
        let origin = self.extra(order).and_then(Extra::origin);
        origin.and_then(|origin| origin.placed_at).unwrap_or(order.entry().ms)
    }

    /// The id an order's entry had when it was queued: it decides the order in the queue.
    #[inline]
    pub fn queued_as(&self, order: &Order) -> EntryId {
        let origin = self.extra(order).and_then(Extra::origin);
        origin.and_then(|origin| origin.queued_as).unwrap_or(order.entry())
    }

    /// The slot of an order's group.
    #[inline]
    pub fn group(&self, order: &Order) -> Option<u32> {
        self.extra(order).and_then(Extra::group)
    }

    /// The slot of the lane an order is in; none: the default one.
    #[inline]
    pub fn lane(&self, order: &Order) -> Option<u32> {
        match self.ends.of(order) {
            Some(packed) => end::lane(packed),
            None => self.extra(order).and_then(Extra::lane),
        }
    }

    /// The name of that lane.
    pub fn lane_id(&self, order: &Order) -> &[u8] {
        self.lane(order).map_or(b"", |lane| self.lanes.id(lane))
    }

    /// The lanes that orders named.
    pub fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// The slot of a lane that an order is about to name; none: the default one.
    pub fn name_lane(&mut self, id: &[u8]) -> Option<u32> {
        (!id.is_empty()).then(|| self.lanes.name(id))
    }

    /// When an order is due.
    pub fn due(&self, slot: u32) -> Option<DueKey> {
        self.stage(self.table.at(slot)).and_then(|stage| stage.due())
    }

    /// The age of an order, and what tells it from others of that age.
    pub fn age(&self, order: &Order) -> (Ms, EntryId) {
        (self.placed_at(order), self.queued_as(order))
    }

    /// Orders by state.
    pub fn by_state(&self) -> &[u64; OrderState::COUNT] {
        &self.by_state
    }

    /// Dead orders by their number among the dead.
    pub fn dead(&self) -> &BTreeMap<u64, u32> {
        &self.dead
    }

    /// Entries that are in `…:retry`.
    pub fn retry_entries(&self) -> u64 {
        self.retry_entries
    }

    /// Open orders that have no entry in `…:orders`.
    pub fn unlisted(&self) -> u64 {
        self.unlisted
    }

    /// Whether an open order has an entry in `…:orders`, and a place in its group.
    #[inline]
    pub fn is_listed(&self, order: &Order) -> bool {
        !matches!(order.state(), OrderState::Pending | OrderState::Waitlisted)
            || !self.extra(order).is_some_and(Extra::is_unlisted)
    }

    /// Adds an order; its slot. What other parts have to know of it is the caller's to tell them.
    #[inline]
    pub(crate) fn insert(&mut self, key: &Key<'_>, order: Order) -> u32 {
        self.add(order, |table, order| table.insert_with(key, order))
    }

    /// The same with what few orders have.
    #[inline(never)]
    pub(crate) fn insert_with(&mut self, key: &Key<'_>, order: Order, extra: Extra) -> u32 {
        self.add_with(order, extra, |table, order| table.insert_with(key, order))
    }

    /// Adds an order of a store that is being loaded; its slot. [`Self::index_loaded`] follows.
    pub fn load(&mut self, order: Order, extra: Option<Extra>) -> u32 {
        match extra {
            Some(extra) => self.add_with(order, extra, Table::load),
            None => self.add(order, Table::load),
        }
    }

    /// Makes loaded orders known by their ids; false if there is one twice.
    pub fn index_loaded(&mut self) -> bool {
        self.table.index_loaded(|_, _| true)
    }

    #[inline]
    fn add(&mut self, order: Order, insert: impl FnOnce(&mut Table<Order>, Order) -> u32) -> u32 {
        self.by_state[order.state() as usize] += 1;
        let slot = insert(&mut self.table, order);
        self.recounted(slot, 1);
        slot
    }

    fn add_with(
        &mut self,
        mut order: Order,
        extra: Extra,
        insert: impl FnOnce(&mut Table<Order>, Order) -> u32,
    ) -> u32 {
        order.set_state(extra.stage.state());
        self.retry_entries += u64::from(extra.stage.retry().is_some());
        self.unlisted += u64::from(is_unlisted(&extra));
        let dead = extra.stage.dead();
        if let Some(lane) = extra.lane() {
            self.lanes.count(lane, None, Some(order.state()));
        }
        if !self.ends.pack(&mut order, &extra) {
            order.set_extra_slot(self.extras.insert(extra));
        }
        let slot = self.add(order, insert);
        if let Some(dead) = dead {
            self.dead.insert(dead.seq, slot);
        }
        slot
    }

    /// Removes an order that ended.
    pub fn remove(&mut self, slot: u32) -> (Order, Option<Extra>) {
        self.recounted(slot, -1);
        let order = self.table.remove(slot);
        self.by_state[order.state() as usize] -= 1;
        if let Some(lane) = self.lane(&order) {
            self.lanes.count(lane, Some(order.state()), None);
        }
        self.ends.drop_one(&order);
        let extra = order.extra_slot().map(|slot| self.extras.remove(slot));
        (order, extra)
    }

    /// Changes an order: the one way in which that is done, so that its state, the counts by state, the list of the
    /// dead and a recount stay right. What the change gives, and the order's ties before and after.
    #[inline]
    pub(super) fn change<R>(&mut self, slot: u32, change: impl FnOnce(&mut Order, &mut Extra) -> R) -> (R, Ties, Ties) {
        self.recounted(slot, -1);
        let at = self.open(slot);
        let (order, extra) = (self.table.at_mut(slot), self.extras.at_mut(at));
        let (before, state, dead) = (Ties::of(extra), order.state(), extra.stage.dead());
        let (retried, unlisted) = (extra.stage.retry().is_some(), is_unlisted(extra));
        let result = change(order, extra);
        let (after, now_dead) = (Ties::of(extra), extra.stage.dead());
        self.retry_entries = self.retry_entries + u64::from(extra.stage.retry().is_some()) - u64::from(retried);
        self.unlisted = self.unlisted + u64::from(is_unlisted(extra)) - u64::from(unlisted);
        order.set_state(extra.stage.state());
        debug_assert!(state.may_become(order.state()), "an order went from {state:?} to {:?}", order.state());
        self.by_state[state as usize] -= 1;
        self.by_state[order.state() as usize] += 1;
        if let Some(lane) = extra.lane() {
            self.lanes.count(lane, Some(state), Some(order.state()));
        }
        if dead != now_dead {
            dead.map(|dead| self.dead.remove(&dead.seq));
            now_dead.map(|dead| self.dead.insert(dead.seq, slot));
        }
        if !self.table.at(slot).state().is_open() {
            self.pack(slot);
        }
        self.recounted(slot, 1);
        (result, before, after)
    }

    /// The slot of what few orders have of an order that is to be changed: made if it has none, unpacked if it ended in
    /// the usual way.
    #[inline]
    fn open(&mut self, slot: u32) -> u32 {
        let known = self.table.at(slot).extra_slot();
        known.unwrap_or_else(|| self.make_extra(slot))
    }

    fn make_extra(&mut self, slot: u32) -> u32 {
        let order = self.table.at(slot);
        let extra = self.ends.unpack(order);
        if extra.is_some() {
            self.ends.drop_one(order);
        }
        let at = self.extras.insert(extra.unwrap_or_default());
        self.table.at_mut(slot).set_extra_slot(at);
        at
    }

    /// Packs how an order ended, if that is the usual.
    fn pack(&mut self, slot: u32) {
        let order = self.table.at_mut(slot);
        let Some(at) = order.extra_slot() else { return };
        let extra = self.extras.at(at);
        if self.ends.pack(order, extra) {
            self.extras.remove(at);
        }
    }

    /// An order's neighbours, its position and whether it is late: what the queue keeps in the records, and nobody
    /// counts.
    pub(super) fn queued_mut(&mut self, slot: u32) -> &mut Order {
        self.table.at_mut(slot)
    }

    #[inline]
    fn recounted(&mut self, slot: u32, sign: i64) {
        if self.recount.as_ref().is_some_and(|recount| slot < recount.counted) {
            self.recount_one(slot, sign);
        }
    }

    #[cold]
    fn recount_one(&mut self, slot: u32, sign: i64) {
        let Some(mut recount) = self.recount.take() else { return };
        let order = self.table.at(slot);
        recount.count(order, self.full(order).as_deref(), sign);
        self.recount = Some(recount);
    }

    /// Starts a recount; one that is under way is dropped.
    pub fn start_recount(&mut self) {
        self.recount = Some(Box::default());
    }

    /// Counts the next `slice` slots; which they were, or `None` if all are counted.
    pub fn recount_next(&mut self, slice: u32) -> Option<Range<u32>> {
        let mut recount = self.recount.take()?;
        let from = recount.counted;
        let to = from.saturating_add(slice).min(self.table.end());
        for order in (from..to).filter_map(|slot| self.table.get(slot)) {
            recount.count(order, self.full(order).as_deref(), 1);
        }
        recount.counted = to.max(from);
        self.recount = Some(recount);
        (from < to).then_some(from..to)
    }

    /// The recount so far.
    pub fn recount(&self) -> Option<&OrderRecount> {
        self.recount.as_deref()
    }

    /// Ends a recount.
    pub fn end_recount(&mut self) {
        self.recount = None;
    }

    /// How the usual orders ended.
    #[cfg(test)]
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Breaks an order on purpose: nothing follows.
    #[cfg(test)]
    pub fn break_order(&mut self, slot: u32) -> (&mut Order, &mut Extra) {
        let at = self.open(slot);
        (self.table.at_mut(slot), self.extras.at_mut(at))
    }

    /// Breaks what is counted and found on purpose.
    #[cfg(test)]
    pub fn broken(&mut self) -> Broken<'_> {
        Broken {
            table: &mut self.table,
            by_state: &mut self.by_state,
            dead: &mut self.dead,
            retry_entries: &mut self.retry_entries,
            unlisted: &mut self.unlisted,
            lanes: &mut self.lanes,
        }
    }
}

/// Whether an order is open and was never queued.
#[inline]
fn is_unlisted(extra: &Extra) -> bool {
    matches!(extra.stage, Stage::Pending(_) | Stage::Waitlisted(_)) && extra.is_unlisted()
}

impl OrderList {
    /// Adds an order at the end.
    pub(super) fn push(&mut self, orders: &mut Orders, slot: u32) {
        let tail = self.tail;
        let order = orders.queued_mut(slot);
        order.prev = tail;
        order.next = NIL;
        if tail == NIL {
            self.head = slot;
        } else {
            orders.queued_mut(tail).next = slot;
        }
        self.tail = slot;
    }

    /// Takes an order out.
    pub(super) fn remove(&mut self, orders: &mut Orders, slot: u32) {
        let order = orders.at(slot);
        let (prev, next) = (order.prev, order.next);
        if prev == NIL {
            self.head = next;
        } else {
            orders.queued_mut(prev).next = next;
        }
        if next == NIL {
            self.tail = prev;
        } else {
            orders.queued_mut(next).prev = prev;
        }
    }
}

/// What a test can break.
#[cfg(test)]
pub(crate) struct Broken<'a> {
    pub table: &'a mut Table<Order>,
    pub by_state: &'a mut [u64; OrderState::COUNT],
    pub dead: &'a mut BTreeMap<u64, u32>,
    pub retry_entries: &'a mut u64,
    pub unlisted: &'a mut u64,
    pub lanes: &'a mut Lanes,
}
