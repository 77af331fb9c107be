//! From ids to slots, and the adding and removing of records.

use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::base::units::{Item, MAX_QUANTITY, NIL, Units, UnitsList};
use crate::record::crew::{Group, Worker};
use crate::record::customer::{Change, Customer, Tallies, units_in_all, units_of};
use crate::record::hold::Hold;
use crate::record::order::Order;
use crate::record::reference::{Ref, RefCommand};
use crate::record::sku::Sku;
use crate::store::Store;
use crate::terms::refusal::Refusal;

/// Up to this many lines are compared with each other to add up a SKU that is named twice.
const FEW_LINES: usize = 16;

impl Store {
    #[inline]
    pub(crate) fn hash(&self, id: &[u8]) -> u64 {
        xxh3_64_with_seed(id, self.seed)
    }

    #[inline]
    pub(crate) fn find_sku(&self, id: &[u8]) -> Option<u32> {
        self.sku_index.find(self.hash(id), |slot| *self.skus.at(*slot).id == *id)
    }

    pub(crate) fn sku_slot(&self, id: &[u8]) -> Result<u32, Refusal> {
        self.find_sku(id).ok_or_else(|| Refusal::NoSku(id.into()))
    }

    pub(crate) fn sku_or_new(&mut self, id: &[u8]) -> u32 {
        if let Some(slot) = self.find_sku(id) {
            return slot;
        }
        let slot = self.skus.insert(Sku::new(id));
        let (seed, skus) = (self.seed, &self.skus);
        self.sku_index.insert(xxh3_64_with_seed(id, seed), slot, |s| xxh3_64_with_seed(&skus.at(s).id, seed));
        slot
    }

    #[inline]
    pub(crate) fn find_customer(&self, id: &[u8]) -> Option<u32> {
        self.customer_index.find(self.hash(id), |slot| self.customers.at(*slot).id() == id)
    }

    pub(crate) fn new_customer(&mut self, id: &[u8]) -> u32 {
        let slot = self.customers.insert(Customer::new(id));
        let (seed, customers) = (self.seed, &self.customers);
        let hash = xxh3_64_with_seed(id, seed);
        self.customer_index.insert(hash, slot, |s| xxh3_64_with_seed(customers.at(s).id(), seed));
        slot
    }

    /// Changes a customer (none where `slot` is [`NIL`]) and lets go of one that nothing needs any more.
    pub(crate) fn change_customer(&mut self, slot: u32, change: &Change<'_>) {
        if slot == NIL {
            return;
        }
        let customer = self.customers.at_mut(slot);
        let needed = Tallies { customer, many: &mut self.many, slot }.change(change);
        if !needed {
            let hash = self.hash(self.customers.at(slot).id());
            self.customer_index.remove(hash, slot);
            self.customers.remove(slot);
        }
    }

    pub(crate) fn find_group(&self, id: &[u8]) -> Option<u32> {
        self.group_index.find(self.hash(id), |slot| *self.groups.at(*slot).id == *id)
    }

    /// A group, made if it is new, that one more order names.
    pub(crate) fn name_group(&mut self, id: &[u8]) -> u32 {
        let slot = self.find_group(id).unwrap_or_else(|| {
            let slot = self.groups.insert(Group::new(id));
            let (seed, groups) = (self.seed, &self.groups);
            self.group_index.insert(xxh3_64_with_seed(id, seed), slot, |s| xxh3_64_with_seed(&groups.at(s).id, seed));
            slot
        });
        self.groups.at_mut(slot).refs += 1;
        slot
    }

    /// One order less names the group; lets go of one that none names.
    pub(crate) fn leave_group(&mut self, slot: u32) {
        let group = self.groups.at_mut(slot);
        group.refs -= 1;
        if group.refs == 0 {
            let hash = self.hash(&self.groups.at(slot).id);
            self.group_index.remove(hash, slot);
            self.groups.remove(slot);
        }
    }

    pub(crate) fn find_worker(&self, id: &[u8]) -> Option<u32> {
        self.worker_index.find(self.hash(id), |slot| *self.workers.at(*slot).id == *id)
    }

    pub(crate) fn worker_or_new(&mut self, id: &[u8]) -> u32 {
        if let Some(slot) = self.find_worker(id) {
            return slot;
        }
        let slot = self.workers.insert(Worker::new(id));
        let (seed, workers) = (self.seed, &self.workers);
        self.worker_index.insert(xxh3_64_with_seed(id, seed), slot, |s| xxh3_64_with_seed(&workers.at(s).id, seed));
        slot
    }

    /// Takes a claim off a worker; lets go of one that has nothing in hand.
    pub(crate) fn take_claim(&mut self, slot: u32, token: u64) {
        let worker = self.workers.at_mut(slot);
        worker.claims.remove(&token);
        if worker.claims.is_empty() {
            let hash = self.hash(&self.workers.at(slot).id);
            self.worker_index.remove(hash, slot);
            self.workers.remove(slot);
        }
    }

    #[inline]
    pub(crate) fn find_order(&self, id: &[u8]) -> Option<u32> {
        self.order_index.find(self.hash(id), |slot| self.orders.at(*slot).id() == id)
    }

    pub(crate) fn order_slot(&self, id: &[u8]) -> Result<u32, Refusal> {
        self.find_order(id).ok_or_else(|| Refusal::NoOrder(id.into()))
    }

    pub(crate) fn add_order(&mut self, order: Order) -> u32 {
        let slot = self.orders.insert(order);
        self.index_order(slot);
        slot
    }

    pub(crate) fn index_order(&mut self, slot: u32) {
        let (seed, orders) = (self.seed, &self.orders);
        let hash = xxh3_64_with_seed(orders.at(slot).id(), seed);
        self.order_index.insert(hash, slot, |s| xxh3_64_with_seed(orders.at(s).id(), seed));
    }

