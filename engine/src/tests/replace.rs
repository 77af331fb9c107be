//! `INV.RESERVE … REPLACE`, and the bounds of a hold's life and size.

use super::build::*;
use super::command::Reply::{Time, Units};
use super::shop::{START, Shop};
use crate::terms::effects::Event;
use crate::terms::settings::Field;
use crate::terms::states::HoldState;

#[test]
fn a_cart_changes_in_one_step_in_which_its_own_units_are_not_in_the_way() {
    let mut shop = Shop::with(&[("tea", 5), ("milk", 3)]);
    shop.ok(reserve("h", &[("tea", 5), ("milk", 1)]).by("ann").ttl(100));
    shop.now += 10;
    let cart = replace("h", &[("milk", 3), ("tea", 4)]).by("ann").ttl(100);
    assert_eq!(shop.changes(cart.clone()), Time(START + 110));
    assert_eq!(shop.events(), [Event::StockOut, Event::HoldReserved], "the last of the milk is gone, the tea is not");
    assert_eq!((shop.books("tea"), shop.books("milk")), ((5, 4, 0), (3, 3, 0)));
    let hold = shop.store.hold(b"h").unwrap();
    assert_eq!((hold.state, hold.deadline), (HoldState::Live, START + 110));
    assert_eq!(hold.items, [(&b"milk"[..], 3, 3, 0), (&b"tea"[..], 4, 4, 0)]);
    // The same again, after a lost reply, changes nothing; nor does a RESERVE of what the hold is now.
    shop.now += 10;
    assert_eq!(shop.repeats(cart.clone()), Time(START + 110));
    assert_eq!(shop.repeats(reserve("h", &[("tea", 4), ("milk", 3)]).by("ann").ttl(100)), Time(START + 110));
    // What it is not any more is another content.
    assert!(shop.refused(reserve("h", &[("tea", 5), ("milk", 1)]).by("ann").ttl(100)).starts_with("MISMATCH"));
    // It expires at its new deadline.
    shop.wait(89);
    assert_eq!(shop.store.hold(b"h").unwrap().state, HoldState::Live);
    shop.wait(1);
    assert_eq!((shop.books("tea"), shop.books("milk")), ((5, 0, 0), (3, 0, 0)));
    shop.reload();
}

#[test]
fn a_hold_that_nobody_had_is_made() {
    let mut shop = Shop::with(&[("tea", 5)]);
    assert_eq!(shop.changes(replace("h", &[("tea", 5)]).ttl(7)), Time(START + 7));
    assert_eq!(shop.repeats(replace("h", &[("tea", 5)]).ttl(7)), Time(START + 7));
}

#[test]
fn a_refused_one_leaves_the_hold_as_it_was() {
    let mut shop = Shop::with(&[("tea", 5), ("milk", 1)]);
    shop.ok(configure(&[(Field::Limit, 6), (Field::HoldMaxUnits, 9)]));
    shop.ok(reserve("h", &[("tea", 4)]).by("ann"));
    let cart = |tea, milk| replace("h", &[("tea", tea), ("milk", milk)]).by("ann");
    // What is available to this cart is what is available, and its own.
    assert_eq!(shop.refused(cart(6, 1)), "LIMIT customer ann limit 6 has 0");
    assert_eq!(shop.refused(replace("h", &[("tea", 6)]).by("ann")), "OUTOFSTOCK tea wanted 6 available 5");
    assert_eq!(shop.refused(cart(1, 2)), "OUTOFSTOCK milk wanted 2 available 1");
    let text = "ERR ITEMS must add up to at most 9 units (hold-max-units), got 10";
    assert_eq!(shop.refused(cart(9, 1)), text);
    assert_eq!(shop.refused(reserve("new", &[("tea", 10)])), text);
    assert_eq!(shop.refused(replace("h", &[("jam", 1)])), "NOSKU no SKU jam in this store");
    shop.ok(configure(&[(Field::Closes, START + 1)]));
    shop.now += 1;
    assert!(shop.refused(cart(1, 1)).starts_with("CLOSED"));
    assert_eq!(shop.store.hold(b"h").unwrap().items, [(&b"tea"[..], 4, 4, 0)]);
}

