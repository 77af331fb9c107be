//! The record of an order: 64 bytes, one cache line, and its slot in the index, for an open order with short ids and
//! one item. What few orders have is in an [`Extra`].

use smallvec::SmallVec;

use crate::base::defrag::{Defrag, Move};
use crate::base::packed::{put, put_bytes, take, take_bytes, take_u32};
use crate::base::slab::Record;
use crate::base::table::Keyed;
use crate::base::units::{Bytes, Ms, NIL};
use crate::record::due::DueKey;
use crate::record::gate::{GateView, Gates};
use crate::record::history::{History, HistoryEvent};
use crate::record::returns::{EarlierReturns, ReturnEvent, Returns};
use crate::terms::items::Units;
use crate::terms::states::OrderState;
use crate::terms::streams::EntryId;

/// Where an open order is in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Position {
    /// Nowhere: a worker has it, its retry is not due yet, or it is dead.
    None = 0,
    /// In the list of those that came and wait in the default lane, first in, first out.
    Fifo = 1,
    /// Among those that are given out by the time they were queued and are not in that list: first of their group,
    /// given back, redriven.
    Ready = 2,
    /// Among the due retries.
    Retry = 3,
    /// In its group, after the first.
    InGroup = 4,
    /// Among those that ended, by when they are forgotten.
    Ended = 5,
    /// In the list of a lane that is not the default one, first in, first out.
    Lane = 6,
}

impl Position {
    /// Whether a worker that asks now can get the order.
    pub fn is_offered(self) -> bool {
        matches!(self, Position::Fifo | Position::Lane | Position::Ready | Position::Retry)
    }
}

/// Marks the length of a packed end behind the content, in place of the slot of an [`Extra`].
const PACKED: u32 = 1 << 31;

/// Marks the slot of a packed end that is short, in the same place. [`NIL`] is above all of them.
const IN_SLOT: u32 = PACKED | 1 << 30;

/// Where the packed end of an order is.
pub(crate) enum EndAt<'a> {
    /// Behind its content: here it is.
    Behind(&'a [u8]),
    /// Among the short ones, in this slot.
    Slot(u32),
}

/// The mark of a vacant slot, in place of a state.
const VACANT: u8 = u8::MAX;

/// An order. `packed` holds its id, its items and its data, and behind that how it ended where that is
/// the usual and not short.
pub(crate) struct Order {
    packed: SmallVec<[u8; 24]>,
    /// The id of its entry in `…:orders`.
    entry_ms: Ms,
    entry_seq: u32,
    /// The slot of its customer.
    pub customer: u32,
    /// Neighbours in the list of waiting orders, in the order's group, or in the list of ended orders.
    pub prev: u32,
    pub next: u32,
    /// The slot of its [`Extra`]; [`NIL`] if it has none; or the length of its packed end, with [`PACKED`]; or the slot
    /// of its packed end, with [`IN_SLOT`].
    extra: u32,
    state: u8,
    pub position: Position,
    /// Whether it was counted as late.
    pub late: bool,
}

/// The bar of 200 bytes an open order, and one cache line a look-up, depend on this.
const _: () = assert!(size_of::<Order>() == 64);

/// What an order has once a worker had it or it ended, or if it was placed with more than the usual.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Extra {
    /// Where it is in its life, with what an order has only there.
    pub stage: Stage,
    /// Attempts that failed, by ORDER.FAIL or an expired lease.
    pub attempts: u32,
    /// The slot of the group it belongs to, or [`NIL`].
    group: u32,
    /// What happened to it between its placing and its end.
    pub history: History,
    seldom: Option<Box<Seldom>>,
}

/// Every ended order that is remembered has one: the bar of 250 bytes depends on this.
const _: () = assert!(size_of::<Extra>() == 120);

