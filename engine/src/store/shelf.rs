//! The shelf: SKUs and the sums over them.

use std::collections::BTreeMap;

use crate::base::slab::Slab;
use crate::base::table::Table;
use crate::base::units::MAX_QUANTITY;
use crate::record::sku::Sku;
use crate::terms::items::{Item, Units, UnitsList};
use crate::terms::refusal::{Refusal, checked_sum, refuse};

/// Up to this many items are compared with each other to add up a SKU that is named twice.
const FEW_ITEMS: usize = 16;

/// Sums over all SKUs, kept as they change. 128 bits: each SKU may have 2^53 - 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub on_hand: u128,
    pub held: u128,
    pub sold: u128,
    /// Of SKUs that have any available.
    pub available: u128,
    /// Units that are held but not there: of SKUs that were counted below what is held.
    pub oversold: u128,
}

/// What one SKU adds to the totals.
#[derive(Clone, Copy, Default)]
struct Share {
    on_hand: u64,
    held: u64,
    sold: u64,
    available: u64,
    oversold: u64,
}

impl Share {
    #[inline]
    fn of(sku: &Sku) -> Self {
        Share {
            on_hand: sku.on_hand,
            held: sku.held,
            sold: sku.sold,
            available: sku.available().max(0) as u64,
            oversold: sku.held.saturating_sub(sku.on_hand),
        }
    }
}

impl Totals {
    #[inline]
    fn change(&mut self, before: Share, after: Share) {
        let change = |total: &mut u128, before: u64, after: u64| {
            if before != after {
                *total = *total - u128::from(before) + u128::from(after);
            }
        };
        change(&mut self.on_hand, before.on_hand, after.on_hand);
        change(&mut self.held, before.held, after.held);
        change(&mut self.sold, before.sold, after.sold);
        change(&mut self.available, before.available, after.available);
        change(&mut self.oversold, before.oversold, after.oversold);
    }
}

/// Whether there is any of a SKU to sell, and whether it is low: what events say when it turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub out: bool,
    pub low: bool,
}

impl Level {
    pub fn of(sku: &Sku) -> Self {
        Level { out: sku.available() <= 0, low: sku.is_low() }
    }
}

/// SKUs, and the sums over them.
pub(crate) struct Shelf {
    skus: Table<Sku>,
    totals: Totals,
}

impl Shelf {
    pub fn new(seed: u64) -> Self {
        Shelf { skus: Table::new(seed), totals: Totals::default() }
    }

    /// The SKUs, for reading.
    pub fn skus(&self) -> &Slab<Sku> {
        &self.skus
    }

    #[inline]
    pub fn at(&self, slot: u32) -> &Sku {
        self.skus.at(slot)
    }

    pub fn totals(&self) -> Totals {
        self.totals
    }

    #[inline]
    pub fn find(&self, id: &[u8]) -> Option<u32> {
        self.skus.find(id)
    }

    /// The slot of a SKU that has to be known.
    pub fn slot(&self, id: &[u8]) -> Result<u32, Refusal> {
        self.find(id).ok_or_else(|| refuse(|| Refusal::NoSku(id.into())))
    }

    /// The slot of a SKU, which is made if it is new.
    pub fn find_or_add(&mut self, id: &[u8]) -> u32 {
        self.skus.find_or_insert(id, || Sku::new(id))
    }

    /// Changes a SKU: the one way in which that is done, so that the sums stay right.
    #[inline]
    pub fn change<R>(&mut self, slot: u32, change: impl FnOnce(&mut Sku) -> R) -> R {
        let sku = self.skus.at_mut(slot);
        let before = Share::of(sku);
        let result = change(sku);
        self.totals.change(before, Share::of(sku));
        debug_assert_eq!(sku.received, (sku.on_hand + sku.sold) as i64, "what came in is here or sold");
        result
    }

    /// A SKU of a store that is being loaded: the sums follow with [`Self::settle`].
    pub fn loading(&mut self, slot: u32) -> &mut Sku {
        self.skus.at_mut(slot)
    }

    /// Adds up what was loaded. False, if the units of a SKU add up to more than they can.
    pub fn settle(&mut self) -> bool {
        for slot in 0..self.skus.end() {
            let sku = self.skus.at_mut(slot);
            if sku.on_hand + sku.sold > MAX_QUANTITY || sku.held + sku.sold > MAX_QUANTITY {
                return false;
            }
            // What is set aside is a part of what those who wait still lack.
            let Some(waiting) = sku.waiting.checked_sub(sku.aside) else { return false };
            sku.waiting = waiting;
            if waiting > 0 && sku.available() > 0 {
                return false;
            }
            sku.received = (sku.on_hand + sku.sold) as i64;
            self.totals.change(Share::default(), Share::of(sku));
        }
        true
    }

    /// The items by slot, the same SKU added up, in the order they are named first.
    pub fn resolve(&self, items: &[Item<'_>]) -> Result<UnitsList, Refusal> {
        if items.len() > FEW_ITEMS {
            return self.resolve_many(items);
        }
        let mut list = UnitsList::with_capacity(items.len());
        for item in items {
            let sku = self.slot(item.sku)?;
            match list.iter_mut().find(|units| units.sku == sku) {
                None => list.push(Units { sku, qty: item.qty }),
                Some(units) => units.qty = checked_sum(units.qty, item.qty, "qty")?,
            }
        }
        Ok(list)
    }

    #[cold]
    fn resolve_many(&self, items: &[Item<'_>]) -> Result<UnitsList, Refusal> {
        let (mut list, mut seen) = (UnitsList::with_capacity(items.len()), BTreeMap::new());
        for item in items {
            let sku = self.slot(item.sku)?;
            let next = list.len();
            let at = *seen.entry(sku).or_insert(next);
            if at == next {
                list.push(Units { sku, qty: item.qty });
            } else {
                list[at].qty = checked_sum(list[at].qty, item.qty, "qty")?;
            }
        }
        Ok(list)
    }

    /// Whether every SKU has the units available.
    pub fn check_available(&self, items: &[Units]) -> Result<(), Refusal> {
        for item in items {
            let sku = self.skus.at(item.sku);
            let available = sku.available();
            if available < item.qty as i64 {
                return Err(refuse(|| Refusal::OutOfStock { sku: sku.id.clone(), wanted: item.qty, available }));
            }
        }
        Ok(())
    }

    /// Breaks a SKU on purpose: the sums do not follow.
    #[cfg(test)]
    pub fn break_sku(&mut self, slot: u32) -> &mut Sku {
        self.skus.at_mut(slot)
    }
}
