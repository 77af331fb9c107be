//! What is forgotten `keep-ms` after its end, and what never is.

use super::build::*;
use super::command::Reply;
use super::shop::Shop;
use crate::record::history::HistoryEvent;
use crate::terms::settings::Field;

const KEEP_MS: u64 = 1_000;

fn shop() -> Shop {
    let mut shop = Shop::with(&[("tea", 100)]);
    shop.ok(configure(&[(Field::KeepMs, KEEP_MS)]));
    shop
}

#[test]
fn a_forgotten_order_can_be_placed_anew() {
    let mut shop = shop();
    let first = shop.ok(place("o", "ann", &[("tea", 2)]));
    shop.ok(complete("o"));
    shop.wait(KEEP_MS - 1);
    assert_eq!(shop.repeats(place("o", "ann", &[("tea", 2)])), first);
    assert!(shop.refused(place("o", "bob", &[("tea", 3)])).starts_with("MISMATCH "));
    shop.wait(1);
    assert_eq!(shop.refused(complete("o")), "NOORDER no order o in this store");
    assert_ne!(shop.changes(place("o", "bob", &[("tea", 3)])), first);
    assert_eq!(shop.books("tea"), (98, 3, 2));
}

#[test]
fn an_open_order_is_never_forgotten() {
    let mut shop = shop();
    shop.ok(place("o", "ann", &[("tea", 2)]));
    shop.wait(KEEP_MS * 1_000);
    shop.ok(complete("o"));
    assert_eq!(shop.books("tea"), (98, 0, 2));
}

#[test]
fn a_forgotten_hold_can_be_reserved_anew() {
    let mut shop = shop();
    shop.ok(reserve("h", &[("tea", 5)]).by("ann").ttl(10));
    shop.wait(10);
    shop.wait(KEEP_MS - 1);
    assert!(shop.refused(reserve("h", &[("tea", 5)]).by("ann").ttl(10)).starts_with("EXPIRED hold h "));
    shop.wait(1);
    assert_eq!(shop.refused(commit("h")), "NOHOLD no hold h in this store");
    let again = shop.changes(reserve("h", &[("tea", 7)]).by("bob").ttl(10));
    assert_eq!(again, Reply::Time(shop.now + 10));
}

#[test]
fn a_forgotten_ref_applies_anew() {
    let mut shop = shop();
    assert_eq!(shop.ok(adjust("tea", 1).reference("r")), Reply::OnHand(101));
    shop.wait(KEEP_MS - 1);
    assert_eq!(shop.repeats(adjust("tea", 1).reference("r")), Reply::OnHand(101));
    shop.wait(1);
    assert_eq!(shop.changes(adjust("tea", 2).reference("r")), Reply::OnHand(103));
}

#[test]
fn what_was_sold_stays_sold() {
    for reload in [false, true] {
        let mut shop = shop();
        shop.ok(place("o", "ann", &[("tea", 5)]));
        shop.ok(complete("o"));
        shop.ok(give_back("o", &[("tea", 2)]));
        shop.ok(reserve("h", &[("tea", 4)]).by("ann"));
        shop.ok(commit("h").of(&[("tea", 1)]));
        shop.ok(place_hold("o2", "ann", "h"));
        shop.ok(reserve("nobody's", &[("tea", 7)]));
        shop.ok(commit("nobody's"));
        let before = shop.books("tea");
        assert_eq!(before, (100 - 3 - 1 - 7, 3, 11));
        shop.wait(KEEP_MS);
        if reload {
            shop.reload();
        }
        assert_eq!(shop.books("tea"), before);
        shop.ok(cancel("o2"));
        shop.wait(KEEP_MS);
        assert_eq!(shop.books("tea"), (89, 0, 11));
        assert_eq!(shop.store.info(shop.now).orders, [0; 8]);
    }
}

#[test]
fn a_keep_ms_that_changes_counts_for_what_ends_from_then_on() {
    let mut shop = shop();
    for id in ["a", "b"] {
        shop.ok(place(id, "ann", &[("tea", 1)]));
        shop.ok(complete(id));
        shop.ok(configure(&[(Field::KeepMs, 10)]));
    }
    shop.wait(10);
    assert!(shop.store.order(shop.now, b"a").is_some() && shop.store.order(shop.now, b"b").is_none());
    shop.wait(KEEP_MS);
    assert!(shop.store.order(shop.now, b"a").is_none());
}

