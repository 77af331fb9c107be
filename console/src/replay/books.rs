//! The replay's own books: what was received, sold and taken back, from the file and the server's yes or no alone.

use std::collections::{BTreeMap, HashMap};

/// Units of a SKU, by the replay's own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Movement {
    pub received: i64,
    pub sold: i64,
    pub returned: i64,
}

impl Movement {
    /// What must be in the shop now.
    pub fn on_hand(&self) -> i64 {
        self.received - self.sold + self.returned
    }
}

/// What an order can still give back of one SKU.
#[derive(Debug)]
struct Bought {
    order: usize,
    left: i64,
}

#[derive(Debug)]
pub struct Books {
    pub movements: Vec<Movement>,
    /// By customer and SKU, oldest purchase first.
    bought: HashMap<(String, usize), Vec<Bought>>,
}

/// Units that are returned, as (SKU, units) by order.
pub type ByOrder = BTreeMap<usize, Vec<(usize, i64)>>;

impl Books {
    /// Empty books for this number of SKUs.
    pub fn new(skus: usize) -> Books {
        Books { movements: vec![Movement::default(); skus], bought: HashMap::new() }
    }

    pub fn receive(&mut self, sku: usize, units: i64) {
        self.movements[sku].received += units;
    }

    /// Enters an order that was placed and completed.
    pub fn sell(&mut self, order: usize, customer: &str, items: &[(usize, i64)]) {
        for &(sku, units) in items {
            self.movements[sku].sold += units;
            self.bought.entry((customer.to_string(), sku)).or_default().push(Bought { order, left: units });
        }
    }

    /// Spreads a return over the customer's orders, newest first, and never more than was bought. Gives the units that
    /// this customer never bought, or has returned before.
    pub fn take_back(&mut self, customer: &str, sku: usize, units: i64, by_order: &mut ByOrder) -> i64 {
        let mut wanted = units;
        let purchases = self.bought.get_mut(&(customer.to_string(), sku));
        for purchase in purchases.into_iter().flatten().rev() {
            let taken = wanted.min(purchase.left);
            if taken > 0 {
                purchase.left -= taken;
                wanted -= taken;
                by_order.entry(purchase.order).or_default().push((sku, taken));
            }
        }
        self.movements[sku].returned += units - wanted;
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books() -> Books {
        let mut books = Books::new(2);
        books.receive(0, 10);
        books.receive(1, 4);
        books.sell(0, "ann", &[(0, 3), (1, 4)]);
        books.sell(1, "ann", &[(0, 2)]);
        books.sell(2, "bob", &[(0, 5)]);
        books
    }

    #[test]
    fn takes_back_from_the_newest_order_first() {
        let (mut books, mut by_order) = (books(), ByOrder::new());
        assert_eq!(books.take_back("ann", 0, 4, &mut by_order), 0);
        assert_eq!(by_order, ByOrder::from([(1, vec![(0, 2)]), (0, vec![(0, 2)])]));
        assert_eq!(books.movements[0], Movement { received: 10, sold: 10, returned: 4 });
        assert_eq!(books.movements[0].on_hand(), 4);
    }

    #[test]
    fn never_takes_back_more_than_was_bought() {
        let mut books = books();
        let mut never_sold = |customer, sku, units| books.take_back(customer, sku, units, &mut ByOrder::new());
        assert_eq!(never_sold("ann", 0, 9), 4);
        assert_eq!(never_sold("ann", 0, 1), 1);
        assert_eq!(never_sold("eve", 1, 1), 1);
        assert_eq!(books.movements[0].returned, 5);
    }
}
