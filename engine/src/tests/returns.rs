//! What comes back: to on_hand or as scrap, of an order or of one that is forgotten.

use super::build::*;
use super::command::Reply::Units;
use super::shop::{Shop, loaded, saved};
use crate::record::order::RETURNS_MAX;
use crate::terms::settings::Field;

const KEEP_MS: u64 = 1_000;

/// Ann bought five teas and two milks in an order that is forgotten, and three teas in one that is not.
fn shop() -> Shop {
    let mut shop = Shop::with(&[("tea", 100), ("milk", 20)]);
    shop.ok(configure(&[(Field::KeepMs, KEEP_MS), (Field::Limit, 10)]));
    shop.ok(place("old", "ann", &[("tea", 5), ("milk", 2)]));
    shop.ok(complete("old"));
    shop.wait(KEEP_MS);
    shop.ok(place("new", "ann", &[("tea", 3)]));
    shop.ok(complete("new"));
    shop
}

#[test]
fn a_forgotten_order_is_returned_by_naming_customer_and_ref() {
    let mut shop = shop();
    let text = "NOORDER no order old in this store; to return units of a forgotten order, name CUSTOMER and REF";
    let items = [("tea", 2), ("milk", 1)];
    assert_eq!(shop.refused(give_back("old", &items)), text);
    assert_eq!(shop.refused(give_back("old", &items).by("ann")), text);
    assert_eq!(shop.refused(give_back("old", &items).reference("rma-1")), text);
    assert!(shop.refused(place("more", "ann", &[("tea", 1)])).starts_with("LIMIT "));
    let back = give_back("old", &items).by("ann").reference("rma-1");
    assert_eq!(shop.changes(back.clone()), Units(3));
    assert_eq!((shop.books("tea"), shop.books("milk")), ((94, 0, 6), (19, 0, 1)));
    shop.reload();
    assert_eq!(shop.repeats(back), Units(3));
    // The limit is free of what came back.
    shop.ok(place("more", "ann", &[("tea", 3)]));
    assert!(shop.refused(place("most", "ann", &[("tea", 1)])).starts_with("LIMIT "));
    assert_eq!(shop.store.info(shop.now).counters.returned, 3);
}

#[test]
fn no_more_comes_back_than_the_customer_has_of_forgotten_orders() {
    let mut shop = shop();
    let back = |n: u64, name: &str| give_back("old", &[("tea", n)]).by(name).reference("r");
    // The three of the order that is remembered are not to be had this way.
    assert_eq!(shop.refused(back(6, "ann")), "BADSTATE customer ann has 5 of tea from forgotten orders, not 6");
    assert_eq!(shop.refused(back(1, "bob")), "BADSTATE customer bob has 0 of tea from forgotten orders, not 1");
    assert_eq!(shop.changes(back(5, "ann")), Units(5));
    let next = give_back("old", &[("tea", 1)]).by("ann").reference("r2");
    assert_eq!(shop.refused(next.clone()), "BADSTATE customer ann has 0 of tea from forgotten orders, not 1");
    shop.reload();
    assert!(shop.refused(next).starts_with("BADSTATE "));
    assert_eq!(shop.ok(give_back("new", &[("tea", 3)])), Units(3));
    assert_eq!(shop.books("tea"), (100, 0, 0));
    shop.wait(KEEP_MS);
    shop.ok(give_back("old", &[("milk", 2)]).by("ann").reference("r3"));
    assert_eq!(shop.store.info(shop.now).customers, 0, "ann has nothing any more");
}

#[test]
fn units_committed_from_a_forgotten_hold_come_back_too() {
    let mut shop = shop();
    shop.ok(reserve("h", &[("milk", 3)]).by("bob"));
    shop.ok(commit("h").of(&[("milk", 2)]));
    shop.ok(release("h"));
    shop.ok(reserve("nobody's", &[("milk", 3)]));
    shop.ok(commit("nobody's"));
    let back = give_back("receipt-7", &[("milk", 2)]).by("bob").reference("r");
    assert!(shop.refused(back.clone()).starts_with("BADSTATE "), "the hold is remembered");
    shop.wait(KEEP_MS);
    assert_eq!(shop.changes(back), Units(2));
    assert!(shop.refused(give_back("x", &[("milk", 1)]).by("bob").reference("r2")).starts_with("BADSTATE "));
}

