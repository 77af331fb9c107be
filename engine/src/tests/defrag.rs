//! Pieces of memory that are put elsewhere.

use super::build::*;
use super::shop::{Shop, audited};

/// Enough for several steps in each table.
const MANY: usize = 150;

/// An id that does not fit into a record.
fn long(kind: &str, number: usize) -> String {
    format!("{kind}-{number:040}")
}

fn shop() -> Shop {
    let mut shop = Shop::with(&[("tea", 1_000_000)]);
    for number in 0..MANY {
        shop.ok(reserve(&long("hold", number), &[("tea", 1)]));
        shop.ok(place(&long("order", number), &long("customer", number), &[("tea", 1)]));
    }
    shop.ok(claim(&long("worker", 1), MANY));
    shop
}

#[test]
fn a_store_says_the_same_wherever_its_pieces_are() {
    let mut shop = shop();
    let before = shop.store.digest();
    let (mut cursor, mut steps, mut pieces) = (0, 0, 0);
    loop {
        cursor = shop.store.defrag(cursor, &mut |piece| {
            pieces += 1;
            let mut moved = Vec::with_capacity(piece.capacity());
            moved.extend_from_slice(&piece);
            moved
        });
        assert_eq!(shop.store.digest(), before);
        steps += 1;
        if cursor == 0 {
            break;
        }
    }
    // Each hold's id, each order and its history, and each customer, in steps of bounded size.
    assert!(pieces >= 4 * MANY && steps > 8, "{pieces} pieces in {steps} steps");
    assert!(audited(&mut shop.store, 100).is_empty());
    let order = long("order", 7);
    assert_eq!(shop.order(&order).id, order.as_bytes());
    shop.ok(complete(&order));
    assert!(audited(&mut shop.store, 100).is_empty());
}

#[test]
fn a_store_that_changes_meanwhile_is_looked_at_to_its_end() {
    let mut shop = shop();
    let (mut cursor, mut number) = (0, MANY);
    for _ in 0..1_000 {
        cursor = shop.store.defrag(cursor, &mut |piece| piece);
        if cursor == 0 {
            return assert!(audited(&mut shop.store, 100).is_empty());
        }
        shop.ok(cancel(&long("order", number - MANY)));
        shop.ok(place(&long("order", number), "ann", &[("tea", 1)]));
        number += 1;
    }
    panic!("it has no end");
}
