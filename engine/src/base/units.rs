//! Words every part of the engine uses: times, quantities, limits.

use smallvec::SmallVec;

/// A point in time, Unix milliseconds, or a duration in milliseconds where the name says so.
pub type Ms = u64;

/// The largest quantity, sum of quantities, time and duration: 2^53 - 1, the largest integer that every client
/// language (JavaScript, Lua, JSON) holds exactly.
pub const MAX_QUANTITY: u64 = (1 << 53) - 1;

/// The longest id (store key, SKU, hold, order, customer, group, worker, source, REF), in bytes.
pub const MAX_ID_BYTES: usize = 512;

/// The most `sku qty` pairs one command may carry. It bounds the time one command can take: 2,000 SKUs of 512 bytes, the
/// worst there is, take about as long as a slice of due work may.
pub const MAX_ITEMS: usize = 2_000;

/// The longest `DATA`, `RESULT` or `REASON`, in bytes: 1 MiB.
pub const MAX_DATA_BYTES: usize = 1 << 20;

/// One `sku qty` pair as a client named it. In [`crate::SetStock`] style calls the quantity may be 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The SKU's id.
    pub sku: &'a [u8],
    /// Units.
    pub qty: u64,
}

/// Units of one SKU, by the SKU's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Units {
    pub sku: u32,
    pub qty: u64,
}

/// What a cart usually holds fits without an allocation.
pub(crate) type UnitsList = SmallVec<[Units; 4]>;

/// An id kept by value.
pub(crate) type Bytes = Box<[u8]>;

/// A place that no slab hands out: the end of a list, or "none".
pub(crate) const NIL: u32 = u32::MAX;
