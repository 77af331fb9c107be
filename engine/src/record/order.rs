//! The record of an order: 64 bytes, one cache line, and its slot in the index, for an open order with short ids and
//! one item.

use smallvec::SmallVec;

use crate::base::packed::{put, put_bytes, take, take_bytes, take_u32};
use crate::base::slab::Record;
use crate::base::units::{Bytes, MAX_QUANTITY, Ms, NIL, Units};
use crate::record::history::{History, HistoryEvent};
use crate::terms::states::OrderState;
use crate::terms::streams::EntryId;

/// Where an order stands on its way to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Seat {
    /// Nowhere: a worker has it, its retry is not due yet, or it is not open.
    Away = 0,
    /// In the line of those that came and wait.
    Line = 1,
    /// Among those that are handed out by their place in the queue, and are not in the line: first of their group, given
    /// back, redriven.
    Ready = 2,
    /// Among the due retries.
    Retry = 3,
    /// Behind the first of its group.
    Behind = 4,
}

/// The mark of a vacant slot, where a record has its state.
const VACANT: u8 = u8::MAX;

/// An order. `packed` holds its id, its items and its data; what few orders have is in [`Extra`].
pub(crate) struct Order {
    packed: SmallVec<[u8; 24]>,
    /// The id of its entry in `…:orders`.
    entry_ms: Ms,
    entry_seq: u32,
    /// The slot of its customer.
    pub customer: u32,
    /// Neighbours in the line of waiting orders, or in the order's group.
    pub prev: u32,
    pub next: u32,
    /// The slot of its [`Extra`], or [`NIL`].
    pub extra: u32,
    state: u8,
    pub seat: Seat,
    /// Whether it was counted as late.
    pub late: bool,
}

/// The bar of 200 bytes an open order, and one cache line a look-up, hang on this.
const _: () = assert!(size_of::<Order>() == 64);

/// What an order has once a worker had it or it ended, or if it was placed with more than the usual.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Extra {
    /// When it was placed, where that is not the time in its entry's id.
    pub placed_at: Option<Ms>,
    /// The id its entry had when it was queued, where it has another one now: its place in the queue.
    pub queued_as: Option<EntryId>,
    /// What ORDER.PLACE replied, where the order was redriven since and has another entry.
    pub first_entry: Option<EntryId>,
    /// The slot of the group it belongs to.
    pub group: Option<u32>,
    /// The hold it was made from.
    pub hold: Option<Bytes>,
    /// When it ended; 0 while it is open or dead.
    pub ended_at: Ms,
    /// When its lease ends, its retry is due, or it is forgotten; 0: nothing of that. And its number among all that is
    /// due; of a dead order, its number among the dead.
    pub due_at: Ms,
    pub due_place: u64,
    /// The id of its entry in `…:complete`.
    pub complete: EntryId,
    /// The result it was completed with, the reason it was cancelled for or failed for last.
    pub note: Bytes,
    /// What came back.
    pub returns: Option<Box<Returns>>,
    /// The token of the claim it is under, or that completed it; 0: none.
    pub token: u64,
    /// The slot of the worker that has it.
    pub worker: Option<u32>,
    /// The lease the worker asked for; 0: the store's.
    pub lease_ms: Ms,
    /// Attempts that failed, by ORDER.FAIL or the end of a lease.
    pub attempts: u32,
    /// Its place among the due retries, once its retry was due, until that one failed too.
    pub retry: Option<(Ms, u64)>,
    /// The id of its entry in `…:retry` while it has a place there, or in `…:dead`.
    pub side: EntryId,
    /// What happened to it between its placing and its end.
    pub history: History,
    /// The last ORDER.FAIL and its reply.
    pub failed: Option<Box<Failed>>,
    /// The step of fulfilment it is at.
    pub step: Option<Box<Step>>,
    /// The token that its completion handed out to the same worker; 0: none.
    pub next_token: u64,
    /// How often it was redriven.
    pub redrives: u32,
    /// Whether it was dead when it was cancelled: no units were put back then.
    pub was_dead: bool,
    /// The next vacant slot; only in vacant ones.
    pub(crate) next_vacant: Option<u32>,
}

/// Returns an order remembers; the oldest are added up. It bounds what one order can take, and the time to show it.
pub(crate) const RETURNS_MAX: usize = 100;

/// Units that came back at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnEvent {
    pub at: Ms,
    pub units: u64,
    /// Whether they were written off rather than put back.
    pub scrap: bool,
}

/// What came back of an order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Returns {
    /// Units, an item each in the order of the items.
    pub units: Vec<u64>,
    list: Vec<ReturnEvent>,
    /// Earlier ones that are not in the list: how many, and their units.
    lost: (u64, u64),
}

impl Returns {
    /// Of an order of so many units by item, with so many earlier returns that are not remembered one by one.
    pub fn new(units: Vec<u64>, lost: (u64, u64)) -> Self {
        Returns { units, list: Vec::new(), lost }
    }