/// What few orders have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seldom {
    /// The result it was completed with; before that, the reason it was cancelled for or failed for last.
    note: Bytes,
    /// What came back of it, once it is completed.
    pub returns: Option<Box<Returns>>,
    /// The last ORDER.FAIL and its reply.
    pub failed: Option<Box<Failed>>,
    /// The step of fulfilment it is at.
    pub step: Option<Box<Step>>,
    /// The hold it was made from.
    pub hold: Option<Bytes>,
    /// What it had to pass, or has to, before workers get it.
    pub gates: Option<Box<Gates>>,
    /// Where it stood before, if its entry has another id than the one it was placed with.
    origin: Option<Box<Origin>>,
    /// The slot of the lane it named.
    lane: Option<u32>,
}

impl Seldom {
    /// Whether a lane is all of it.
    #[cold]
    pub fn is_lane_alone(&self) -> bool {
        *self == Seldom { lane: self.lane, ..Seldom::default() }
    }
}

/// Where an order stood before its entry got another id.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Origin {
    /// When it was placed, where that is not the time in its entry's id.
    pub placed_at: Option<Ms>,
    /// The id its entry had when it was queued, where it has another one now: it decides the order in the queue.
    pub queued_as: Option<EntryId>,
    /// What ORDER.PLACE replied, where the order was redriven, edited or split since and has another entry.
    pub first_entry: Option<EntryId>,
    /// How often it was redriven.
    pub redrives: u32,
    /// Whether it was never queued. The id of its entry was kept free then, and tells it from orders of the same age;
    /// there is no such entry.
    pub unlisted: bool,
    /// Whether it had to wait for stock when it was placed, or was split off an order that waited or was pending and
    /// did so as well: ORDER.PLACE or ORDER.SPLIT replied nil.
    pub waited: bool,
    /// What ORDER.EDIT and ORDER.SPLIT made of it.
    pub changed: Option<Box<Changed>>,
}

/// An order whose items changed, or that was split off another one. All are fingerprints; 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Of the items it was placed with, where it has others now.
    pub placed: u128,
    /// Of the last ORDER.EDIT; 0 if that had a REF.
    pub edit: u128,
    /// Of the ORDER.SPLIT that made it.
    pub split_off: u128,
}

/// Where an order is in its life, with what an order has only there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Stage {
    #[default]
    Queued,
    /// It has gates to pass.
    Pending(Pending),
    Claimed(Claimed),
    /// Its retry is due at this time.
    Backoff(DueKey),
    /// Its retry came due.
    RetryDue(Retry),
    Dead(Dead),
    Completed(Completed),
    Cancelled(Cancelled),
    /// It waits for stock.
    Waitlisted(Box<Waitlisted>),
    /// No order has this slot; the next such slot.
    Vacant(u32),
}

/// The order has gates to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// When the first of them expires, if any does.
    pub due: Option<DueKey>,
}

/// A worker has the order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Claimed {
    /// Not 0.
    pub token: u64,
    /// The slot of the worker.
    pub worker: u32,
    /// The lease the worker asked for, milliseconds; 0: the store's.
    pub lease_ms: Ms,
    /// When the lease expires.
    pub lease: DueKey,
    /// The retry that this attempt is, if it is one.
    pub retry: Option<Box<Retry>>,
}

/// A retry that came due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    /// When it was due: decides the order among the due retries.
    pub since: DueKey,
    /// The id of its entry in `…:retry`.
    pub entry: EntryId,
}

/// The order waits for stock.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Waitlisted {
    /// Its number among the orders that came, that of the order it is a part of: every line is in this order.
    pub seq: u64,
    /// When it stops waiting, if it ever does.
    pub until: Option<DueKey>,
    /// Units that it still waits for, sorted by the SKU's slot, each SKU once: what is not in here it has.
    pub missing: Vec<Units>,
}

impl Waitlisted {
    /// Units of a SKU that it still waits for.
    pub fn missing_of(&self, sku: u32) -> u64 {
        self.find(sku).map_or(0, |at| self.missing[at].qty)
    }

