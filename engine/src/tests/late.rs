//! Late orders: counted once, when they are.

use super::build::*;
use super::shop::{START, Shop};
use crate::terms::effects::Event;
use crate::terms::settings::Field;

fn shop() -> Shop {
    let mut shop = Shop::with(&[("tea", 100)]);
    shop.ok(configure(&[(Field::SlaMs, 100)]));
    shop
}

fn late(shop: &Shop) -> u64 {
    shop.store.info(shop.now).counters.late
}

#[test]
fn an_order_is_counted_as_late_once_when_it_takes_longer_than_sla_ms() {
    let mut shop = shop();
    shop.ok(place("o", "ann", &[("tea", 1)]));
    assert_eq!(shop.store.next_due(), Some(START + 101));
    shop.wait(100);
    assert_eq!((late(&shop), shop.order("o").late), (0, false));
    shop.wait(1);
    assert_eq!(shop.events(), [Event::OrderLate]);
    assert_eq!((late(&shop), shop.order("o").late), (1, true));
    assert_eq!(shop.store.next_due(), None);
    shop.reload();
    shop.wait(1_000);
    assert_eq!((late(&shop), shop.events()), (1, vec![]));
}

#[test]
fn orders_are_late_wherever_they_are() {
    let mut shop = shop();
    for id in ["claimed", "backoff", "due", "waits", "given-back"] {
        shop.ok(place(id, "ann", &[("tea", 1)]));
    }
    shop.ok(place("first", "ann", &[("tea", 1)]).group("g"));
    shop.ok(place("behind", "ann", &[("tea", 1)]).group("g"));
    shop.ok(claim("w", 1));
    shop.ok(fail("backoff").after(10_000));
    shop.ok(fail("due").after(0));
    shop.wait(1);
    for reload in [false, true] {
        if reload {
            shop.reload();
        }
        assert_eq!(shop.store.next_due(), Some(START + 101));
    }
    shop.wait(100);
    assert_eq!((late(&shop), shop.events()), (7, vec![Event::OrderLate; 7]));
}

#[test]
fn an_order_that_ended_in_time_is_never_late() {
    let mut shop = shop();
    for id in ["a", "b", "c", "d"] {
        shop.ok(place(id, "ann", &[("tea", 1)]));
    }
    shop.claims("w", 1);
    shop.ok(complete("a"));
    shop.ok(cancel("b"));
    shop.ok(fail("c").fatal());
    shop.wait(101);
    assert_eq!(late(&shop), 1);
    // One that died in time, and is redriven when it is too late, is late then.
    shop.ok(redrive("c"));
    assert_eq!(shop.store.next_due(), Some(START + 101));
    shop.wait(0);
    assert_eq!((late(&shop), shop.events()), (2, vec![Event::OrderLate]));
    shop.ok(fail("c").fatal());
    shop.ok(redrive("c"));
    shop.wait(1_000);
    assert_eq!(late(&shop), 2, "once is once");
}

#[test]
fn a_setting_that_changes_counts_for_all_that_are_open() {
    let mut shop = shop();
    for id in ["a", "b", "c"] {
        shop.ok(place(id, "ann", &[("tea", 1)]));
        shop.now += 50;
    }
    shop.wait(0);
    assert_eq!(late(&shop), 1);
    shop.ok(configure(&[(Field::SlaMs, 0)]));
    assert_eq!(shop.store.next_due(), None);
    shop.wait(1_000_000);
    assert_eq!(late(&shop), 1);
    shop.ok(configure(&[(Field::SlaMs, 1_000_000 + 110)]));
    shop.wait(0);
    assert_eq!(late(&shop), 1, "b is not that old");
    shop.ok(configure(&[(Field::SlaMs, 1_000_000 + 99)]));
    shop.wait(0);
    assert_eq!(late(&shop), 2, "and c is not");
    shop.wait(50);
    assert_eq!(late(&shop), 3);
}

#[test]
fn many_that_are_late_at_once_are_counted_in_slices_as_they_came() {
    let mut shop = shop();
    for i in 0..20 {
        shop.ok(place(&format!("o{i}"), "ann", &[("tea", 1)]));
    }
    shop.claims("w", 3);
    shop.ok(take_back("o1", shop.token("o1")));
    shop.now += 101;
    for round in 1..=4 {
        shop.changes(sweep(5));
        assert_eq!(late(&shop), 5 * round);
        let counted = |i: u64| shop.store.orders.at(shop.store.orders.find(format!("o{i}").as_bytes()).unwrap()).late;
        assert!((0..20).all(|i| counted(i) == (i < 5 * round)), "{round}");
        shop.reload();
    }
}

#[test]
fn what_is_due_comes_before_what_is_late_in_the_same_millisecond() {
    let mut shop = shop();
    shop.ok(configure(&[(Field::Attempts, 1)]));
    shop.ok(place("o", "ann", &[("tea", 1)]));
    shop.ok(claim("w", 1).lease(101));
    shop.wait(101);
    assert_eq!(shop.events(), [Event::OrderLeaseEnded, Event::OrderDead], "it died before it was late");
    assert_eq!(late(&shop), 0);
}

#[test]
fn a_redriven_order_is_late_by_its_age_and_not_by_its_place_in_the_queue() {
    let mut shop = shop();
    shop.ok(place("old", "ann", &[("tea", 1)]));
    shop.now += 50;
    shop.ok(place("new", "ann", &[("tea", 1)]));
    shop.ok(fail("old").fatal());
    shop.ok(redrive("old"));
    for reload in [false, true] {
        if reload {
            shop.reload();
        }
        assert_eq!(shop.store.next_due(), Some(START + 101));
    }
    shop.wait(51);
    assert_eq!((late(&shop), shop.store.next_due()), (1, Some(START + 151)));
    assert_eq!(shop.claims("w", 2), ["new", "old"]);
}

#[test]
fn an_order_that_was_late_is_not_counted_again_behind_one_that_was_not_yet() {
    let mut shop = shop();
    shop.ok(place("a", "ann", &[("tea", 1)]));
    shop.ok(place("b", "ann", &[("tea", 1)]));
    shop.now += 101;
    // A slice that gets no further than the first.
    shop.ok(sweep(1));
    shop.ok(fail("a").fatal());
    shop.ok(redrive("a"));
    shop.reload();
    shop.wait(0);
    assert_eq!((late(&shop), shop.store.next_due()), (2, None));
}