#[test]
fn limits_look_at_what_is_taken_on_top() {
    let mut shop = Shop::new();
    shop.ok(set("tea", 50).limit(5));
    shop.ok(set("milk", 50));
    shop.ok(configure(&[(Field::Limit, 8)]));
    shop.ok(reserve("h", &[("tea", 5), ("milk", 3)]).by("ann"));
    // The whole limit is this cart's.
    shop.ok(replace("h", &[("tea", 2), ("milk", 6)]).by("ann"));
    shop.ok(replace("h", &[("tea", 5), ("milk", 3)]).by("ann"));
    assert_eq!(shop.refused(replace("h", &[("tea", 6)]).by("ann")), "LIMIT customer ann limit 5 has 0 of tea");
    assert_eq!(shop.refused(replace("h", &[("milk", 9)]).by("ann")), "LIMIT customer ann limit 8 has 0");
    // Limits that were lowered since let a cart become smaller, and not larger.
    shop.ok(set("tea", 50).limit(1));
    shop.ok(configure(&[(Field::Limit, 2)]));
    shop.ok(replace("h", &[("tea", 4), ("milk", 3)]).by("ann"));
    assert!(shop.refused(replace("h", &[("tea", 5)]).by("ann")).starts_with("LIMIT"));
    assert!(shop.refused(replace("h", &[("tea", 4), ("milk", 4)]).by("ann")).starts_with("LIMIT"));
    // A hold next to it counts.
    shop.ok(configure(&[(Field::Limit, 9)]));
    shop.ok(reserve("other", &[("milk", 2)]).by("ann"));
    assert_eq!(shop.refused(replace("h", &[("milk", 8)]).by("ann")), "LIMIT customer ann limit 9 has 2");
}

#[test]
fn a_guest_signs_in_and_a_cart_changes_hands() {
    let mut shop = Shop::with(&[("tea", 5)]);
    shop.ok(configure(&[(Field::Limit, 5)]));
    shop.ok(reserve("h", &[("tea", 5)]));
    // All the units are the guest's own, and all of them count for the customer from now on.
    shop.ok(replace("h", &[("tea", 5)]).by("ann"));
    assert_eq!(shop.books("tea"), (5, 5, 0));
    assert_eq!(shop.refused(place("o", "ann", &[("tea", 1)])), "LIMIT customer ann limit 5 has 5");
    shop.ok(replace("h", &[("tea", 4)]).by("bob"));
    assert_eq!(shop.store.info(shop.now).customers, 1, "nothing is left of ann");
    shop.ok(place("o", "bob", &[("tea", 1)]));
    assert_eq!(shop.refused(replace("h", &[("tea", 5)]).by("bob")), "LIMIT customer bob limit 5 has 1");
    // bob has an order: that he has no units of the hold any more does not take the order's.
    shop.ok(replace("h", &[("tea", 4)]));
    assert_eq!(shop.store.info(shop.now).customers, 1);
    shop.ok(place_hold("o2", "cyd", "h"));
    assert_eq!(shop.refused(replace("h", &[("tea", 1)])), "BADSTATE hold is ordered");
}

#[test]
fn a_hold_that_ended_begins_anew() {
    let mut shop = Shop::with(&[("tea", 10)]);
    let cart = |ttl| replace("h", &[("tea", 4)]).by("ann").ttl(ttl);
    shop.ok(cart(100));
    shop.ok(release("h"));
    assert_eq!(shop.changes(cart(100)), Time(START + 100), "the same, but it had ended");
    assert_eq!((shop.books("tea"), shop.store.info(shop.now).holds), ((10, 4, 0), 1));
    shop.wait(100);
    assert_eq!((shop.books("tea"), shop.store.info(shop.now).holds), ((10, 0, 0), 0));
    assert_eq!(shop.changes(cart(50)), Time(START + 150));
    // Past its deadline, and not swept yet: it has ended all the same, and its units are still its own.
    shop.now += 50;
    assert_eq!(shop.changes(cart(60)), Time(START + 210));
    assert_eq!(shop.books("tea"), (10, 4, 0));
    shop.ok(commit("h"));
    assert_eq!(shop.changes(cart(60)), Time(START + 210), "what was committed left, this is a new hold");
    assert_eq!(shop.books("tea"), (6, 4, 4));
    shop.wait(60);
    shop.wait(86_400_000);
    assert_eq!(shop.books("tea"), (6, 0, 4));
    assert!(shop.store.hold(b"h").is_none());
}