    /// Adds what came back last.
    pub fn push(&mut self, back: ReturnEvent) {
        if self.list.len() == RETURNS_MAX {
            let first = self.list.remove(0);
            self.lost.0 = self.lost.0.saturating_add(1);
            self.lost.1 = self.lost.1.saturating_add(first.units).min(MAX_QUANTITY);
        }
        self.list.push(back);
    }

    /// All that are remembered, first to last.
    pub fn list(&self) -> &[ReturnEvent] {
        &self.list
    }

    /// Earlier ones: how many, and their units.
    pub fn lost(&self) -> (u64, u64) {
        self.lost
    }
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

impl Record for Extra {
    fn vacant(next: u32) -> Self {
        Extra { next_vacant: Some(next), ..Extra::default() }
    }

    fn next_vacant(&self) -> Option<u32> {
        self.next_vacant
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
            seat: Seat::Away,
            late: false,
        }
    }

    fn next_vacant(&self) -> Option<u32> {
        (self.state == VACANT).then_some(self.next)
    }
}

impl Order {
    pub fn new(id: &[u8], items: &[Units], data: &[u8]) -> Self {
        let mut packed = SmallVec::new();
        put_bytes(&mut packed, id);
        put(&mut packed, items.len() as u64);
        for item in items {
            put(&mut packed, u64::from(item.sku));
            put(&mut packed, item.qty);
        }
        packed.extend_from_slice(data);
        // A spilled buffer has room to grow that an order never uses.
        packed.shrink_to_fit();
        Order {
            packed,
            entry_ms: 0,
            entry_seq: 0,
            customer: NIL,
            prev: NIL,
            next: NIL,
            extra: NIL,
            state: OrderState::Queued as u8,
            seat: Seat::Away,
            late: false,
        }
    }

    #[inline]
    pub fn id(&self) -> &[u8] {
        take_bytes(&mut &self.packed[..]).unwrap_or_default()
    }

    /// Bytes of the id, the items and the data.
    pub fn packed_bytes(&self) -> usize {
        self.packed.len()
    }

    /// The items and the data.
    pub fn content(&self) -> (Items<'_>, &[u8]) {
        let mut rest = &self.packed[..];
        let _ = take_bytes(&mut rest);
        let count = take(&mut rest).unwrap_or_default();
        let items = Items { rest, left: count };
        let mut after = items.clone();
        while after.next().is_some() {}
        (items, after.rest)
    }

    pub fn items(&self) -> Items<'_> {
        self.content().0
    }

    pub fn data(&self) -> &[u8] {
        self.content().1
    }

    pub fn state(&self) -> OrderState {
        OrderState::by_number(u64::from(self.state)).unwrap_or(OrderState::Cancelled)
    }

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

/// The items of an order, unpacked one by one.
#[derive(Clone)]
pub(crate) struct Items<'a> {
    rest: &'a [u8],
    left: u64,
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
    /// The result it was completed with, or the reason it failed for last.
    pub note: &'a [u8],
}

/// What `ORDER.GET` shows of an order. Borrowed from the store.
#[derive(Debug)]
pub struct OrderView<'a> {
    pub id: &'a [u8],
    pub state: OrderState,
    pub customer: &'a [u8],
    pub group: &'a [u8],
    /// The hold it was made from, or empty.
    pub hold: &'a [u8],
    pub data: &'a [u8],
    /// SKU, units, units that came back.
    pub items: Vec<(&'a [u8], u64, u64)>,
    pub entry: EntryId,
    pub placed_at: Ms,
    /// 0 while it is open.
    pub ended_at: Ms,
    /// The id of its entry in `…:complete`, once completed.
    pub complete: Option<EntryId>,
    /// The result or the reason it ended with.
    pub note: &'a [u8],
    /// Whether it took, or takes, longer than `sla-ms`.
    pub late: bool,
    /// Attempts that failed.
    pub attempts: u32,
    /// The worker that has it, or empty.
    pub worker: &'a [u8],
    /// The token of the claim it is under; 0: none.
    pub token: u64,
    /// When its lease ends, or its retry is due; 0: neither.
    pub due: Ms,
    /// The step it is at, or empty, and how many there were.
    pub step: &'a [u8],
    pub version: u64,
    /// The id of its entry in `…:retry` or `…:dead`, if it has one.
    #[cfg_attr(not(test), allow(dead_code))]
    pub side: Option<EntryId>,
    /// What happened between its placing and its end, first to last.
    pub history: Vec<HistoryEvent<'a>>,
    /// Earlier happenings that are forgotten.
    pub history_lost: u64,
    /// What came back, first to last.
    pub returns: &'a [ReturnEvent],
    /// Earlier returns that are not remembered one by one: how many, and their units.
    pub returns_lost: (u64, u64),
}
