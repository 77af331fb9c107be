//! What a customer has: units by SKU, for the limits. Packed, because a flash sale has a customer for every order.

use smallvec::SmallVec;
use std::collections::BTreeMap;

use crate::base::packed::{put, put_bytes, take, take_bytes, take_u32};
use crate::base::slab::Record;
use crate::base::table::Keyed;
use crate::terms::items::Units;

/// Units of one SKU that a customer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CustomerUnits {
    /// In live holds, open orders and completed orders, net of returns, forgotten ones included.
    pub units: u64,
    /// The part of `units` whose orders and holds are forgotten.
    pub past: u64,
}

/// More SKUs than this are kept in a tree instead.
pub(crate) const FEW: usize = 12;

/// A customer, packed: the id, the number of holds and orders that name it, then `sku units past` for each SKU.
/// With a 16-byte id and one SKU it needs no memory but its slot.
pub(crate) struct Customer {
    packed: SmallVec<[u8; 24]>,
}

/// Half a cache line: a flash sale has as many customers as orders.
const _: () = assert!(size_of::<Customer>() == 32);

/// A customer with more than [`FEW`] SKUs.
pub(crate) type Many = BTreeMap<u32, CustomerUnits>;

pub(crate) type FewList = SmallVec<[(u32, CustomerUnits); FEW]>;

/// A customer unpacked.
pub(crate) struct Unpacked<'a> {
    pub id: &'a [u8],
    pub refs: u64,
    few: &'a [u8],
}

impl Customer {
    /// A customer that this many holds and orders name, with its units of few SKUs.
    pub fn new(id: &[u8], refs: u64, few: impl Iterator<Item = (u32, CustomerUnits)>) -> Self {
        let mut packed = SmallVec::new();
        put_bytes(&mut packed, id);
        put(&mut packed, refs);
        for (sku, units) in few {
            put(&mut packed, u64::from(sku));
            put(&mut packed, units.units);
            put(&mut packed, units.past);
        }
        Customer { packed }
    }

    pub fn open(&self) -> Unpacked<'_> {
        let mut rest = &self.packed[..];
        let id = take_bytes(&mut rest).unwrap_or_default();
        let refs = take(&mut rest).unwrap_or_default();
        Unpacked { id, refs, few: rest }
    }

    /// Sets the number of holds and orders that name the customer, and its units of few SKUs.
    pub fn write(&mut self, refs: u64, few: &[(u32, CustomerUnits)]) {
        *self = Customer::new(self.id(), refs, few.iter().copied());
    }
}

impl Unpacked<'_> {
    pub fn few(&self) -> FewList {
        let mut rest = self.few;
        let mut list = FewList::new();
        while let (Some(sku), Some(units), Some(past)) = (take_u32(&mut rest), take(&mut rest), take(&mut rest)) {
            list.push((sku, CustomerUnits { units, past }));
        }
        list
    }
}

impl Record for Customer {
    fn vacant(next: u32) -> Self {
        Customer::new(b"", u64::from(next), std::iter::empty())
    }

    fn next_vacant(&self) -> Option<u32> {
        let open = self.open();
        // No client can make a customer of an empty id.
        open.id.is_empty().then_some(open.refs as u32)
    }
}

impl Keyed for Customer {
    #[inline]
    fn id(&self) -> &[u8] {
        take_bytes(&mut &self.packed[..]).unwrap_or_default()
    }
}

/// Units of one SKU that a customer has more, or less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnitChange {
    pub sku: u32,
    pub units: i64,
    /// The part of them whose orders and holds are forgotten.
    pub past: i64,
}

/// The changes of one call, one a SKU.
pub(crate) type UnitChanges = SmallVec<[UnitChange; 4]>;

impl UnitChange {
    /// Units that count from now on.
    pub fn more(units: Units) -> Self {
        UnitChange { sku: units.sku, units: units.qty as i64, past: 0 }
    }

    /// Units that do not count any more.
    pub fn less(units: Units) -> Self {
        UnitChange { sku: units.sku, units: -(units.qty as i64), past: 0 }
    }

    /// Units that still count, and whose order or hold is forgotten now.
    pub fn forgotten(units: Units) -> Self {
        UnitChange { sku: units.sku, units: 0, past: units.qty as i64 }
    }
}

impl CustomerUnits {
    /// After a change whose sums were checked before.
    pub fn plus(self, change: &UnitChange) -> CustomerUnits {
        CustomerUnits {
            units: self.units.saturating_add_signed(change.units),
            past: self.past.saturating_add_signed(change.past),
        }
    }
}