#[test]
fn what_was_committed_of_a_hold_stays_sold() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(configure(&[(Field::Limit, 6)]));
    shop.ok(reserve("h", &[("tea", 5)]).by("ann"));
    shop.ok(commit("h").of(&[("tea", 2)]));
    shop.ok(release("h").of(&[("tea", 1)]));
    // The units that were asked for are not the units it has: that is no repeated call.
    shop.changes(replace("h", &[("tea", 4)]).by("ann"));
    assert_eq!(shop.books("tea"), (8, 4, 2));
    assert_eq!(shop.refused(replace("h", &[("tea", 5)]).by("ann")), "LIMIT customer ann limit 6 has 2");
    shop.reload();
    // For another customer the sold ones stay with the first.
    shop.ok(replace("h", &[("tea", 6)]).by("bob"));
    assert_eq!(shop.refused(place("o", "ann", &[("tea", 5)])), "LIMIT customer ann limit 6 has 2");
    let back = give_back("gone", &[("tea", 2)]).by("ann").reference("rma");
    assert_eq!(shop.ok(back), Units(2));
    assert_eq!(shop.books("tea"), (10, 6, 0));
}

#[test]
fn a_count_below_what_is_held_lets_a_cart_become_smaller_only() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(reserve("h", &[("tea", 8)]));
    shop.ok(set("tea", 3));
    assert_eq!(shop.refused(replace("h", &[("tea", 9)])), "OUTOFSTOCK tea wanted 9 available 8");
    shop.ok(replace("h", &[("tea", 7)]));
    assert_eq!(shop.books("tea"), (3, 7, 0));
}

#[test]
fn an_audit_that_is_under_way_follows() {
    let mut shop = Shop::with(&[("tea", 90), ("milk", 90)]);
    for i in 0..9 {
        shop.ok(reserve(&format!("h{i}"), &[("tea", 2)]).by("ann"));
        shop.ok(commit(&format!("h{i}")).of(&[("tea", 1)]));
    }
    shop.store.audit_start();
    for i in 0..9 {
        assert_eq!(shop.store.audit_slice(1), None);
        let mut fx = Default::default();
        replace(&format!("h{i}"), &[("milk", 3)]).by("bob").apply(&mut shop.store, shop.now, &mut fx).unwrap();
    }
    let differences = std::iter::from_fn(|| Some(shop.store.audit_slice(2))).flatten().next();
    assert_eq!(differences, Some(Vec::new()));
}

#[test]
fn a_hold_lives_no_longer_than_the_store_lets_it() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(configure(&[(Field::HoldMaxMs, 100)]));
    assert_eq!(shop.ok(reserve("a", &[("tea", 1)])), Time(START + 100), "without TTL it would be hold-ms");
    assert_eq!(shop.ok(reserve("b", &[("tea", 1)]).ttl(60)), Time(START + 60));
    shop.now += 30;
    assert_eq!(shop.changes(extend("b", 50)), Time(START + 80));
    assert_eq!(shop.changes(extend("b", 500)), Time(START + 100), "its life counts from its start");
    assert_eq!(shop.repeats(extend("b", 500)), Time(START + 100));
    // Replacing a live hold is no way around it, neither by a repeated call nor with others in between.
    assert_eq!(shop.changes(replace("b", &[("tea", 2)]).ttl(500)), Time(START + 100));
    assert_eq!(shop.repeats(replace("b", &[("tea", 2)]).ttl(500)), Time(START + 100));
    shop.reload();
    shop.now += 30;
    assert_eq!(shop.changes(replace("b", &[("tea", 1)]).ttl(10)), Time(START + 70));
    assert_eq!(shop.changes(extend("b", 500)), Time(START + 100));
    // One that ended starts anew.
    shop.wait(40);
    assert_eq!(shop.changes(replace("b", &[("tea", 1)]).ttl(500)), Time(START + 200));
}

#[test]
fn a_bound_that_is_lowered_changes_no_live_hold() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(reserve("h", &[("tea", 5)]).ttl(1_000));
    shop.ok(configure(&[(Field::HoldMaxMs, 100), (Field::HoldMaxUnits, 3)]));
    shop.now += 500;
    assert_eq!(shop.repeats(extend("h", 900)), Time(START + 1_000));
    assert_eq!(shop.repeats(replace("h", &[("tea", 5)]).ttl(1_000)), Time(START + 1_000));
    assert_eq!(shop.changes(replace("h", &[("tea", 3)]).ttl(9_000)), Time(START + 1_000));
    assert_eq!(shop.store.hold(b"h").unwrap().state, HoldState::Live);
}
