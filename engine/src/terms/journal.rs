//! One movement of stock, as `…:journal` shows it.

use crate::terms::streams::EntryId;

/// What moved the stock of one SKU, and where that left it.
///
/// `delta` is, by kind: `set`, `adjust`, `sync`, `return` units more (or less) on_hand; `reserve`, `place` units more
/// held; `scrap` units that came back and were written off (neither held nor on_hand moves); `release`, `expire`,
/// `cancel` units less held (negative); `waitlist` units that came free and are held for those who wait (negative:
/// units of which nobody waits any more); `commit`, `complete` units less held and on_hand (negative); `edit` units
/// more or less held; `lost` units that an edit wrote off, less held and on_hand (negative).
#[derive(Clone, Debug, PartialEq)]
pub struct Movement {
    /// Its id in the stream.
    pub id: EntryId,
    pub kind: &'static str,
    /// The SKU's id.
    pub sku: Box<[u8]>,
    pub delta: i64,
    /// on_hand after it.
    pub on_hand: u64,
    /// held after it.
    pub held: u64,
    /// The hold, order, REF or source that moved it.
    pub reference: Box<[u8]>,
    pub reason: Box<[u8]>,
}

/// Why stock moves: what a journal entry says next to the numbers.
#[derive(Clone, Copy)]
pub(crate) struct Why<'a> {
    pub kind: &'static str,
    pub reference: &'a [u8],
    pub reason: &'a [u8],
}

impl<'a> Why<'a> {
    pub fn new(kind: &'static str, reference: &'a [u8]) -> Self {
        Why { kind, reference, reason: b"" }
    }
}

/// What happens to the stock of one SKU.
#[derive(Clone, Copy)]
pub(crate) enum Move {
    /// on_hand becomes more or less.
    OnHand(i64),
    /// Units are set aside.
    Hold(u64),
    /// Units are no longer set aside.
    Free(u64),
    /// Units that were set aside leave.
    Ship(u64),
    /// Units that were set aside are written off.
    Lost(u64),
    /// Units that were sold come back.
    Return(u64),
    /// Units that were sold come back and are written off.
    Scrap(u64),
}
