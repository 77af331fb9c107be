//! Numbered feeds of an outside system.

use super::build::*;
use super::command::Reply::Synced;
use super::shop::Shop;
use crate::calls::stock::Synced::{Applied, Duplicate};

#[test]
fn a_feed_starts_anywhere_and_goes_up_by_one() {
    let mut shop = Shop::new();
    assert_eq!(shop.changes(sync("erp", 41, &[("tea", 5), ("milk", 7)])), Synced(Applied));
    assert_eq!((shop.books("tea"), shop.books("milk")), ((5, 0, 0), (7, 0, 0)));
    assert_eq!(shop.changes(sync("erp", 42, &[("tea", 9)])), Synced(Applied));
    assert_eq!(shop.refused(sync("erp", 44, &[("tea", 1)])), "GAP expected 43");
    assert_eq!((shop.books("tea"), shop.books("milk")), ((9, 0, 0), (7, 0, 0)));
}

#[test]
fn what_came_before_is_a_duplicate() {
    let mut shop = Shop::new();
    for seq in 5..8 {
        shop.ok(sync("erp", seq, &[("tea", seq)]));
    }
    assert_eq!(shop.repeats(sync("erp", 7, &[("tea", 7)])), Synced(Duplicate));
    assert_eq!(shop.repeats(sync("erp", 5, &[("tea", 5)])), Synced(Duplicate));
    assert_eq!(shop.repeats(sync("erp", 1, &[("tea", 5)])), Synced(Duplicate));
    assert!(shop.refused(sync("erp", 7, &[("tea", 8)])).starts_with("MISMATCH "));
    assert!(shop.refused(sync("erp", 7, &[("tea", 7), ("milk", 1)])).starts_with("MISMATCH "));
    assert_eq!(shop.books("tea"), (7, 0, 0));
    shop.reload();
    assert_eq!(shop.repeats(sync("erp", 7, &[("tea", 7)])), Synced(Duplicate));
    assert_eq!(shop.refused(sync("erp", 9, &[("tea", 1)])), "GAP expected 8");
}

#[test]
fn feeds_of_two_sources_are_numbered_apart() {
    let mut shop = Shop::new();
    shop.ok(sync("erp", 10, &[("tea", 5)]));
    shop.ok(sync("wms", 3, &[("tea", 6)]));
    shop.ok(sync("erp", 11, &[("tea", 7)]));
    assert_eq!(shop.refused(sync("wms", 12, &[("tea", 8)])), "GAP expected 4");
    assert_eq!(shop.books("tea"), (7, 0, 0));
}

#[test]
fn all_counts_apply_or_none() {
    let mut shop = Shop::with(&[("milk", 1)]);
    shop.ok(place("o", "ann", &[("milk", 1)]));
    shop.ok(complete("o"));
    let twice = shop.refused(sync("erp", 1, &[("tea", 5), ("tea", 6)]));
    assert!(twice.starts_with("ERR ITEMS "), "{twice}");
    // One unit of milk is sold already, so that this many more pass the largest sum there is.
    let much = shop.refused(sync("erp", 1, &[("tea", 5), ("milk", crate::base::units::MAX_QUANTITY)]));
    assert!(much.starts_with("ERR "), "{much}");
    assert!(shop.store.sku(b"tea").is_none());
    assert_eq!(shop.changes(sync("erp", 9, &[("tea", 5)])), Synced(Applied));
}

#[test]
fn a_count_of_0_and_a_count_below_what_is_held_are_counts() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(reserve("h", &[("tea", 4)]));
    shop.ok(sync("erp", 1, &[("tea", 0)]));
    assert_eq!((shop.books("tea"), shop.sku("tea").available), ((0, 4, 0), -4));
    shop.ok(commit("h"));
    assert_eq!(shop.books("tea"), (0, 0, 4));
}
