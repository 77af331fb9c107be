//! A store as bytes, in pieces of bounded size: what an RDB file, a DUMP payload and a rewritten log carry.
//!
//! A piece is a section's tag and whole records. The last piece carries the number of pieces and an XXH3-64 checksum of
//! all of them. Sums (held, sold, units of customers, totals, queues) are not in it: they are made again from the holds
//! and orders, so that a loaded store's books balance. A payload can come from anyone (RESTORE): every number, id and
//! reference is checked, and no memory is reserved because a count says so.

pub(crate) mod flat;
pub mod load;
pub(crate) mod save;

/// The version of the format, in the first piece. A loader reads its own version and all before it. Since 2, a REF
/// names its command, a return whether it was scrap, an order the sum of returns that it no longer remembers one by
/// one, and a store whether it came second to the streams of its key. Since 3, a store has alerts, counts gates and
/// waits that expired, and a hold says when it started; an order has gates and a lane, says what it was before its
/// items changed, and which split made it.
const VERSION: u64 = 3;

/// A piece is passed on once it is this long; only a record longer than that makes a longer piece.
const PIECE_BYTES: usize = 64 * 1024;

/// What a piece holds, in the order the sections come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Section {
    Head = 1,
    Skus = 2,
    Customers = 3,
    Holds = 4,
    Orders = 5,
    Refs = 6,
    Sources = 7,
    End = 8,
}

impl Section {
    fn by_tag(tag: u8) -> Option<Section> {
        use Section::{Customers, End, Head, Holds, Orders, Refs, Skus, Sources};
        [Head, Skus, Customers, Holds, Orders, Refs, Sources, End].into_iter().find(|s| *s as u8 == tag)
    }
}
