//! The record of a hold: units set aside until a deadline.

use smallvec::SmallVec;

use crate::base::defrag::{Defrag, Move};
use crate::base::slab::Record;
use crate::base::table::Keyed;
use crate::base::units::{Bytes, Ms, NIL};
use crate::record::due::DueKey;
use crate::terms::items::Units;
use crate::terms::states::HoldState;

/// One SKU of a hold, units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HoldItem {
    pub sku: u32,
    /// As reserved.
    pub qty: u64,
    /// Still set aside.
    pub left: u64,
    /// Taken out of on_hand.
    pub committed: u64,
}

/// A hold.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub id: Bytes,
    /// The slot of its customer, or [`NIL`].
    pub customer: u32,
    pub state: HoldState,
    /// The TTL the caller named; 0: none, the store's `hold-ms`.
    pub ttl_ms: Ms,
    /// When it expires; once it ended, when it is forgotten.
    pub due: DueKey,
    /// When it was reserved: `hold-max-ms` counts from here, also where it is replaced while it is live.
    pub started_at: Ms,
    /// When it would have expired as reserved: the first reply.
    pub first_deadline: Ms,
    /// When it expires, or ended.
    pub deadline: Ms,
    pub ended_at: Ms,
    /// The fingerprint of the call that ended it.
    pub end_call: u128,
    pub items: SmallVec<[HoldItem; 1]>,
    vacant: Option<u32>,
}

impl Defrag for Hold {
    fn defrag(&mut self, put: &mut Move<'_>) {
        self.id.defrag(put);
    }
}

impl Keyed for Hold {
    fn id(&self) -> &[u8] {
        &self.id
    }
}

impl Hold {
    pub fn new(id: &[u8]) -> Self {
        Hold {
            id: id.into(),
            customer: NIL,
            state: HoldState::Live,
            ttl_ms: 0,
            due: DueKey::default(),
            started_at: 0,
            first_deadline: 0,
            deadline: 0,
            ended_at: 0,
            end_call: 0,
            items: SmallVec::new(),
            vacant: None,
        }
    }

    /// Makes it a live hold of these units, which expires when it is `due`. Nothing of what it was before is left but
    /// its id.
    pub fn begin(&mut self, customer: u32, ttl_ms: Option<Ms>, due: DueKey, started_at: Ms, items: &[Units]) {
        let item = |units: &Units| HoldItem { sku: units.sku, qty: units.qty, left: units.qty, committed: 0 };
        *self = Hold {
            id: std::mem::take(&mut self.id),
            customer,
            ttl_ms: ttl_ms.unwrap_or(0),
            due,
            started_at,
            first_deadline: due.at,
            deadline: due.at,
            items: items.iter().map(item).collect(),
            ..Hold::new(b"")
        };
    }

    pub fn is_live(&self) -> bool {
        self.state == HoldState::Live
    }

    /// Units still set aside.
    pub fn left(&self) -> u64 {
        self.items.iter().map(|item| item.left).sum()
    }
}

impl Record for Hold {
    fn vacant(next: u32) -> Self {
        Hold { vacant: Some(next), ..Hold::new(b"") }
    }

    fn next_vacant(&self) -> Option<u32> {
        self.vacant
    }
}

/// What `INV.HOLD` shows of a hold. Borrowed from the store.
#[derive(Debug)]
pub struct HoldView<'a> {
    pub id: &'a [u8],
    pub state: HoldState,
    /// Empty where the hold names none.
    pub customer: &'a [u8],
    /// When it expires, or would have.
    pub deadline: Ms,
    /// 0 while it is live.
    pub ended_at: Ms,
    /// Units still set aside.
    pub left: u64,
    pub items: Vec<HoldItemView<'a>>,
}

/// One SKU of a hold, units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldItemView<'a> {
    pub sku: &'a [u8],
    /// As reserved.
    pub qty: u64,
    /// Still set aside.
    pub left: u64,
    /// Taken out of on_hand.
    pub committed: u64,
}