#[test]
fn a_customer_of_many_skus_returns_of_each() {
    let mut shop = Shop::new();
    shop.ok(configure(&[(Field::KeepMs, KEEP_MS)]));
    let names: Vec<String> = (0..30).map(|i| format!("s{i}")).collect();
    let items: Vec<_> = names.iter().map(|name| (name.as_str(), 2)).collect();
    names.iter().for_each(|name| drop(shop.ok(set(name, 9))));
    shop.ok(place("o", "ann", &items));
    shop.ok(complete("o"));
    shop.wait(KEEP_MS);
    shop.reload();
    assert_eq!(shop.ok(give_back("o", &items[..20]).by("ann").reference("a")), Units(40));
    assert!(shop.refused(give_back("o", &items).by("ann").reference("b")).starts_with("BADSTATE "));
    assert_eq!(shop.ok(give_back("o", &items[20..]).by("ann").reference("c").scrap()), Units(20));
    assert_eq!(shop.store.info(shop.now).customers, 0);
}

#[test]
fn a_remembered_order_has_to_be_of_the_customer_that_is_named() {
    let mut shop = shop();
    assert_eq!(shop.refused(give_back("new", &[("tea", 1)]).by("bob")), "MISMATCH order new is of customer ann");
    assert_eq!(shop.changes(give_back("new", &[("tea", 1)]).by("ann")), Units(1));
    // Also before it ended: what state it is in is nobody else's to know.
    shop.ok(place("waits", "ann", &[("tea", 1)]));
    assert!(shop.refused(give_back("waits", &[("tea", 1)]).by("bob").reference("r")).starts_with("MISMATCH "));
    assert_eq!(shop.refused(give_back("waits", &[("tea", 1)]).by("ann")), "BADSTATE order is queued");
}

#[test]
fn scrap_is_written_off_and_frees_the_limit() {
    let mut shop = shop();
    shop.ok(configure(&[(Field::Journal, 100)]));
    assert_eq!(shop.changes(give_back("new", &[("tea", 2)]).scrap()), Units(2));
    assert_eq!(shop.books("tea"), (92, 0, 6));
    assert_eq!(shop.changes(give_back("old", &[("tea", 4)]).by("ann").reference("r").scrap()), Units(4));
    assert_eq!(shop.books("tea"), (92, 0, 2));
    shop.reload();
    let order = shop.order("new");
    assert_eq!((order.items[0].2, order.returns.len(), order.returns[0].scrap), (2, 1, true));
    assert_eq!(shop.refused(give_back("new", &[("tea", 2)])), "BADSTATE order has 1 of tea to return, not 2");
    shop.ok(place("more", "ann", &[("tea", 6)]));
    shop.wait(KEEP_MS);
    assert_eq!(shop.books("tea"), (92, 6, 2));
}

#[test]
fn an_order_remembers_a_hundred_returns_and_the_sum_of_the_others() {
    let many = 3 * RETURNS_MAX as u64 + 7;
    let mut shop = Shop::with(&[("tea", 10_000)]);
    shop.ok(place("o", "ann", &[("tea", 10_000)]));
    shop.ok(complete("o"));
    let sizes = |shop: &Shop| saved(&shop.store).concat().len();
    let mut at_bound = 0;
    for i in 0..many {
        shop.now += 1;
        shop.ok(give_back("o", &[("tea", 1 + i % 3)]));
        if i + 1 == RETURNS_MAX as u64 {
            at_bound = sizes(&shop);
        }
    }
    assert!(sizes(&shop) < at_bound + 64, "{} bytes, {at_bound} at the bound", sizes(&shop));
    shop.reload();
    let (lost, kept) = (many - RETURNS_MAX as u64, shop.order("o").returns.to_vec());
    let units = |from: u64, to: u64| (from..to).map(|i| 1 + i % 3).sum::<u64>();
    assert_eq!(shop.order("o").returns_lost, (lost, units(0, lost)));
    assert_eq!(kept.len(), RETURNS_MAX);
    assert_eq!(kept.iter().map(|back| back.units).sum::<u64>(), units(lost, many));
    assert_eq!(kept.last().unwrap().at, shop.now);
    assert_eq!(shop.order("o").items[0].2, units(0, many));
    assert_eq!(loaded(&saved(&shop.store), 3).unwrap().digest(), shop.store.digest());
}
