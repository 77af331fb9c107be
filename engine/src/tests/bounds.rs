//! Quantities, sums and times at their largest.

use super::build::*;
use super::command::Reply::{Available, OnHand, Time, Units};
use super::shop::Shop;
use crate::base::units::MAX_QUANTITY;
use crate::terms::settings::Field;

const MAX: u64 = MAX_QUANTITY;

#[test]
fn the_largest_count_can_be_held_sold_and_returned() {
    let mut shop = Shop::new();
    assert_eq!(shop.ok(set("tea", MAX).low(MAX).limit(MAX)), Available(MAX as i64));
    assert_eq!(shop.ok(set("tea", MAX).safety(MAX)), Available(0));
    shop.ok(set("tea", MAX).safety(0));
    shop.ok(configure(&[(Field::Limit, MAX)]));
    shop.ok(reserve("h", &[("tea", MAX)]).by("ann"));
    assert_eq!(shop.refused(reserve("h2", &[("tea", 1)])), "OUTOFSTOCK tea wanted 1 available 0");
    shop.ok(place_hold("o", "ann", "h"));
    shop.ok(complete("o"));
    assert_eq!(shop.books("tea"), (0, 0, MAX));
    shop.reload();
    assert!(shop.refused(set("tea", 1)).starts_with("ERR "), "all that ever came in is at most 2^53 - 1");
    assert!(shop.refused(adjust("tea", 1)).starts_with("ERR "));
    assert_eq!(shop.ok(give_back("o", &[("tea", MAX)])), Units(MAX));
    assert_eq!(shop.books("tea"), (MAX, 0, 0));
    shop.reload();
}

#[test]
fn no_sum_passes_the_largest_quantity() {
    let mut shop = Shop::with(&[("tea", MAX), ("milk", MAX)]);
    assert!(shop.refused(adjust("tea", 1)).starts_with("ERR delta "));
    assert_eq!(shop.ok(adjust("tea", -(MAX as i64))), OnHand(0));
    assert_eq!(shop.ok(adjust("tea", MAX as i64)), OnHand(MAX));
    for items in [[("tea", MAX), ("tea", 1)], [("tea", MAX), ("milk", 1)]] {
        assert!(shop.refused(reserve("h", &items)).starts_with("ERR qty "), "{items:?}");
        assert!(shop.refused(reserve("h", &items).by("ann")).starts_with("ERR qty "), "{items:?}");
        assert!(shop.refused(place("o", "ann", &items)).starts_with("ERR qty "), "{items:?}");
    }
    shop.ok(reserve("h", &[("tea", MAX)]).by("ann"));
    // A customer's units over all SKUs are a sum too.
    assert!(shop.refused(place("o", "ann", &[("milk", 1)])).starts_with("ERR qty "));
    shop.ok(place("o", "bob", &[("milk", MAX)]));
    let info = shop.store.info(shop.now);
    assert_eq!((info.on_hand, info.held), (2 * u128::from(MAX), 2 * u128::from(MAX)));
    shop.reload();
}

#[test]
fn a_count_far_below_what_is_held_stays_within_all_sums() {
    let mut shop = Shop::with(&[("tea", MAX)]);
    shop.ok(reserve("h", &[("tea", MAX)]));
    assert_eq!(shop.ok(set("tea", 0).safety(MAX)), Available(-2 * MAX as i64));
    shop.reload();
    shop.ok(commit("h"));
    assert_eq!(shop.books("tea"), (0, 0, MAX));
    assert!(shop.refused(set("tea", 1)).starts_with("ERR "));
    shop.reload();
}

#[test]
fn durations_end_at_the_largest_time() {
    let mut shop = Shop::with(&[("tea", 5)]);
    let most = MAX - shop.now;
    assert!(shop.refused(reserve("h", &[("tea", 1)]).ttl(most + 1)).starts_with("ERR TTL "));
    assert_eq!(shop.ok(reserve("h", &[("tea", 1)]).ttl(most)), Time(MAX));
    shop.ok(reserve("h2", &[("tea", 1)]));
    assert!(shop.refused(extend("h2", most + 1)).starts_with("ERR ms "));
    assert_eq!(shop.ok(extend("h2", most)), Time(MAX));
    shop.ok(configure(&[(Field::HoldMs, MAX)]));
    assert!(shop.refused(reserve("h3", &[("tea", 1)])).starts_with("ERR TTL "));
    shop.reload();
}

#[test]
fn the_smallest_adjustment_is_only_too_large() {
    let mut shop = Shop::with(&[("tea", 5)]);
    assert!(shop.refused(adjust("tea", i64::MIN)).starts_with("BADSTATE sku tea has on-hand 5, "));
    assert!(shop.refused(adjust("tea", i64::MAX).reference("r")).starts_with("ERR "));
}

#[test]
fn ids_and_texts_of_the_longest_kind_survive_a_load() {
    let mut shop = Shop::new();
    let id = "x".repeat(crate::base::units::MAX_ID_BYTES);
    let text = "y".repeat(crate::base::units::MAX_DATA_BYTES);
    shop.ok(set(&id, 5));
    shop.ok(reserve(&id, &[(&id, 1)]).by(&id));
    shop.ok(place(&id, &id, &[(&id, 2)]).group(&id).note(&text));
    shop.ok(adjust(&id, 1).reference(&id).note(&text));
    shop.ok(sync(&id, MAX, &[(&id, 9)]));
    shop.ok(complete(&id).note(&text));
    shop.reload();
    assert_eq!(shop.store.order(shop.now, id.as_bytes()).unwrap().result, text.as_bytes());
}
