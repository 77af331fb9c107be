//! The replay's own books: what was received, sold and taken back, from the file and the server's yes or no alone; and
//! whether the server agrees with them afterwards, SKU by SKU.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use redis::{ConnectionLike, cmd};

use crate::check::{self, Findings};
use crate::store::SkuCounts;
use crate::text::grouped;

const SKUS_PER_READ: usize = 500;
const SHOWN_MAX: usize = 10;

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
    /// Orders that were completed.
    orders: i64,
    /// By customer and SKU, oldest purchase first.
    bought: HashMap<(String, usize), Vec<Bought>>,
}

/// Units that are returned, as (SKU, units) by order.
pub type ByOrder = BTreeMap<usize, Vec<(usize, i64)>>;

impl Books {
    /// Empty books for this number of SKUs.
    pub fn new(skus: usize) -> Books {
        Books { movements: vec![Movement::default(); skus], orders: 0, bought: HashMap::new() }
    }

    pub fn receive(&mut self, sku: usize, units: i64) {
        self.movements[sku].received += units;
    }

    /// Enters an order that was placed and completed.
    pub fn sell(&mut self, order: usize, customer: &str, items: &[(usize, i64)]) {
        self.orders += 1;
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

/// Compares every SKU's counts, the streams, STORE.INFO and STORE.AUDIT with the replay's own books: the disagreements,
/// and how many SKUs are right. Fails when the server cannot be asked.
pub fn check(
    server: &mut dyn ConnectionLike,
    store: &str,
    skus: &[String],
    books: &Books,
) -> Result<(Findings, usize)> {
    let (mut findings, mut right, movements) = (Findings::default(), 0, &books.movements);
    for (skus, movements) in skus.chunks(SKUS_PER_READ).zip(movements.chunks(SKUS_PER_READ)) {
        let counts: Vec<Option<SkuCounts>> =
            cmd("INV.GET").arg(store).arg(skus).query(server).context("reading counts with INV.GET")?;
        for ((sku, movement), counts) in skus.iter().zip(movements).zip(counts) {
            match disagreement(counts, movement) {
                None => right += 1,
                Some(text) => findings.0.push(format!("SKU {sku}: {text}")),
            }
        }
    }
    check_totals(server, store, books, &mut findings)?;
    let more = findings.0.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        findings.0.truncate(SHOWN_MAX);
        findings.0.push(format!("… and {} more", grouped(more as u64)));
    }
    Ok((findings, right))
}

fn check_totals(server: &mut dyn ConnectionLike, store: &str, books: &Books, findings: &mut Findings) -> Result<()> {
    let (movements, orders) = (&books.movements, books.orders);
    let lengths = [("orders", 0), ("retry", 0), ("dead", 0), ("complete", orders)];
    findings.check_streams(server, store, &lengths)?;
    let total = |units: fn(&Movement) -> i64| movements.iter().map(units).sum::<i64>();
    let wanted = [
        ("skus", i64::try_from(movements.len())?),
        ("on-hand", total(Movement::on_hand)),
        ("held", 0),
        ("sold", total(|movement| movement.sold - movement.returned)),
        ("queued", 0),
        ("completed", orders),
    ];
    findings.check_info(&check::info(server, store)?, &wanted);
    findings.check_audit(server, store)
}

/// What is wrong with a SKU's counts, now that every order has ended.
fn disagreement(counts: Option<SkuCounts>, movement: &Movement) -> Option<String> {
    let on_hand = movement.on_hand();
    let wanted = SkuCounts { on_hand, held: 0, available: on_hand, sold: movement.sold - movement.returned };
    match counts {
        Some(counts) if counts == wanted => None,
        Some(counts) => Some(format!(
            "{counts:?}; by the file on-hand {on_hand} = received {} - sold {} + returned {}, held 0",
            movement.received, movement.sold, movement.returned
        )),
        None => Some("unknown to the server".to_string()),
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

    #[test]
    fn a_wrong_count_is_found() {
        let movement = Movement { received: 10, sold: 8, returned: 1 };
        let counts = |on_hand, held| Some(SkuCounts { on_hand, held, available: on_hand - held, sold: 7 });
        assert_eq!(disagreement(counts(3, 0), &movement), None);
        assert!(disagreement(counts(2, 0), &movement).expect("too few").contains("by the file on-hand 3"));
        assert!(disagreement(counts(3, 1), &movement).is_some());
        assert!(disagreement(None, &movement).is_some());
    }
}