#[test]
fn the_longest_keep_ms_keeps_for_ever() {
    let mut shop = shop();
    shop.ok(configure(&[(Field::KeepMs, crate::base::units::MAX_QUANTITY)]));
    shop.ok(place("o", "ann", &[("tea", 1)]));
    shop.ok(complete("o"));
    shop.reload();
    shop.wait(100 * 365 * 86_400_000);
    assert!(shop.store.order(shop.now, b"o").is_some());
}

#[test]
fn slots_that_are_used_again_mix_nothing_up() {
    let mut shop = shop();
    for round in 0..20u64 {
        for i in 0..5u64 {
            let (id, name) = (format!("o{i}"), format!("c{}", (round + i) % 7));
            shop.ok(place(&id, &name, &[("tea", 1)]));
            shop.ok(reserve(&id, &[("tea", 1)]).by(&name).ttl(5));
            if (round + i) % 3 == 0 {
                shop.ok(cancel(&id));
            } else {
                shop.ok(complete(&id));
                shop.ok(give_back(&id, &[("tea", 1)]));
            }
            assert_eq!(shop.store.order(shop.now, id.as_bytes()).unwrap().customer, name.as_bytes());
        }
        shop.wait(5);
        shop.wait(KEEP_MS);
    }
    let info = shop.store.info(shop.now);
    assert_eq!((shop.books("tea"), info.orders, info.holds, info.customers), ((100, 0, 0), [0; 8], 0, 0));
}

#[test]
fn a_usual_end_is_kept_in_a_short_slot_until_the_order_is_forgotten_or_has_more() {
    let mut shop = shop();
    let kept = |shop: &Shop| shop.store.orders.ends().kept();
    // The content of the last one takes memory of its own: its end is put behind it, and takes no slot.
    let long = "an order whose id is longer than usual";
    for order in ["a", "b", "c", "d", long] {
        shop.ok(place(order, "ann", &[("tea", 1)]));
        shop.ok(claim("w", 1));
        assert_eq!(shop.ok(complete(order)), shop.repeats(complete(order)));
    }
    shop.ok(place("x", "ann", &[("tea", 1)]));
    shop.ok(cancel("x"));
    assert_eq!(kept(&shop), (1, 5));
    shop.reload();
    assert_eq!(kept(&shop), (1, 5));
    for order in ["a", long] {
        let history = &shop.order(order).history;
        assert!(matches!(history[..], [HistoryEvent::Claimed { worker: b"w", attempt: 1, .. }]), "{history:?}");
    }
    // One with returns is kept in another way; the slot is used again.
    shop.ok(give_back("b", &[("tea", 1)]));
    shop.ok(give_back(long, &[("tea", 1)]));
    assert_eq!(kept(&shop), (1, 4));
    shop.wait(KEEP_MS);
    assert_eq!((kept(&shop), shop.store.info(shop.now).orders), ((0, 0), [0; 8]));
}

#[test]
fn a_worker_is_named_as_long_as_an_order_that_it_ended_is_remembered() {
    let mut shop = shop();
    let named = |shop: &Shop| shop.store.orders.ends().kept().0;
    for (order, worker) in [("a", "ann's laptop"), ("b", "bob's laptop"), ("c", "bob's laptop")] {
        shop.ok(place(order, "ann", &[("tea", 1)]));
        shop.ok(claim(worker, 1));
        shop.ok(complete(order));
    }
    shop.reload();
    assert_eq!(named(&shop), 2);
    let events = shop.store.order(shop.now, b"b").unwrap().history;
    assert!(matches!(events[..], [HistoryEvent::Claimed { worker: b"bob's laptop", attempt: 1, .. }]), "{events:?}");
    // An order with returns keeps its history in another way.
    shop.ok(give_back("a", &[("tea", 1)]));
    assert_eq!(named(&shop), 1);
    shop.wait(KEEP_MS);
    assert_eq!(named(&shop), 0);
}