    /// It waits for fewer units of a SKU, `units` at most; how many fewer.
    pub fn miss_fewer(&mut self, sku: u32, units: u64) -> u64 {
        let Some(at) = self.find(sku) else { return 0 };
        let fewer = units.min(self.missing[at].qty);
        self.missing[at].qty -= fewer;
        if self.missing[at].qty == 0 {
            self.missing.remove(at);
        }
        fewer
    }

    /// It waits for more units of a SKU.
    pub fn miss_more(&mut self, units: Units) {
        match self.missing.binary_search_by_key(&units.sku, |known| known.sku) {
            Ok(at) => self.missing[at].qty += units.qty,
            Err(at) => self.missing.insert(at, units),
        }
    }

    fn find(&self, sku: u32) -> Option<usize> {
        self.missing.binary_search_by_key(&sku, |units| units.sku).ok()
    }
}

/// The order is out of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dead {
    /// Its number among the dead.
    pub seq: u64,
    /// The id of its entry in `…:dead`.
    pub entry: EntryId,
}

/// The order is completed. Aligned to 4 bytes, so that [`Stage`] finds room for its tag: 8 bytes an ended order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed(4))]
pub(crate) struct Completed {
    pub at: Ms,
    /// The id of its entry in `…:complete`, in two parts: together they would take 4 bytes more.
    entry_ms: Ms,
    entry_seq: u32,
    /// The token it was completed with; 0: without one.
    pub token: u64,
    /// The token that its completion gave out to the same worker; 0: none.
    pub next_token: u64,
    /// When it is forgotten.
    pub forget: DueKey,
}

impl Completed {
    /// Completed now, without having given out another order.
    pub fn new(at: Ms, entry: EntryId, token: u64, forget: DueKey) -> Self {
        Completed { at, entry_ms: entry.ms, entry_seq: entry.seq, token, next_token: 0, forget }
    }

    /// The id of its entry in `…:complete`.
    pub fn entry(&self) -> EntryId {
        EntryId { ms: self.entry_ms, seq: self.entry_seq }
    }

    /// Sets the id of its entry in `…:complete`.
    pub fn set_entry(&mut self, entry: EntryId) {
        (self.entry_ms, self.entry_seq) = (entry.ms, entry.seq);
    }
}

/// The order is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cancelled {
    pub at: Ms,
    /// Whether it was dead before: no units were put back then.
    pub was_dead: bool,
    /// Units that it still waited for when it was cancelled: they could not be put back.
    pub missing: u64,
    /// When it is forgotten.
    pub forget: DueKey,
}

/// What ORDER.FAIL was called with and replied.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failed {
    /// 0: without one.
    pub token: u64,
    /// The fingerprint of the call.
    pub call: u128,
    /// The attempt that failed.
    pub attempt: u32,
    /// When the retry is due; 0: the order is dead.
    pub due: Ms,
}

/// A step of fulfilment, as ORDER.ADVANCE set it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub name: Bytes,
    /// Counts the steps of the order.
    pub version: u64,
    /// The fingerprint of the call.
    pub call: u128,
}

impl Stage {
    pub fn state(&self) -> OrderState {
        match self {
            Stage::Queued => OrderState::Queued,
            Stage::Pending(_) => OrderState::Pending,
            Stage::Claimed(_) => OrderState::Claimed,
            Stage::Backoff(_) | Stage::RetryDue(_) => OrderState::Retrying,
            Stage::Dead(_) => OrderState::Dead,
            Stage::Completed(_) => OrderState::Completed,
            Stage::Cancelled(_) | Stage::Vacant(_) => OrderState::Cancelled,
            Stage::Waitlisted(_) => OrderState::Waitlisted,
        }
    }

    /// When its lease or a gate expires, its retry is due, it stops waiting for stock, or it is forgotten.
    #[inline]
    pub fn due(&self) -> Option<DueKey> {
        match self {
            Stage::Claimed(claimed) => Some(claimed.lease),
            Stage::Pending(pending) => pending.due,
            Stage::Backoff(due) => Some(*due),
            Stage::Completed(completed) => Some(completed.forget),
            Stage::Cancelled(cancelled) => Some(cancelled.forget),
            Stage::Waitlisted(waitlisted) => waitlisted.until,
            Stage::Queued | Stage::RetryDue(_) | Stage::Dead(_) | Stage::Vacant(_) => None,
        }
    }

