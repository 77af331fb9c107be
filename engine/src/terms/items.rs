//! SKUs with quantities: as a client names them, and as the store keeps them.

use smallvec::SmallVec;

/// One `sku qty` pair as a client named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The SKU's id.
    pub sku: &'a [u8],
    /// Units: 1 to 2^53 - 1; 0 as well where it is a count of stock.
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

/// Whether two lists are the same units of the same SKUs, in whatever order. Neither names a SKU twice.
pub(crate) fn same_units(a: impl Iterator<Item = Units>, b: impl Iterator<Item = Units>) -> bool {
    let (mut a, mut b): (UnitsList, UnitsList) = (a.collect(), b.collect());
    a.sort_unstable_by_key(|units| units.sku);
    b.sort_unstable_by_key(|units| units.sku);
    a == b
}
