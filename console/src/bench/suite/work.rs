//! Orders of a workload by their numbers, the same for every contender.

use super::terms::Workload;
use crate::bench::workload::{LIMIT, ON_HAND, customer_id, order_id, sku_id};

/// SKUs of a usual store.
const SKUS: u64 = 100;
const MANY_SKUS: u64 = 10_000;
const CART_ITEMS: u64 = 10;
/// Duplicates are of this many orders.
const KNOWN_ORDERS: u64 = 1_000;

/// What is ordered, and how much there is.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub workload: Workload,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: String,
    pub customer: String,
    /// SKUs and quantities, in the order of the SKUs: who locks row by row locks in one order.
    pub items: Vec<(String, u64)>,
}

/// What becomes of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Placed,
    Refused,
}

impl Work {
    pub fn sku_ids(self) -> impl Iterator<Item = String> {
        (0..self.skus()).map(sku_id)
    }

    pub fn skus(self) -> u64 {
        match self.workload {
            Workload::Hot | Workload::SoldOut => 1,
            Workload::Skus => MANY_SKUS,
            _ => SKUS,
        }
    }

    /// Units of each SKU: more than any measurement sells, or none.
    pub fn on_hand(self) -> u64 {
        if self.workload == Workload::SoldOut { 0 } else { ON_HAND }
    }

    /// Units a customer may have. Every order has a customer of its own: it is checked and never refused.
    pub fn limit(self) -> u64 {
        LIMIT * self.items_an_order()
    }

    pub fn items_an_order(self) -> u64 {
        if self.workload == Workload::Cart { CART_ITEMS } else { 1 }
    }

    pub fn expected(self) -> Expected {
        if self.workload == Workload::SoldOut { Expected::Refused } else { Expected::Placed }
    }

    /// How many orders must be there before the measurement begins.
    pub fn known_orders(self) -> u64 {
        if self.workload == Workload::Duplicates { KNOWN_ORDERS } else { 0 }
    }

    /// How many orders wait after this many numbers were used.
    pub fn waiting_after(self, numbers: u64) -> u64 {
        match self.workload {
            Workload::SoldOut | Workload::Life => 0,
            Workload::Duplicates => numbers.min(KNOWN_ORDERS),
            _ => numbers,
        }
    }

    pub fn order(self, n: u64) -> Order {
        let n = if self.workload == Workload::Duplicates { n % KNOWN_ORDERS } else { n };
        let each = self.items_an_order();
        let mut items: Vec<_> = (0..each).map(|item| (sku_id((n * each + item) % self.skus()), 1)).collect();
        items.sort();
        Order { id: order_id(n), customer: customer_id(n), items }
    }
}

impl Order {
    /// The items as an entry of `…:orders` holds them.
    pub fn items_json(&self) -> String {
        let items: Vec<String> = self.items.iter().map(|(sku, quantity)| format!("[\"{sku}\",{quantity}]")).collect();
        format!("[{}]", items.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cart_has_ten_different_skus_in_order() {
        let order = Work { workload: Workload::Cart }.order(7);
        assert_eq!(order.items.len(), 10);
        assert!(order.items.is_sorted_by(|one, next| one.0 < next.0));
        assert!(order.items_json().starts_with("[[\"") && order.items_json().ends_with("\",1]]"));
    }

    #[test]
    fn duplicates_come_back() {
        let work = Work { workload: Workload::Duplicates };
        assert_eq!(work.order(3), work.order(3 + KNOWN_ORDERS));
        assert_eq!(work.waiting_after(5_000), KNOWN_ORDERS);
    }
}