    /// The claim it is under.
    #[inline]
    pub fn claimed(&self) -> Option<&Claimed> {
        if let Stage::Claimed(claimed) = self { Some(claimed) } else { None }
    }

    /// What it waits for, if it waits for stock.
    #[inline]
    pub fn waitlisted(&self) -> Option<&Waitlisted> {
        if let Stage::Waitlisted(waitlisted) = self { Some(waitlisted) } else { None }
    }

    /// Its end, if it is completed.
    pub fn completed(&self) -> Option<&Completed> {
        if let Stage::Completed(completed) = self { Some(completed) } else { None }
    }

    /// The retry that it waits for, or that the claim it is under is.
    #[inline]
    pub fn retry(&self) -> Option<Retry> {
        match self {
            Stage::Claimed(claimed) => claimed.retry.as_deref().copied(),
            Stage::RetryDue(retry) => Some(*retry),
            _ => None,
        }
    }

    /// Its number among the dead, and its entry in `…:dead`.
    #[inline]
    pub fn dead(&self) -> Option<Dead> {
        if let Stage::Dead(dead) = self { Some(*dead) } else { None }
    }

    /// The token of the claim it is under, or that it was completed with; 0: none.
    pub fn token(&self) -> u64 {
        match self {
            Stage::Claimed(claimed) => claimed.token,
            Stage::Completed(completed) => completed.token,
            _ => 0,
        }
    }

    /// When it ended; 0 while it is open or dead.
    pub fn ended_at(&self) -> Ms {
        match self {
            Stage::Completed(completed) => completed.at,
            Stage::Cancelled(cancelled) => cancelled.at,
            _ => 0,
        }
    }

    /// Where an order goes that no worker has any more, and whose attempt does not count as failed.
    pub fn back(retry: Option<Retry>) -> Stage {
        retry.map_or(Stage::Queued, Stage::RetryDue)
    }
}

impl Default for Extra {
    fn default() -> Self {
        Extra { stage: Stage::Queued, attempts: 0, group: NIL, history: History::default(), seldom: None }
    }
}

impl Extra {
    /// What few orders have, if this one has any of it.
    #[inline]
    pub fn seldom(&self) -> Option<&Seldom> {
        self.seldom.as_deref()
    }

    /// The same, to be set.
    pub fn seldom_mut(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_default()
    }

    /// Where it stood before, if its entry has another id than the one it was placed with.
    #[inline]
    pub fn origin(&self) -> Option<&Origin> {
        self.seldom()?.origin.as_deref()
    }

    /// The same, to be set.
    pub fn origin_mut(&mut self) -> &mut Origin {
        self.seldom_mut().origin.get_or_insert_default()
    }

    /// Whether it was never queued, so that it has no entry.
    #[inline]
    pub fn is_unlisted(&self) -> bool {
        self.origin().is_some_and(|origin| origin.unlisted)
    }

    /// The slot of the group it belongs to.
    #[inline]
    pub fn group(&self) -> Option<u32> {
        (self.group != NIL).then_some(self.group)
    }

    /// Sets the slot of the group it belongs to.
    pub fn set_group(&mut self, group: Option<u32>) {
        self.group = group.unwrap_or(NIL);
    }

    /// The slot of the lane it is in; none: the default one.
    #[inline]
    pub fn lane(&self) -> Option<u32> {
        self.seldom()?.lane
    }

    /// Sets the slot of the lane it is in.
    pub fn set_lane(&mut self, lane: Option<u32>) {
        if lane.is_some() {
            self.seldom_mut().lane = lane;
        }
    }

    /// Names another lane on purpose: nothing follows.
    #[cfg(test)]
    pub fn break_lane(&mut self, lane: Option<u32>) {
        self.seldom_mut().lane = lane;
    }

