//! The customers: who has a hold, an order or units that count towards a limit.

use std::collections::BTreeMap;

use crate::base::slab::Slab;
use crate::base::table::{Key, Keyed, Table};
use crate::base::units::{MAX_QUANTITY, NIL};
use crate::record::customer::{Customer, CustomerUnits, FEW, Many, UnitChange};

/// Customers, and the units of those that have many SKUs.
pub(crate) struct Customers {
    table: Table<Customer>,
    many: BTreeMap<u32, Many>,
}

/// A customer as a call names it.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a> {
    key: Key<'a>,
    /// Its slot, if it is known.
    pub slot: Option<u32>,
}

impl<'a> Named<'a> {
    /// Its id.
    pub fn id(&self) -> &'a [u8] {
        self.key.id
    }
}

impl Customers {
    pub fn new(seed: u64) -> Self {
        Customers { table: Table::new(seed), many: BTreeMap::new() }
    }

    /// The customers, for reading.
    pub fn records(&self) -> &Slab<Customer> {
        &self.table
    }

    /// The same, for [`crate::books::defrag`].
    pub fn records_mut(&mut self) -> &mut Slab<Customer> {
        self.table.records_mut()
    }

    #[inline]
    pub fn find(&self, id: &[u8]) -> Option<u32> {
        self.table.find(id)
    }

    /// The id of a customer; empty where `slot` is [`NIL`].
    #[inline]
    pub fn id(&self, slot: u32) -> &[u8] {
        if slot == NIL { b"" } else { self.table.at(slot).id() }
    }

    /// The key of a customer's id, and its slot if it is known: for [`Self::join`].
    #[inline]
    pub fn look_up<'a>(&self, id: &'a [u8]) -> Named<'a> {
        let key = self.table.key(id);
        Named { key, slot: self.table.find_key(&key) }
    }

    /// One hold or order more names a customer, which is made if it is new, and gives it units; its slot.
    #[inline]
    pub fn join(&mut self, customer: &Named<'_>, changes: &[UnitChange]) -> u32 {
        match customer.slot {
            None if changes.len() <= FEW => {
                let few = changes.iter().map(|change| (change.sku, CustomerUnits::default().plus(change)));
                self.table.insert_with(&customer.key, Customer::new(customer.key.id, 1, few))
            }
            known => {
                let slot = known.unwrap_or_else(|| self.add(customer.key.id));
                self.change(slot, 1, changes);
                slot
            }
        }
    }

    /// Adds a customer that is not there yet. It stays once a change says that something needs it.
    pub fn add(&mut self, id: &[u8]) -> u32 {
        self.table.insert(Customer::new(id, 0, std::iter::empty()))
    }

    /// Units a customer has of one SKU.
    pub fn units_of(&self, slot: u32, sku: u32) -> CustomerUnits {
        match self.many.get(&slot) {
            Some(many) => many.get(&sku).copied().unwrap_or_default(),
            None => {
                let open = self.table.at(slot).open();
                open.units().find(|(known, _)| *known == sku).map_or(CustomerUnits::default(), |(_, units)| units)
            }
        }
    }

    /// Every SKU a customer has units of, in no order.
    pub fn units(&self, slot: u32) -> Vec<(u32, CustomerUnits)> {
        match self.many.get(&slot) {
            Some(many) => many.iter().map(|(sku, units)| (*sku, *units)).collect(),
            None => self.table.at(slot).open().units().collect(),
        }
    }

    /// Units a customer has of all SKUs together.
    pub fn total(&self, slot: u32) -> u64 {
        match self.many.get(&slot) {
            Some(many) => many.values().map(|units| units.units).sum(),
            None => self.table.at(slot).open().units().map(|(_, units)| units.units).sum(),
        }
    }

    /// Changes a customer (none where `slot` is [`NIL`]): `refs` holds and orders more that name it, and units of some
    /// SKUs. The sums were checked before. Removes a customer that nothing needs any more.
    pub fn change(&mut self, slot: u32, refs: i64, changes: &[UnitChange]) {
        if slot == NIL {
            return;
        }
        let has_many = self.many.contains_key(&slot) || changes.len() > FEW;
        let few = if has_many { None } else { self.table.at_mut(slot).change(refs, changes) };
        if !few.unwrap_or_else(|| self.change_many(slot, refs, changes)) {
            self.table.remove(slot);
        }
    }

    /// Changes units that are kept in a tree, or have to be: a long list against a packed one would take the square of
    /// its length. Whether the customer still needs a record.
    #[cold]
    fn change_many(&mut self, slot: u32, refs: i64, changes: &[UnitChange]) -> bool {
        let customer = self.table.at_mut(slot);
        let many = self.many.entry(slot).or_insert_with(|| customer.open().units().collect());
        for change in changes {
            let units = many.entry(change.sku).or_default();
            *units = units.plus(change);
            if units.units == 0 {
                many.remove(&change.sku);
            }
        }
        let has_units = !many.is_empty();
        if !has_units {
            self.many.remove(&slot);
        }
        customer.change_refs(refs) > 0 || has_units
    }

    /// Adds a customer of a store that is being loaded; its slot. [`Self::index_loaded`] follows.
    pub fn load(&mut self, id: &[u8]) -> u32 {
        self.table.load(Customer::new(id, 0, std::iter::empty()))
    }

    /// Makes loaded customers known by their ids; false if there is one twice.
    pub fn index_loaded(&mut self) -> bool {
        self.table.index_loaded(|_, _| true)
    }

    /// Whether a customer's units add up to what they can be, and something needs it.
    pub fn is_sound(&self, slot: u32) -> bool {
        let open = self.table.at(slot).open();
        let total = match self.many.get(&slot) {
            Some(many) => checked_total(many.values().copied()),
            None => checked_total(open.units().map(|(_, units)| units)),
        };
        total.is_some_and(|total| total > 0 || open.refs > 0)
    }

    /// Breaks the customers on purpose: one is gone whatever names it.
    #[cfg(test)]
    pub fn lose(&mut self, slot: u32) {
        self.table.remove(slot);
    }
}

/// The sum of units; `None` if it is more than it can be.
fn checked_total(mut units: impl Iterator<Item = CustomerUnits>) -> Option<u64> {
    let plus = |total: u64, units: u64| total.checked_add(units).filter(|total| *total <= MAX_QUANTITY);
    units.try_fold(0, |total, units| plus(total, units.units))
}
