//! What a customer has: units by SKU, for the limits. Packed, because a flash sale has a customer for every order.

use smallvec::SmallVec;
use std::collections::BTreeMap;

use crate::base::defrag::{Defrag, Move};
use crate::base::packed::{put, put_all, put_bytes, take, take_bytes, take_u32};
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

/// What a customer has, unpacked.
pub(crate) struct Unpacked<'a> {
    pub refs: u64,
    few: &'a [u8],
}

impl Defrag for Customer {
    fn defrag(&mut self, put: &mut Move<'_>) {
        self.packed.defrag(put);
    }
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
        let _ = take_bytes(&mut rest);
        let refs = take(&mut rest).unwrap_or_default();
        Unpacked { refs, few: rest }
    }

    /// Changes the number of holds and orders that name the customer, and its units. Whether it still needs a record;
    /// `None`, with all as it was, if it has more SKUs then than can be packed.
    pub fn change(&mut self, refs: i64, changes: &[UnitChange]) -> Option<bool> {
        let open = self.open();
        let refs = open.refs.saturating_add_signed(refs);
        let (mut tail, mut count) = (Tail::new(), 0);
        put(&mut tail, refs);
        let mut keep = |sku, units: CustomerUnits| {
            if units.units > 0 {
                put_all(&mut tail, [u64::from(sku), units.units, units.past]);
                count += 1;
            }
        };
        for (sku, units) in open.units() {
            keep(sku, changed(sku, units, changes));
        }
        for (i, change) in changes.iter().enumerate() {
            let is_done = named(change.sku, &changes[..i]) || open.units().any(|(sku, _)| sku == change.sku);
            if !is_done {
                keep(change.sku, changed(change.sku, CustomerUnits::default(), &changes[i..]));
            }
        }
        (count <= FEW).then(|| {
            self.write(&tail);
            refs > 0 || count > 0
        })
    }

    /// Changes the number of holds and orders that name the customer, whose units are kept elsewhere; the number then.
    pub fn change_refs(&mut self, refs: i64) -> u64 {
        let refs = self.open().refs.saturating_add_signed(refs);
        let mut tail = Tail::new();
        put(&mut tail, refs);
        self.write(&tail);
        refs
    }

    /// Writes what comes after the id.
    fn write(&mut self, tail: &[u8]) {
        let mut rest = &self.packed[..];
        let _ = take_bytes(&mut rest);
        let id_end = self.packed.len() - rest.len();
        self.packed.truncate(id_end);
        self.packed.extend_from_slice(tail);
        if self.packed.spilled() {
            self.packed.shrink_to_fit();
        }
    }
}

/// What is behind an id; few customers have more.
type Tail = SmallVec<[u8; 32]>;

/// Units of a SKU after the changes that name it.
fn changed(sku: u32, units: CustomerUnits, changes: &[UnitChange]) -> CustomerUnits {
    changes.iter().filter(|change| change.sku == sku).fold(units, CustomerUnits::plus)
}

fn named(sku: u32, changes: &[UnitChange]) -> bool {
    changes.iter().any(|change| change.sku == sku)
}

impl Unpacked<'_> {
    /// The units of each SKU.
    pub fn units(&self) -> impl Iterator<Item = (u32, CustomerUnits)> + '_ {
        let mut rest = self.few;
        std::iter::from_fn(move || {
            let (sku, units, past) = (take_u32(&mut rest)?, take(&mut rest)?, take(&mut rest)?);
            Some((sku, CustomerUnits { units, past }))
        })
    }
}

impl Record for Customer {
    fn vacant(next: u32) -> Self {
        Customer::new(b"", u64::from(next), std::iter::empty())
    }

    fn next_vacant(&self) -> Option<u32> {
        // No client can make a customer of an empty id.
        let is_vacant = self.packed.first() == Some(&0);
        is_vacant.then(|| self.open().refs as u32)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::MAX_QUANTITY;

    fn units(customer: &Customer) -> Vec<(u32, CustomerUnits)> {
        customer.open().units().collect()
    }

    #[test]
    fn units_add_up_by_sku_and_go_with_the_last_one() {
        let mut customer = Customer::new(b"customer-0000001", 0, std::iter::empty());
        let (three, one) = (Units { sku: 700, qty: 3 }, Units { sku: 700, qty: 1 });
        let other = UnitChange::more(Units { sku: 2, qty: MAX_QUANTITY });
        assert_eq!(customer.change(1, &[UnitChange::more(three), other, UnitChange::more(one)]), Some(true));
        assert_eq!(customer.change(0, &[UnitChange::forgotten(one)]), Some(true));
        let all = [(700, CustomerUnits { units: 4, past: 1 }), (2, CustomerUnits { units: MAX_QUANTITY, past: 0 })];
        assert_eq!((units(&customer), customer.open().refs), (all.to_vec(), 1));
        let back = UnitChange { past: -1, ..UnitChange::less(Units { sku: 700, qty: 4 }) };
        assert_eq!(customer.change(-1, &[back]), Some(true));
        assert_eq!(customer.change(0, &[UnitChange::less(Units { sku: 2, qty: MAX_QUANTITY })]), Some(false));
        assert_eq!((units(&customer), customer.id()), (Vec::new(), &b"customer-0000001"[..]));
        assert!(!customer.packed.spilled(), "it is as small as before");
    }

    #[test]
    fn more_skus_than_few_change_nothing() {
        let mut customer = Customer::new(b"c", 0, std::iter::empty());
        for sku in 0..FEW as u32 {
            assert_eq!(customer.change(1, &[UnitChange::more(Units { sku, qty: 1 })]), Some(true));
        }
        let before = units(&customer);
        assert_eq!(customer.change(1, &[UnitChange::more(Units { sku: 99, qty: 1 })]), None);
        assert_eq!((units(&customer), customer.open().refs), (before, FEW as u64));
        assert_eq!(customer.change_refs(-1), FEW as u64 - 1);
        assert_eq!(units(&customer), Vec::new());
    }
}
