//! Groups: one order at a time, in the order placed, and no group holds up another.

use super::build::*;
use super::shop::{START, Shop};
use crate::calls::work::{Claim, Pick};
use crate::store::Store;
use crate::terms::effects::Effects;
use crate::terms::settings::Field;
use crate::terms::states::OrderState;

/// A shop where orders wait, each of the group its id starts with; `-` is none.
fn shop(orders: &[&str]) -> Shop {
    let mut shop = Shop::with(&[("tea", 100)]);
    shop.ok(configure(&[(Field::LeaseMs, 100), (Field::Attempts, 3)]));
    for id in orders {
        let ask = place(id, "ann", &[("tea", 1)]);
        shop.ok(if id.starts_with('-') { ask } else { ask.group(&id[..1]) });
    }
    shop
}

#[test]
fn orders_of_a_group_are_handed_out_one_at_a_time_in_the_order_placed() {
    let mut shop = shop(&["a1", "a2", "b1", "-1", "a3", "b2"]);
    assert_eq!(shop.claims("w", 9), ["a1", "b1", "-1"]);
    shop.ok(complete("b1"));
    assert_eq!(shop.claims("w", 9), ["b2"]);
    shop.reload();
    shop.ok(complete("a1"));
    assert_eq!(shop.claims("w", 9), ["a2"]);
    shop.ok(complete("a2"));
    assert_eq!(shop.claims("w", 9), ["a3"]);
}

#[test]
fn a_group_waits_through_the_retries_of_its_first() {
    let mut shop = shop(&["a1", "a2", "b1", "b2"]);
    assert_eq!(shop.claims("w", 9), ["a1", "b1"]);
    shop.ok(fail("a1").token(shop.token("a1")).after(50));
    shop.reload();
    assert_eq!(shop.claims("w", 9), [""; 0], "in backoff");
    shop.ok(complete("b1"));
    assert_eq!(shop.claims("w", 9), ["b2"]);
    shop.wait(50);
    assert_eq!(shop.claims("w", 9), ["a1"]);
    shop.wait(100);
    assert_eq!(shop.claims("w", 9), ["a1", "b2"], "its lease ended, it is still the first");
    shop.ok(yield_all("w"));
    assert_eq!(shop.claims("w", 9), ["a1", "b2"], "it was yielded");
    shop.ok(fail("a1").token(shop.token("a1")).note("x"));
    assert_eq!(shop.state("a1"), OrderState::Dead);
    assert_eq!(shop.claims("w", 9), ["a2"]);
}

#[test]
fn a_group_goes_on_however_its_first_ends() {
    for end in [complete("a1"), cancel("a1"), fail("a1").fatal()] {
        for claimed in [false, true] {
            let mut shop = shop(&["a1", "a2"]);
            if claimed {
                shop.claims("w", 1);
            }
            shop.ok(end.clone());
            assert_eq!(shop.claims("w", 9), ["a2"], "{end:?}");
        }
    }
}

#[test]
fn who_ends_within_a_group_leaves_the_others_in_their_order() {
    let mut shop = shop(&["a1", "a2", "a3", "a4", "a5"]);
    shop.ok(cancel("a3"));
    shop.ok(complete("a5"));
    shop.ok(fail("a2").after(30));
    assert_eq!(shop.claims("w", 9), ["a1"]);
    shop.wait(30);
    // Its retry is due, and it is not its turn.
    shop.reload();
    assert_eq!((shop.state("a2"), shop.claims("w", 9)), (OrderState::Retrying, vec![]));
    shop.ok(complete("a1"));
    assert_eq!(shop.claims("w", 9), ["a2"]);
    shop.ok(complete("a2"));
    assert_eq!(shop.claims("w", 9), ["a4"]);
}

#[test]
fn a_follower_in_backoff_holds_its_place_when_its_turn_comes() {
    let mut shop = shop(&["a1", "a2", "a3"]);
    shop.ok(fail("a2").after(80));
    shop.ok(complete("a1"));
    shop.reload();
    assert_eq!(shop.claims("w", 9), [""; 0], "a2 is the first, and its retry is not due");
    shop.wait(80);
    assert_eq!(shop.claims("w", 9), ["a2"]);
    shop.ok(complete("a2"));
    assert_eq!(shop.claims("w", 9), ["a3"]);
}

#[test]
fn an_order_whose_turn_comes_stands_by_its_own_place_in_the_queue() {
    let mut shop = shop(&["a1", "-1", "a2", "-2", "b1"]);
    assert_eq!(shop.claims("w", 1), ["a1"]);
    shop.ok(complete("a1"));
    assert_eq!(shop.claims("w", 9), ["-1", "a2", "-2", "b1"]);
}

#[test]
fn a_group_that_nobody_names_any_more_is_forgotten() {
    let mut shop = shop(&["a1", "b1"]);
    shop.ok(configure(&[(Field::KeepMs, 10)]));
    assert_eq!(shop.store.queue.groups().len(), 2);
    shop.ok(complete("a1"));
    assert_eq!(shop.store.queue.groups().len(), 2, "as long as its order is remembered");
    shop.wait(10);
    shop.reload();
    assert_eq!(shop.store.queue.groups().len(), 1);
    shop.ok(place("a1", "ann", &[("tea", 1)]).group("a"));
    assert_eq!(shop.claims("w", 9), ["b1", "a1"]);
}

#[test]
fn a_blocked_group_costs_the_others_nothing() {
    // 200,000 orders wait behind one; 2,000 of other groups wait behind them. Were the blocked ones looked at for each
    // of those, that would be 400 million looks; so it is less than a second's work even where nothing is optimized.
    let (mut store, mut fx) = (Store::new(1), Effects::default());
    set("tea", 1_000_000).apply(&mut store, START, &mut fx).unwrap();
    let mut placed = |id: String, group: &str| {
        place(&id, "ann", &[("tea", 1)]).group(group).apply(&mut store, START, &mut Effects::default()).unwrap();
    };
    (0..200_000).for_each(|i| placed(format!("blocked-{i}"), "blocked"));
    (0..2_000).for_each(|i| placed(format!("free-{i}"), &format!("group-{i}")));
    let claim = Claim { worker: b"w", count: 1, pick: Pick::Any, lease_ms: None };
    let started = std::time::Instant::now();
    for i in 0..=2_000 {
        let slots = store.claim(START, &claim, &mut fx).unwrap();
        let id = store.order_view(START, slots[0]).id.to_vec();
        assert_eq!(id, if i == 0 { b"blocked-0".to_vec() } else { format!("free-{}", i - 1).into_bytes() });
    }
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    assert!(!store.has_work());
}
