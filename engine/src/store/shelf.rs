//! The shelf: SKUs and the sums over them.

use std::collections::BTreeMap;

use crate::base::slab::Slab;
use crate::base::table::Table;
use crate::base::units::MAX_QUANTITY;
use crate::record::sku::Sku;
use crate::terms::items::{Item, Units, UnitsList};
use crate::terms::refusal::{Refusal, checked_sum};

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

impl Totals {
    fn subtract(&mut self, sku: &Sku) {
        self.on_hand -= u128::from(sku.on_hand);
        self.held -= u128::from(sku.held);
        self.sold -= u128::from(sku.sold);
        self.available -= u128::from(sku.available().max(0) as u64);
        self.oversold -= u128::from(sku.held.saturating_sub(sku.on_hand));
    }

    fn add(&mut self, sku: &Sku) {
        self.on_hand += u128::from(sku.on_hand);
        self.held += u128::from(sku.held);
        self.sold += u128::from(sku.sold);
        self.available += u128::from(sku.available().max(0) as u64);
        self.oversold += u128::from(sku.held.saturating_sub(sku.on_hand));
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
        self.find(id).ok_or_else(|| Refusal::NoSku(id.into()))
    }

    /// The slot of a SKU, which is made if it is new.
    pub fn find_or_add(&mut self, id: &[u8]) -> u32 {
        self.skus.find_or_insert(id, || Sku::new(id))
    }

    /// Changes a SKU: the one way in which that is done, so that the sums stay right.
    #[inline]
    pub fn change<R>(&mut self, slot: u32, change: impl FnOnce(&mut Sku) -> R) -> R {
        let sku = self.skus.at_mut(slot);
        self.totals.subtract(sku);
        let result = change(sku);
        self.totals.add(sku);
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
            sku.received = (sku.on_hand + sku.sold) as i64;
            self.totals.add(sku);
        }
        true
    }

    /// The items by slot, the same SKU added up, in the order they are named first.
    pub fn resolve(&self, items: &[Item<'_>]) -> Result<UnitsList, Refusal> {
        let mut list = UnitsList::with_capacity(if items.len() > 4 { items.len() } else { 0 });
        let mut seen = BTreeMap::new();
        for item in items {
            let sku = self.slot(item.sku)?;
            let at = if items.len() <= FEW_ITEMS {
                list.iter().position(|units: &Units| units.sku == sku)
            } else {
                let next = list.len();
                Some(*seen.entry(sku).or_insert(next)).filter(|at| *at < next)
            };
            match at {
                None => list.push(Units { sku, qty: item.qty }),
                Some(at) => list[at].qty = checked_sum(list[at].qty, item.qty, "qty")?,
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
                return Err(Refusal::OutOfStock { sku: sku.id.clone(), wanted: item.qty, available });
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
