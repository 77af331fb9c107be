//! Times, quantities and limits.

/// A point in time, Unix milliseconds, or a duration in milliseconds where the name says so.
pub type Ms = u64;

/// The largest quantity, sum of quantities, time and duration: 2^53 - 1, the largest integer that every client
/// language (JavaScript, Lua, JSON) holds exactly.
pub const MAX_QUANTITY: u64 = (1 << 53) - 1;

const _: () = assert!(MAX_QUANTITY < i64::MAX as u64 / 4, "sums of quantities must fit a signed integer");

/// The longest id (store key, SKU, hold, order, customer, group, worker, source, REF), in bytes.
pub const MAX_ID_BYTES: usize = 512;

/// The most `sku qty` pairs one command may carry. It bounds the time one command can take: 2,000 SKUs of 512 bytes,
/// the worst case, take about as long as a slice of due work may.
pub const MAX_ITEMS: usize = 2_000;

/// The longest `DATA`, `RESULT` or `REASON`, in bytes: 1 MiB.
pub const MAX_DATA_BYTES: usize = 1 << 20;

/// Bytes kept by value: an id, a reason.
pub(crate) type Bytes = Box<[u8]>;

/// A slot that no slab gives out: the end of a list, or "none".
pub(crate) const NIL: u32 = u32::MAX;