    /// Sets the reason it was cancelled for or failed for last; of an order that is completed, its result.
    pub fn set_note(&mut self, note: &[u8]) {
        if !note.is_empty() || self.seldom.is_some() {
            self.seldom_mut().note = note.into();
        }
    }

    /// The reason or the result, whichever an order in its state has; or empty.
    pub fn note(&self) -> &[u8] {
        self.seldom().map_or(b"", |seldom| &seldom.note)
    }

    /// The reason it was cancelled for, or failed for last; empty once it is completed.
    pub fn reason(&self) -> &[u8] {
        if self.stage.completed().is_some() { b"" } else { self.note() }
    }

    /// The result it was completed with, or empty.
    pub fn result(&self) -> &[u8] {
        if self.stage.completed().is_some() { self.note() } else { b"" }
    }

    /// The last ORDER.FAIL and its reply.
    pub fn failed(&self) -> Option<&Failed> {
        self.seldom()?.failed.as_deref()
    }

    /// The step of fulfilment it is at.
    pub fn step(&self) -> Option<&Step> {
        self.seldom()?.step.as_deref()
    }

    /// What ORDER.EDIT and ORDER.SPLIT made of it.
    pub fn changed(&self) -> Option<&Changed> {
        self.origin()?.changed.as_deref()
    }

    /// The same, to be set.
    pub fn changed_mut(&mut self) -> &mut Changed {
        self.origin_mut().changed.get_or_insert_default()
    }

    /// What ORDER.PLACE or ORDER.SPLIT replied, where its entry is another one since.
    pub fn first_entry(&self) -> Option<EntryId> {
        self.origin()?.first_entry
    }

    /// What it had to pass, or has to, before workers get it.
    pub fn gates(&self) -> Option<&Gates> {
        self.seldom()?.gates.as_deref()
    }

    /// What came back.
    pub fn returns(&self) -> Option<&Returns> {
        self.seldom()?.returns.as_deref()
    }
}

impl Record for Extra {
    fn vacant(next: u32) -> Self {
        Extra { stage: Stage::Vacant(next), ..Extra::default() }
    }

    fn next_vacant(&self) -> Option<u32> {
        if let Stage::Vacant(next) = self.stage { Some(next) } else { None }
    }
}

impl Record for Order {
    fn vacant(next: u32) -> Self {
        Order {
            packed: SmallVec::new(),
            entry_ms: 0,
            entry_seq: 0,
            customer: NIL,
            prev: NIL,
            next,
            extra: NIL,
            state: VACANT,
            position: Position::None,
            late: false,
        }
    }

    fn next_vacant(&self) -> Option<u32> {
        (self.state == VACANT).then_some(self.next)
    }
}

impl Defrag for Order {
    fn defrag(&mut self, put: &mut Move<'_>) {
        self.packed.defrag(put);
    }
}

impl Defrag for Extra {
    fn defrag(&mut self, put: &mut Move<'_>) {
        self.history.defrag(put);
        if let Some(seldom) = &mut self.seldom {
            seldom.note.defrag(put);
        }
    }
}

impl Keyed for Order {
    #[inline]
    fn id(&self) -> &[u8] {
        take_bytes(&mut &self.packed[..]).unwrap_or_default()
    }
}

impl Order {
    /// An order that waits.
    pub fn new(id: &[u8], customer: u32, entry: EntryId, items: &[Units], data: &[u8]) -> Self {
        let mut packed = SmallVec::new();
        put_bytes(&mut packed, id);
        put(&mut packed, items.len() as u64);
        for item in items {
            put(&mut packed, u64::from(item.sku));
            put(&mut packed, item.qty);
        }
        if !data.is_empty() {
            packed.extend_from_slice(data);
        }
        // A spilled buffer has room to grow that an order never uses.
        if packed.spilled() {
            packed.shrink_to_fit();
        }
        Order {
            packed,
            entry_ms: entry.ms,
            entry_seq: entry.seq,
            customer,
            prev: NIL,
            next: NIL,
            extra: NIL,
            state: OrderState::Queued as u8,
            position: Position::None,
            late: false,
        }
    }

