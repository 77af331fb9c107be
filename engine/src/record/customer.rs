//! What a customer has: units by SKU, for the limits. Packed, because a flash sale has a customer for every order.

use smallvec::SmallVec;
use std::collections::BTreeMap;

use crate::base::packed::{put, put_bytes, take, take_bytes, take_u32};
use crate::base::slab::Record;

/// Units of one SKU that a customer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// In live holds, open orders and completed orders, net of returns, forgotten ones included.
    pub units: u64,
    /// The part of `units` whose orders and holds are forgotten.
    pub past: u64,
}

/// More SKUs than this are kept in a tree instead.
const FEW: usize = 12;

/// A customer, packed: the id, the number of holds and orders that name it, then `sku units past` for each SKU.
/// With a 16-byte id and one SKU it needs no memory but its slot.
pub(crate) struct Customer {
    packed: SmallVec<[u8; 24]>,
}

/// Half a cache line: a flash sale has as many customers as orders.
const _: () = assert!(size_of::<Customer>() == 32);

/// A customer with more than [`FEW`] SKUs.
pub(crate) type Many = BTreeMap<u32, Tally>;

type FewList = SmallVec<[(u32, Tally); FEW]>;

/// A customer unpacked.
pub(crate) struct Unpacked<'a> {
    pub id: &'a [u8],
    pub refs: u64,
    few: &'a [u8],
}

impl Customer {
    pub fn new(id: &[u8]) -> Self {
        let mut packed = SmallVec::new();
        put_bytes(&mut packed, id);
        put(&mut packed, 0);
        Customer { packed }
    }

    pub fn open(&self) -> Unpacked<'_> {
        let mut rest = &self.packed[..];
        let id = take_bytes(&mut rest).unwrap_or_default();
        let refs = take(&mut rest).unwrap_or_default();
        Unpacked { id, refs, few: rest }
    }

    #[inline]
    pub fn id(&self) -> &[u8] {
        take_bytes(&mut &self.packed[..]).unwrap_or_default()
    }

    /// Sets the number of holds and orders that name the customer, and its few tallies.
    fn write(&mut self, refs: u64, few: &[(u32, Tally)]) {
        let mut packed = SmallVec::new();
        put_bytes(&mut packed, self.id());
        put(&mut packed, refs);
        for (sku, tally) in few {
            put(&mut packed, u64::from(*sku));
            put(&mut packed, tally.units);
            put(&mut packed, tally.past);
        }
        self.packed = packed;
    }
}

impl Unpacked<'_> {
    fn few(&self) -> FewList {
        let mut rest = self.few;
        let mut list = FewList::new();
        while let (Some(sku), Some(units), Some(past)) = (take_u32(&mut rest), take(&mut rest), take(&mut rest)) {
            list.push((sku, Tally { units, past }));
        }
        list
    }
}

impl Record for Customer {
    fn vacant(next: u32) -> Self {
        let mut packed = SmallVec::new();
        put_bytes(&mut packed, b"");
        put(&mut packed, u64::from(next));
        Customer { packed }
    }

    fn next_vacant(&self) -> Option<u32> {
        let open = self.open();
        // No client can make a customer of an empty id.
        open.id.is_empty().then_some(open.refs as u32)
    }
}

/// One change to a customer: a hold or order more or less that names it, and units more or less of some SKUs.
pub(crate) struct Change<'a> {
    pub refs: i64,
    pub units: &'a [(u32, i64, i64)],
}

/// The tallies of a customer, wherever they are kept.
pub(crate) struct Tallies<'a> {
    pub customer: &'a mut Customer,
    pub many: &'a mut BTreeMap<u32, Many>,
    pub slot: u32,
}

impl Tallies<'_> {
    /// Applies a change; the sums were checked before. Returns whether anything still needs the record.
    pub fn change(self, change: &Change<'_>) -> bool {
        let open = self.customer.open();
        let refs = open.refs.saturating_add_signed(change.refs);
        if change.units.len() > FEW && !self.many.contains_key(&self.slot) {
            // A long list against a packed one would take the square of its length.
            self.many.insert(self.slot, open.few().into_iter().collect());
        }
        if let Some(many) = self.many.get_mut(&self.slot) {
            for (sku, units, past) in change.units {
                let tally = many.entry(*sku).or_default();
                *tally = tally.plus(*units, *past);
                if tally.units == 0 {
                    many.remove(sku);
                }
            }
            let empty = many.is_empty();
            if empty {
                self.many.remove(&self.slot);
            }
            self.customer.write(refs, &[]);
            return refs > 0 || !empty;
        }
        let mut few = open.few();
        for (sku, units, past) in change.units {
            match few.iter_mut().find(|(s, _)| s == sku) {
                Some((_, tally)) => *tally = tally.plus(*units, *past),
                None => few.push((*sku, Tally::default().plus(*units, *past))),
            }
        }
        few.retain(|(_, tally)| tally.units > 0);
        let needed = refs > 0 || !few.is_empty();
        if few.len() > FEW {
            self.many.insert(self.slot, few.into_iter().collect());
            self.customer.write(refs, &[]);
        } else {
            self.customer.write(refs, &few);
        }
        needed
    }
}

impl Tally {
    fn plus(self, units: i64, past: i64) -> Tally {
        Tally { units: self.units.saturating_add_signed(units), past: self.past.saturating_add_signed(past) }
    }
}

/// Every SKU a customer has units of, in no order.
pub(crate) fn tallies(customer: &Customer, many: Option<&Many>) -> Vec<(u32, Tally)> {
    match many {
        Some(many) => many.iter().map(|(sku, tally)| (*sku, *tally)).collect(),
        None => customer.open().few().into_vec(),
    }
}

/// Units a customer has of one SKU.
pub(crate) fn units_of(customer: &Customer, many: Option<&Many>, sku: u32) -> u64 {
    match many {
        Some(many) => many.get(&sku).map_or(0, |tally| tally.units),
        None => customer.open().few().iter().find(|(s, _)| *s == sku).map_or(0, |(_, tally)| tally.units),
    }
}

/// Units a customer has of one SKU whose orders and holds are forgotten.
pub(crate) fn past_of(customer: &Customer, many: Option<&Many>, sku: u32) -> u64 {
    match many {
        Some(many) => many.get(&sku).map_or(0, |tally| tally.past),
        None => customer.open().few().iter().find(|(s, _)| *s == sku).map_or(0, |(_, tally)| tally.past),
    }
}

/// Units a customer has of all SKUs together.
pub(crate) fn units_in_all(customer: &Customer, many: Option<&Many>) -> u64 {
    match many {
        Some(many) => many.values().map(|tally| tally.units).sum(),
        None => customer.open().few().iter().map(|(_, tally)| tally.units).sum(),
    }
}
