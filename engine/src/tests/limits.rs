//! Units a customer may have, of the store and of one SKU.

use super::build::*;
use super::shop::Shop;
use crate::terms::settings::Field;

fn limited(store: u64, tea: u64) -> Shop {
    let mut shop = Shop::with(&[("milk", 100)]);
    shop.ok(set("tea", 100).limit(tea));
    shop.ok(configure(&[(Field::Limit, store), (Field::KeepMs, 1_000)]));
    shop
}

#[test]
fn holds_and_orders_count_together_towards_the_store_s_limit() {
    let mut shop = limited(5, 0);
    shop.ok(reserve("h", &[("tea", 2), ("milk", 1)]).by("ann"));
    assert_eq!(shop.refused(place("o", "ann", &[("milk", 3)])), "LIMIT customer ann limit 5 has 3");
    shop.ok(place("o", "ann", &[("milk", 2)]));
    assert_eq!(shop.refused(reserve("h2", &[("tea", 1)]).by("ann")), "LIMIT customer ann limit 5 has 5");
    shop.ok(place("o2", "bob", &[("milk", 5)]));
    assert_eq!(shop.refused(place("o3", "bob", &[("milk", 1)])), "LIMIT customer bob limit 5 has 5");
    // Nobody's hold counts for nobody, until somebody makes an order of it.
    shop.ok(reserve("free", &[("tea", 50)]));
    assert_eq!(shop.refused(place_hold("o4", "ann", "free")), "LIMIT customer ann limit 5 has 5");
}

#[test]
fn a_hold_that_becomes_an_order_counts_once() {
    let mut shop = limited(5, 5);
    shop.ok(reserve("h", &[("tea", 5)]).by("ann"));
    shop.ok(place_hold("o", "ann", "h"));
    assert_eq!(shop.refused(place("o2", "ann", &[("milk", 1)])), "LIMIT customer ann limit 5 has 5");
    shop.ok(cancel("o"));
    shop.ok(place("o2", "ann", &[("milk", 5)]));
}

#[test]
fn a_sku_s_limit_counts_that_sku_alone() {
    let mut shop = limited(0, 2);
    shop.ok(place("o", "ann", &[("tea", 1), ("milk", 50)]));
    assert_eq!(shop.refused(place("o2", "ann", &[("tea", 2)])), "LIMIT customer ann limit 2 has 1 of tea");
    assert_eq!(
        shop.refused(reserve("h", &[("tea", 1), ("tea", 1)]).by("ann")),
        "LIMIT customer ann limit 2 has 1 of tea"
    );
    shop.ok(reserve("h", &[("tea", 1)]).by("ann"));
    assert_eq!(shop.refused(place("o2", "ann", &[("tea", 1)])), "LIMIT customer ann limit 2 has 2 of tea");
}

#[test]
fn a_limit_counts_net_of_releases_expiries_cancels_and_returns() {
    let mut shop = limited(3, 0);
    let full = |shop: &mut Shop| assert!(shop.refused(place("full", "ann", &[("tea", 3)])).starts_with("LIMIT "));
    shop.ok(reserve("h", &[("tea", 3)]).by("ann"));
    full(&mut shop);
    shop.ok(release("h"));
    shop.ok(reserve("h2", &[("tea", 3)]).by("ann").ttl(10));
    full(&mut shop);
    shop.wait(10);
    shop.ok(place("o", "ann", &[("tea", 3)]));
    full(&mut shop);
    shop.ok(cancel("o"));
    shop.ok(place("o2", "ann", &[("tea", 3)]));
    shop.ok(complete("o2"));
    full(&mut shop);
    shop.ok(give_back("o2", &[("tea", 1)]));
    assert_eq!(shop.refused(place("o3", "ann", &[("tea", 2)])), "LIMIT customer ann limit 3 has 2");
    shop.ok(place("o3", "ann", &[("tea", 1)]));
}

#[test]
fn what_was_committed_from_a_hold_stays_counted() {
    let mut shop = limited(3, 0);
    shop.ok(reserve("h", &[("tea", 3)]).by("ann"));
    shop.ok(commit("h").of(&[("tea", 2)]));
    shop.ok(release("h"));
    assert_eq!(shop.refused(place("o", "ann", &[("tea", 2)])), "LIMIT customer ann limit 3 has 2");
}

#[test]
fn units_stay_counted_after_orders_and_holds_are_forgotten() {
    for reload in [false, true] {
        let mut shop = limited(4, 0);
        shop.ok(place("o", "ann", &[("tea", 2)]));
        shop.ok(complete("o"));
        shop.ok(reserve("h", &[("milk", 2)]).by("ann"));
        shop.ok(commit("h").of(&[("milk", 1)]));
        shop.ok(release("h"));
        shop.ok(place("gone", "bob", &[("tea", 1)]));
        shop.ok(cancel("gone"));
        shop.wait(1_000);
        assert!(shop.store.order(shop.now, b"o").is_none() && shop.store.hold(b"h").is_none());
        if reload {
            shop.reload();
        }
        assert_eq!(shop.refused(place("o2", "ann", &[("tea", 2)])), "LIMIT customer ann limit 4 has 3");
        shop.ok(place("o2", "ann", &[("tea", 1)]));
        // Of bob nothing is left to count, so nothing of him is kept.
        assert_eq!(shop.store.info(shop.now).customers, 1);
    }
}

#[test]
fn a_limit_that_is_lowered_takes_nothing_away() {
    let mut shop = limited(0, 0);
    shop.ok(place("o", "ann", &[("tea", 9)]));
    shop.ok(configure(&[(Field::Limit, 5)]));
    assert_eq!(shop.refused(place("o2", "ann", &[("tea", 1)])), "LIMIT customer ann limit 5 has 9");
    shop.ok(complete("o"));
    shop.ok(configure(&[(Field::Limit, 0)]));
    shop.ok(place("o2", "ann", &[("tea", 1)]));
}

#[test]
fn a_customer_of_many_skus_is_counted_like_one_of_few() {
    // Past a dozen SKUs the tallies are kept in another way; both ways have to count alike, there and back.
    let names: Vec<String> = (0..40).map(|i| format!("sku-{i}")).collect();
    let mut shop = Shop::new();
    for name in &names {
        shop.ok(set(name, 100).limit(3));
    }
    shop.ok(configure(&[(Field::Limit, 60), (Field::KeepMs, 1_000)]));
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    shop.ok(place("all", "ann", &all));
    for name in &names[..20] {
        shop.ok(reserve(name, &[(name, 1)]).by("ann"));
    }
    assert_eq!(shop.refused(reserve("x", &[("sku-3", 1)]).by("ann")), "LIMIT customer ann limit 60 has 60");
    shop.ok(configure(&[(Field::Limit, 0)]));
    assert_eq!(shop.refused(reserve("x", &[("sku-3", 2)]).by("ann")), "LIMIT customer ann limit 3 has 2 of sku-3");
    shop.reload();
    assert_eq!(shop.refused(reserve("x", &[("sku-3", 2)]).by("ann")), "LIMIT customer ann limit 3 has 2 of sku-3");
    for name in &names[..20] {
        shop.ok(release(name));
    }
    shop.ok(complete("all"));
    shop.wait(1_000);
    assert_eq!(shop.refused(reserve("x", &[("sku-30", 3)]).by("ann")), "LIMIT customer ann limit 3 has 1 of sku-30");
    shop.ok(reserve("x", &[("sku-30", 2)]).by("ann"));
}