    /// Sets the items of an order that has not ended.
    pub fn set_items(&mut self, items: &[Units]) {
        debug_assert!(self.end().is_none(), "an order that ended keeps its items");
        self.packed = Order::new(self.id(), self.customer, self.entry(), items, self.data()).packed;
    }

    /// Bytes of the id, the items and the data.
    pub fn packed_bytes(&self) -> usize {
        self.packed.len()
    }

    /// The items and the data.
    pub fn content(&self) -> (Items<'_>, &[u8]) {
        let items = self.items();
        let mut after = items.clone();
        after.by_ref().for_each(drop);
        (items, after.rest())
    }

    /// The items, packed, and the data behind them.
    #[inline]
    pub fn packed_content(&self) -> &[u8] {
        let mut rest = &self.packed[..self.packed.len() - self.end_bytes()];
        let _ = take_bytes(&mut rest);
        rest
    }

    /// Bytes of the packed end behind the content.
    #[inline]
    fn end_bytes(&self) -> usize {
        if (PACKED..IN_SLOT).contains(&self.extra) { (self.extra & !PACKED) as usize } else { 0 }
    }

    /// Whether its content takes no memory but the order itself.
    pub fn is_inline(&self) -> bool {
        !self.packed.spilled()
    }

    /// The slot of its [`Extra`], if it has one.
    #[inline]
    pub fn extra_slot(&self) -> Option<u32> {
        (self.extra & PACKED == 0).then_some(self.extra)
    }

    /// Sets the slot of its [`Extra`], in place of a packed end if it has one.
    pub fn set_extra_slot(&mut self, slot: u32) {
        debug_assert!(slot & PACKED == 0, "too many orders");
        self.packed.truncate(self.packed.len() - self.end_bytes());
        self.extra = slot;
    }

    /// How it ended, packed, if that is the usual ([`crate::record::end`]).
    #[inline]
    pub fn end(&self) -> Option<EndAt<'_>> {
        match self.extra {
            ..PACKED | NIL => None,
            ..IN_SLOT => Some(EndAt::Behind(&self.packed[self.packed.len() - self.end_bytes()..])),
            IN_SLOT.. => Some(EndAt::Slot(self.extra - IN_SLOT)),
        }
    }

    /// Sets the slot of its packed end, which is short, in place of an [`Extra`].
    pub fn set_end_slot(&mut self, slot: u32) {
        debug_assert!(slot < NIL - IN_SLOT && self.end().is_none(), "too many orders, or one that ended twice");
        self.extra = IN_SLOT | slot;
    }

    /// Sets how it ended, in place of an [`Extra`].
    pub fn set_end(&mut self, end: &[u8]) {
        let content = &self.packed[..self.packed.len() - self.end_bytes()];
        let mut packed = SmallVec::with_capacity(content.len() + end.len());
        packed.extend_from_slice(content);
        packed.extend_from_slice(end);
        self.packed = packed;
        self.extra = PACKED | end.len() as u32;
    }

    #[inline]
    pub fn items(&self) -> Items<'_> {
        let mut rest = self.packed_content();
        let left = take(&mut rest).unwrap_or_default();
        Items { rest, left }
    }

    /// What it took and did not bring back, an item each in the order of the items.
    pub fn kept<'a>(&'a self, extra: Option<&'a Extra>) -> impl Iterator<Item = Units> + 'a {
        kept(self.items(), extra)
    }

    pub fn data(&self) -> &[u8] {
        self.content().1
    }

    pub fn state(&self) -> OrderState {
        OrderState::by_number(u64::from(self.state)).unwrap_or(OrderState::Cancelled)
    }

    /// Follows the stage of its [`Extra`]: whoever changes that calls it.
    pub fn set_state(&mut self, state: OrderState) {
        self.state = state as u8;
    }

    pub fn entry(&self) -> EntryId {
        EntryId { ms: self.entry_ms, seq: self.entry_seq }
    }

    pub fn set_entry(&mut self, entry: EntryId) {
        self.entry_ms = entry.ms;
        self.entry_seq = entry.seq;
    }
}

