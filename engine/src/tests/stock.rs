//! Counts of stock.

use super::build::*;
use super::command::Reply::{Available, OnHand};
use super::shop::Shop;

#[test]
fn a_count_makes_the_sku_and_replies_what_is_available() {
    let mut shop = Shop::new();
    assert!(shop.store.sku(b"tea").is_none());
    assert_eq!(shop.changes(set("tea", 10).safety(3)), Available(7));
    let tea = shop.sku("tea");
    assert_eq!((tea.on_hand, tea.held, tea.safety, tea.low, tea.limit), (10, 0, 3, 0, 0));
    assert_eq!((tea.available, tea.sold), (7, 0));
}

#[test]
fn a_count_leaves_marks_that_it_does_not_name() {
    let mut shop = Shop::new();
    shop.ok(set("tea", 10).safety(3).low(2).limit(5));
    assert_eq!(shop.ok(set("tea", 20)), Available(17));
    assert_eq!(shop.ok(set("tea", 20).safety(0)), Available(20));
    let tea = shop.sku("tea");
    assert_eq!((tea.safety, tea.low, tea.limit), (0, 2, 5));
}

#[test]
fn an_adjustment_adds_and_takes_and_never_goes_under_0() {
    let mut shop = Shop::with(&[("tea", 5)]);
    assert_eq!(shop.changes(adjust("tea", 3)), OnHand(8));
    assert_eq!(shop.changes(adjust("tea", -8)), OnHand(0));
    assert_eq!(shop.changes(adjust("tea", 2)), OnHand(2));
    shop.ok(reserve("h", &[("tea", 1)]));
    // What is there, held units included, and what was asked. It is no sale that was missed.
    let text = "BADSTATE sku tea has on-hand 2, a delta of -3 would take it below 0";
    assert_eq!(shop.refused(adjust("tea", -3)), text);
    assert_eq!(shop.changes(adjust("tea", -2)), OnHand(0));
    assert_eq!(shop.refused(adjust("milk", 1)), "NOSKU no SKU milk in this store");
    assert_eq!(shop.books("tea"), (0, 1, 0));
}

#[test]
fn an_adjustment_may_take_what_is_held_for_someone() {
    let mut shop = Shop::with(&[("tea", 5)]);
    shop.ok(reserve("h", &[("tea", 4)]));
    assert_eq!(shop.ok(adjust("tea", -3)), OnHand(2));
    assert_eq!(shop.sku("tea").available, -2);
}

#[test]
fn safety_is_never_sold() {
    let mut shop = Shop::new();
    shop.ok(set("tea", 10).safety(8));
    assert_eq!(shop.refused(reserve("h", &[("tea", 3)])), "OUTOFSTOCK tea wanted 3 available 2");
    shop.ok(reserve("h", &[("tea", 2)]));
    assert_eq!(shop.refused(place("o", "ann", &[("tea", 1)])), "OUTOFSTOCK tea wanted 1 available 0");
}

#[test]
fn a_count_below_what_is_held_breaks_no_hold_and_sells_no_more() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(reserve("h", &[("tea", 6)]));
    shop.ok(place("o", "ann", &[("tea", 3)]));
    assert_eq!(shop.ok(set("tea", 4)), Available(-5));
    assert_eq!(shop.refused(reserve("h2", &[("tea", 1)])), "OUTOFSTOCK tea wanted 1 available -5");
    // Every hold and order still gets its units; on_hand stays at 0 where fewer were counted than leave.
    shop.ok(commit("h"));
    assert_eq!(shop.books("tea"), (0, 3, 6));
    shop.ok(complete("o"));
    assert_eq!(shop.books("tea"), (0, 0, 9));
    assert_eq!(shop.sku("tea").available, 0);
    shop.ok(give_back("o", &[("tea", 2)]));
    assert_eq!(shop.books("tea"), (2, 0, 7));
}

#[test]
fn a_release_after_a_low_count_gives_back_only_what_is_there() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(reserve("h", &[("tea", 6)]));
    shop.ok(set("tea", 4));
    shop.ok(release("h"));
    assert_eq!((shop.books("tea"), shop.sku("tea").available), ((4, 0, 0), 4));
}

#[test]
fn totals_are_the_sums_of_the_skus() {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 3)]);
    shop.ok(reserve("h", &[("tea", 2), ("milk", 3)]));
    shop.ok(place("o", "ann", &[("tea", 5)]));
    shop.ok(complete("o"));
    shop.ok(set("milk", 1));
    let info = shop.store.info(shop.now);
    assert_eq!((info.skus, info.on_hand, info.held, info.sold), (2, 6, 5, 5));
    // A negative SKU takes nothing from what another has available.
    assert_eq!((shop.sku("milk").available, info.available), (-2, 3));
}

#[test]
fn a_scan_sees_every_sku_once_and_low_ones_alone_when_asked() {
    let mut shop = Shop::new();
    for i in 0..25u64 {
        shop.ok(set(&format!("sku-{i:02}"), i).low(4));
    }
    let scan = |count: usize, only_low: bool| {
        let (mut cursor, mut seen, mut steps) = (0, Vec::new(), 0);
        loop {
            let (next, ids) = shop.store.scan_skus(cursor, count, |_, low| low || !only_low);
            seen.extend(ids.into_iter().map(|id| String::from_utf8(id.to_vec()).unwrap()));
            steps += 1;
            if next == 0 {
                return (seen, steps);
            }
            cursor = next;
        }
    };
    let all: Vec<_> = (0..25).map(|i| format!("sku-{i:02}")).collect();
    assert_eq!(scan(10, false), (all.clone(), 3));
    assert_eq!(scan(1_000, false), (all.clone(), 1));
    assert_eq!(scan(10, true).0, all[..=4]);
    assert_eq!(shop.store.scan_skus(u64::MAX, usize::MAX, |_, _| true), (0, Vec::new()));
}