    pub(crate) fn remove_order(&mut self, slot: u32) -> Order {
        let hash = self.hash(self.orders.at(slot).id());
        self.order_index.remove(hash, slot);
        let order = self.orders.remove(slot);
        if order.extra != NIL {
            self.extras.remove(order.extra);
        }
        order
    }

    #[inline]
    pub(crate) fn find_hold(&self, id: &[u8]) -> Option<u32> {
        self.hold_index.find(self.hash(id), |slot| *self.holds.at(*slot).id == *id)
    }

    pub(crate) fn hold_slot(&self, id: &[u8]) -> Result<u32, Refusal> {
        self.find_hold(id).ok_or_else(|| Refusal::NoHold(id.into()))
    }

    pub(crate) fn add_hold(&mut self, hold: Hold) -> u32 {
        let slot = self.holds.insert(hold);
        self.index_hold(slot);
        slot
    }

    pub(crate) fn index_hold(&mut self, slot: u32) {
        let (seed, holds) = (self.seed, &self.holds);
        let hash = xxh3_64_with_seed(&holds.at(slot).id, seed);
        self.hold_index.insert(hash, slot, |s| xxh3_64_with_seed(&holds.at(s).id, seed));
    }

    pub(crate) fn remove_hold(&mut self, slot: u32) -> Hold {
        let hash = self.hash(&self.holds.at(slot).id);
        self.hold_index.remove(hash, slot);
        self.holds.remove(slot)
    }

    pub(crate) fn find_ref(&self, by: RefCommand, id: &[u8]) -> Option<&Ref> {
        let is_it = |slot: &u32| self.refs.at(*slot).by == by && *self.refs.at(*slot).id == *id;
        Some(self.refs.at(self.ref_index.find(self.hash(id), is_it)?))
    }

    pub(crate) fn add_ref(&mut self, record: Ref) -> u32 {
        let slot = self.refs.insert(record);
        let (seed, refs) = (self.seed, &self.refs);
        let hash = xxh3_64_with_seed(&refs.at(slot).id, seed);
        self.ref_index.insert(hash, slot, |s| xxh3_64_with_seed(&refs.at(s).id, seed));
        slot
    }

    pub(crate) fn remove_ref(&mut self, slot: u32) {
        let hash = self.hash(&self.refs.at(slot).id);
        self.ref_index.remove(hash, slot);
        self.refs.remove(slot);
    }

    /// The SKUs of the lines, the same SKU added up, in the order they are named first.
    pub(crate) fn resolve(&self, lines: &[Item<'_>]) -> Result<UnitsList, Refusal> {
        let mut list = UnitsList::with_capacity(if lines.len() > 4 { lines.len() } else { 0 });
        let mut seen = BTreeMap::new();
        for line in lines {
            let sku = self.sku_slot(line.sku)?;
            let at = if lines.len() <= FEW_LINES {
                list.iter().position(|units: &Units| units.sku == sku)
            } else {
                let next = list.len();
                Some(*seen.entry(sku).or_insert(next)).filter(|at| *at < next)
            };
            match at {
                None => list.push(Units { sku, qty: line.qty }),
                Some(at) => list[at].qty = checked_sum(list[at].qty, line.qty, "qty")?,
            }
        }
        Ok(list)
    }

    /// Whether every SKU has the units available.
    pub(crate) fn check_stock(&self, items: &[Units]) -> Result<(), Refusal> {
        for item in items {
            let sku = self.skus.at(item.sku);
            let available = sku.available();
            if available < item.qty as i64 {
                return Err(Refusal::OutOfStock { sku: sku.id.clone(), wanted: item.qty, available });
            }
        }
        Ok(())
    }

    /// Whether the customer, at `slot` if it is known, may have the units on top of what it has, by the store's limit
    /// and the SKUs'.
    pub(crate) fn check_limits(&self, slot: Option<u32>, customer: &[u8], items: &[Units]) -> Result<(), Refusal> {
        let mut want = 0u64;
        for item in items {
            want = checked_sum(want, item.qty, "qty")?;
            let limit = self.skus.at(item.sku).limit;
            if limit > 0 {
                let has = slot.map_or(0, |s| units_of(self.customers.at(s), self.many.get(&s), item.sku));
                if has.saturating_add(item.qty) > limit {
                    let sku = Some(self.skus.at(item.sku).id.clone());
                    return Err(Refusal::Limit { customer: customer.into(), limit, has, sku });
                }
            }
        }
        let has = slot.map_or(0, |s| units_in_all(self.customers.at(s), self.many.get(&s)));
        let limit = self.settings.limit;
        if limit > 0 && has.saturating_add(want) > limit {
            return Err(Refusal::Limit { customer: customer.into(), limit, has, sku: None });
        }
        checked_sum(has, want, "qty").map(drop)
    }
}

/// Whether two lists are the same units of the same SKUs, in whatever order. Neither names a SKU twice.
pub(crate) fn same_units(a: impl Iterator<Item = Units>, b: impl Iterator<Item = Units>) -> bool {
    let (mut a, mut b): (UnitsList, UnitsList) = (a.collect(), b.collect());
    a.sort_unstable_by_key(|units| units.sku);
    b.sort_unstable_by_key(|units| units.sku);
    a == b
}

/// A sum of quantities; past 2^53 - 1 it is refused.
pub(crate) fn checked_sum(a: u64, b: u64, name: &'static str) -> Result<u64, Refusal> {
    a.checked_add(b).filter(|sum| *sum <= MAX_QUANTITY).ok_or_else(|| {
        Refusal::argument(name, format!("must add up to at most {MAX_QUANTITY}, got {}", u128::from(a) + u128::from(b)))
    })
}