/// Of the items of an order, what it did not bring back.
pub(crate) fn kept<'a>(
    items: impl Iterator<Item = Units> + 'a,
    extra: Option<&'a Extra>,
) -> impl Iterator<Item = Units> + 'a {
    let returned = extra.and_then(Extra::returns).map_or(&[][..], |returns| &returns.units);
    let returned = returned.iter().copied().chain(std::iter::repeat(0));
    items.zip(returned).map(|(units, back)| Units { sku: units.sku, qty: units.qty - back })
}

/// The items of an order, unpacked one by one.
#[derive(Clone)]
pub(crate) struct Items<'a> {
    rest: &'a [u8],
    left: u64,
}

impl<'a> Items<'a> {
    /// What is behind the items that were taken: behind all of them the data.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl Iterator for Items<'_> {
    type Item = Units;

    fn next(&mut self) -> Option<Units> {
        self.left = self.left.checked_sub(1)?;
        Some(Units { sku: take_u32(&mut self.rest)?, qty: take(&mut self.rest)? })
    }
}

/// What the entries of an order say. Borrowed from the store.
#[derive(Debug)]
pub struct EntryView<'a> {
    pub id: &'a [u8],
    pub customer: &'a [u8],
    pub data: &'a [u8],
    pub placed_at: Ms,
    /// 0 while it is open or dead.
    pub ended_at: Ms,
    /// Attempts that failed.
    pub attempts: u32,
    /// The result it was completed with, or empty.
    pub result: &'a [u8],
    /// The reason it failed for last, or empty.
    pub reason: &'a [u8],
}

/// What `ORDER.GET` shows of an order. Borrowed from the store.
#[derive(Debug)]
pub struct OrderView<'a> {
    pub id: &'a [u8],
    pub state: OrderState,
    pub customer: &'a [u8],
    pub group: &'a [u8],
    /// The lane it is in; empty: the default one.
    pub lane: &'a [u8],
    /// The hold it was made from, or empty.
    pub hold: &'a [u8],
    pub data: &'a [u8],
    pub items: Vec<OrderItemView<'a>>,
    /// The id of its entry in `…:orders`; none if it was never queued.
    pub entry: Option<EntryId>,
    pub placed_at: Ms,
    /// 0 while it is open.
    pub ended_at: Ms,
    /// The id of its entry in `…:complete`, once completed.
    pub complete: Option<EntryId>,
    /// The result it was completed with, or empty.
    pub result: &'a [u8],
    /// The reason it was cancelled for, or failed for last; empty once it is completed.
    pub reason: &'a [u8],
    /// Whether it took, or takes, longer than `sla-ms`.
    pub late: bool,
    /// Attempts that failed.
    pub attempts: u32,
    /// The worker that has it, or empty.
    pub worker: &'a [u8],
    /// The token of the claim it is under; 0: none.
    pub token: u64,
    /// When its lease ends, its retry is due, the next gate expires or it stops waiting for stock; 0: none of these.
    pub due: Ms,
    /// What it had to pass, or has to, before workers get it.
    pub gates: Vec<GateView<'a>>,
    /// The step it is at, or empty, and how many there were.
    pub step: &'a [u8],
    pub version: u64,
    /// The id of its entry in `…:retry` or `…:dead`, if it has one.
    pub side: Option<EntryId>,
    /// What happened between its placing and its end, first to last.
    pub history: Vec<HistoryEvent<'a>>,
    /// Earlier events that are forgotten.
    pub history_lost: u64,
    /// What came back, first to last.
    pub returns: &'a [ReturnEvent],
    /// Those before them.
    pub returns_lost: EarlierReturns,
}

/// One item of an order, units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderItemView<'a> {
    pub sku: &'a [u8],
    pub qty: u64,
    /// Units that came back.
    pub returned: u64,
    /// Units that it still waits for.
    pub missing: u64,
}
