//! The record of a SKU: its stock.

use crate::base::slab::Record;
use crate::base::table::Keyed;
use crate::base::units::{Bytes, MAX_QUANTITY, NIL};
use crate::terms::journal::Move;

/// Stock of one SKU, units. `received` and `past` are what an audit recounts with.
#[derive(Clone, Debug)]
pub(crate) struct Sku {
    pub id: Bytes,
    /// Whether the id between quotes is a JSON string as it is: nearly every SKU's.
    is_plain: bool,
    /// Units in the building.
    pub on_hand: u64,
    /// Units of live holds and open orders, and units set aside for orders that wait.
    pub held: u64,
    /// Units that are never sold.
    pub safety: u64,
    /// The mark at or under which the SKU is low; 0: none.
    pub low: u64,
    /// Units one customer may have; 0: no limit.
    pub limit: u64,
    /// Units that left by orders and commits, net of returns.
    pub sold: u64,
    /// Units that came in by counts and adjustments, net: always `on_hand + sold`.
    pub received: i64,
    /// The part of `sold` whose orders and holds are forgotten.
    pub past: u64,
    /// Units that waitlisted orders wait for and that are not set aside for them.
    pub waiting: u64,
    /// Units that are set aside for waitlisted orders and not handed on to one so far: part of `held`.
    pub aside: u64,
    /// The most units that may be waited for; [`NO_BACKLOG`]: any number.
    pub backlog: u64,
}

/// A backlog without a bound: no sum is larger.
pub(crate) const NO_BACKLOG: u64 = MAX_QUANTITY;

impl Sku {
    pub fn new(id: &[u8]) -> Self {
        let is_plain = id.iter().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\'));
        Sku {
            id: id.into(),
            is_plain,
            on_hand: 0,
            held: 0,
            safety: 0,
            low: 0,
            limit: 0,
            sold: 0,
            received: 0,
            past: 0,
            waiting: 0,
            aside: 0,
            backlog: NO_BACKLOG,
        }
    }

    /// Units that can be sold; negative when a count came in below what is held.
    #[inline]
    pub fn available(&self) -> i64 {
        self.on_hand as i64 - self.held as i64 - self.safety as i64
    }

    /// Whether orders wait for it, or its backlog is bounded.
    pub fn is_waited_for(&self) -> bool {
        self.waiting > 0 || self.aside > 0 || self.backlog < NO_BACKLOG
    }

    /// How many of so many units that are wanted are available.
    pub fn takes(&self, wanted: u64) -> u64 {
        wanted.min(self.available().max(0).unsigned_abs())
    }

    /// Appends the id as a JSON string. One that is not UTF-8 is written byte by byte, each as the character of its
    /// number.
    pub fn put_json(&self, out: &mut Vec<u8>) {
        if self.is_plain {
            out.push(b'"');
            out.extend_from_slice(&self.id);
            return out.push(b'"');
        }
        match std::str::from_utf8(&self.id) {
            Ok(text) => serde_json::to_writer(&mut *out, text),
            Err(_) => serde_json::to_writer(&mut *out, &self.id.iter().map(|b| *b as char).collect::<String>()),
        }
        .expect("a string is written to memory");
    }

    pub fn is_low(&self) -> bool {
        self.low > 0 && self.available() <= self.low as i64
    }

    /// Applies a move that was checked; by how much it moved.
    pub fn apply(&mut self, how: Move) -> i64 {
        match how {
            Move::OnHand(delta) => {
                self.on_hand = self.on_hand.saturating_add_signed(delta);
                self.received += delta;
                delta
            }
            Move::Hold(qty) => {
                self.held += qty;
                qty as i64
            }
            Move::Free(qty) => {
                self.held -= qty;
                -(qty as i64)
            }
            Move::Ship(qty) => {
                // After a count below what was held, more units leave than were counted.
                let uncounted = qty.saturating_sub(self.on_hand);
                self.received += uncounted as i64;
                self.on_hand = self.on_hand + uncounted - qty;
                self.held -= qty;
                self.sold += qty;
                -(qty as i64)
            }
            // As if they were put back, and a count took off what is there of them.
            Move::Lost(qty) => {
                let counted = qty.min(self.on_hand);
                self.on_hand -= counted;
                self.received -= counted as i64;
                self.held -= qty;
                -(qty as i64)
            }
            Move::Return(qty) => {
                self.on_hand += qty;
                self.sold -= qty;
                qty as i64
            }
            // As if they were put back, and a count took them off again.
            Move::Scrap(qty) => {
                self.sold -= qty;
                self.received -= qty as i64;
                qty as i64
            }
        }
    }

    pub fn view(&self) -> SkuView {
        SkuView {
            on_hand: self.on_hand,
            held: self.held,
            safety: self.safety,
            low: self.low,
            limit: self.limit,
            available: self.available(),
            sold: self.sold,
            waiting: self.waiting,
            backlog: Some(self.backlog).filter(|backlog| *backlog < NO_BACKLOG),
        }
    }
}

impl Keyed for Sku {
    fn id(&self) -> &[u8] {
        &self.id
    }
}

/// SKUs are never removed, so the slab never asks for a vacant one; an empty id, which no client can make, marks it.
impl Record for Sku {
    fn vacant(_: u32) -> Self {
        Sku::new(b"")
    }

    fn next_vacant(&self) -> Option<u32> {
        self.id.is_empty().then_some(NIL)
    }
}

/// What `INV.GET` shows of a SKU. Units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkuView {
    /// Units in the building.
    pub on_hand: u64,
    /// Units of live holds and open orders.
    pub held: u64,
    /// Units that are never sold.
    pub safety: u64,
    /// The low mark; 0: none.
    pub low: u64,
    /// Units one customer may have; 0: no limit.
    pub limit: u64,
    /// `on_hand - held - safety`.
    pub available: i64,
    /// Units sold, net of returns.
    pub sold: u64,
    /// Units that orders wait for.
    pub waiting: u64,
    /// The most units that may be waited for; none: any number.
    pub backlog: Option<u64>,
}
