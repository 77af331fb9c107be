//! What is due, in slices.

use super::build::*;
use super::command::Reply::Swept;
use super::shop::{START, Shop};
use crate::terms::effects::Event;
use crate::terms::settings::Field;

/// A shop with `count` holds of one unit, all due at `START + 100`.
fn with_holds(count: u64) -> Shop {
    let mut shop = Shop::with(&[("tea", 1_000)]);
    for i in 0..count {
        shop.ok(reserve(&format!("h{i}"), &[("tea", 1)]).ttl(100));
    }
    shop
}

#[test]
fn nothing_is_swept_before_it_is_due() {
    let mut shop = with_holds(3);
    assert_eq!(shop.store.next_due(), Some(START + 100));
    shop.now += 99;
    assert_eq!(shop.repeats(sweep(100)), Swept(false));
    shop.now += 1;
    assert_eq!(shop.changes(sweep(100)), Swept(true));
    assert_eq!(shop.books("tea"), (1_000, 0, 0));
    assert_eq!(shop.events(), [Event::HoldExpired; 3]);
    // The ended holds are remembered from now on.
    assert_eq!(shop.store.next_due(), Some(START + 100 + 86_400_000));
}

#[test]
fn many_due_at_once_are_swept_in_slices_first_reserved_first() {
    let mut shop = with_holds(50);
    shop.now += 100;
    // A hold of one item is two pieces of work.
    for round in 1..=5u64 {
        assert_eq!(shop.changes(sweep(20)), Swept(true));
        assert_eq!(shop.books("tea"), (1_000, 50 - 10 * round, 0));
        assert_eq!(shop.store.info(shop.now).holds, 50 - 10 * round);
        let last = format!("h{}", 10 * round - 1);
        assert_ne!(shop.store.hold(last.as_bytes()).unwrap().ended_at, 0);
    }
    assert_eq!(shop.repeats(sweep(20)), Swept(false));
    assert_eq!(shop.store.info(shop.now).counters.expired, 50);
}

#[test]
fn a_sweep_goes_on_where_a_load_left_it() {
    let mut shop = with_holds(20);
    shop.now += 100;
    shop.ok(sweep(10));
    shop.reload();
    shop.ok(sweep(10));
    assert_eq!(shop.books("tea"), (1_000, 10, 0));
    assert_ne!(shop.store.hold(b"h9").unwrap().ended_at, 0);
    assert_eq!(shop.store.hold(b"h10").unwrap().ended_at, 0);
}

#[test]
fn one_hold_of_many_items_is_swept_whole() {
    let mut shop = Shop::new();
    let names: Vec<String> = (0..30).map(|i| format!("sku-{i}")).collect();
    for name in &names {
        shop.ok(set(name, 1));
    }
    let items: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    shop.ok(reserve("h", &items).ttl(100));
    shop.now += 100;
    assert_eq!(shop.changes(sweep(1)), Swept(true));
    assert_eq!(shop.store.info(shop.now).held, 0);
}

#[test]
fn a_budget_of_nothing_does_nothing() {
    let mut shop = with_holds(1);
    shop.now += 100;
    assert_eq!(shop.repeats(sweep(0)), Swept(false));
}

#[test]
fn earlier_deadlines_come_first_whenever_they_were_made() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(reserve("late", &[("tea", 1)]).ttl(300));
    shop.ok(reserve("early", &[("tea", 2)]).ttl(100));
    shop.ok(reserve("moved", &[("tea", 4)]).ttl(50));
    shop.ok(extend("moved", 200));
    for (held, due) in [(5, 200), (1, 300), (0, 86_400_100)] {
        shop.now = START + if held == 5 { 100 } else { shop.store.next_due().unwrap() - START };
        shop.ok(sweep(1));
        assert_eq!((shop.books("tea").1, shop.store.next_due()), (held, Some(START + due)));
    }
}

#[test]
fn a_sweep_with_a_clock_that_stepped_back_does_nothing_early() {
    let mut shop = with_holds(1);
    shop.now += 50;
    shop.ok(set("milk", 1));
    shop.now -= 50;
    shop.ok(reserve("h", &[("tea", 1)]).ttl(10));
    // The store's time is START + 50, and never goes back.
    assert_eq!(shop.store.next_due(), Some(START + 60));
    assert_eq!(shop.repeats(sweep(10)), Swept(false));
    shop.now = START + 60;
    assert_eq!(shop.changes(sweep(10)), Swept(true));
}

#[test]
fn ends_and_refs_are_due_keep_ms_after_they_came() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(configure(&[(Field::KeepMs, 500)]));
    assert_eq!(shop.store.next_due(), None);
    shop.ok(adjust("tea", 1).reference("r"));
    assert_eq!(shop.store.next_due(), Some(START + 500));
    shop.now += 10;
    shop.ok(place("o", "ann", &[("tea", 1)]));
    shop.ok(complete("o"));
    shop.wait(490);
    assert_eq!(shop.store.next_due(), Some(START + 510));
    shop.wait(10);
    assert_eq!(shop.store.next_due(), None);
}
