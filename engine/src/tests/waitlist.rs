//! Orders that wait for stock.

use super::build::*;
use super::command::Command;
use super::command::Reply::{self, Units, Unlisted};
use super::published::Published;
use super::shop::{START, Shop, loaded, saved};
use crate::terms::effects::Event;
use crate::terms::settings::Field;
use crate::terms::states::OrderState;
use crate::terms::streams::StreamKind;

/// A shop without tea, for which these orders wait, as they came.
fn waited_for(orders: &[(&str, u64)]) -> Shop {
    let mut shop = Shop::with(&[("tea", 0), ("milk", 5)]);
    for (order, qty) in orders {
        assert_eq!(shop.changes(place(order, "ann", &[("tea", *qty)]).wait(0)), Unlisted);
    }
    shop
}

fn waiting(shop: &Shop) -> Vec<String> {
    let waits = |id: &&str| shop.state(id) == OrderState::Waitlisted;
    ["a", "b", "c", "d"]
        .into_iter()
        .filter(|id| shop.store.order(0, id.as_bytes()).is_some())
        .filter(waits)
        .map(String::from)
        .collect()
}

#[test]
fn an_order_of_what_is_there_does_not_wait() {
    let mut shop = Shop::with(&[("tea", 2)]);
    let Reply::Entry(entry) = shop.changes(place("o", "ann", &[("tea", 2)]).wait(5)) else { panic!("it is not short") };
    assert_eq!((shop.state("o"), shop.order("o").entry), (OrderState::Queued, Some(entry)));
    shop.wait(10);
    assert_eq!(shop.state("o"), OrderState::Queued, "the wait ends nothing that did not begin");
}

#[test]
fn a_short_order_takes_what_is_there_and_waits_for_the_rest() {
    let mut shop = Shop::with(&[("tea", 2), ("milk", 9)]);
    let order = place("o", "ann", &[("tea", 5), ("milk", 3)]).wait(0);
    assert_eq!(shop.changes(order.clone()), Unlisted);
    assert_eq!(shop.published(), [], "no entry");
    assert_eq!((shop.books("tea"), shop.books("milk")), ((2, 2, 0), (9, 3, 0)));
    assert_eq!((shop.sku("tea").waiting, shop.sku("milk").waiting), (3, 0));
    let missing = |shop: &Shop| shop.order("o").items.iter().map(|item| item.missing).collect::<Vec<_>>();
    assert_eq!(missing(&shop), [3, 0]);
    assert_eq!((shop.order("o").entry, shop.store.entries(StreamKind::Orders)), (None, Some(0)));
    assert_eq!(shop.repeats(order.clone()), Unlisted);
    shop.reload();
    shop.changes(adjust("tea", 2));
    assert_eq!((shop.state("o"), shop.sku("tea").waiting), (OrderState::Waitlisted, 1));
    assert_eq!(missing(&shop), [1, 0]);
    shop.changes(adjust("tea", 1));
    assert_eq!(missing(&shop), [0, 0], "it has all");
    let entry = shop.order("o").entry.expect("it is queued");
    assert_eq!(shop.published(), [Published::Queued(b"o".to_vec(), entry)]);
    assert_eq!(shop.events(), [Event::StockChanged, Event::OrderQueued]);
    assert_eq!((shop.sku("tea").waiting, shop.books("tea")), (0, (5, 5, 0)));
    assert_eq!((shop.order("o").placed_at, shop.story("o")), (START, vec!["gathered".to_string()]));
    assert_eq!(shop.repeats(order), Unlisted, "the first reply");
    assert!(shop.refused(place("o", "ann", &[("tea", 4)]).wait(0)).starts_with("MISMATCH "));
    assert_eq!(shop.claims("w", 5), ["o"]);
    shop.changes(complete("o"));
    assert_eq!(shop.books("tea"), (0, 0, 5));
}

#[test]
fn units_go_to_the_head_of_the_line_however_they_come_free() {
    let frees: Vec<(&str, Vec<Command>, Command)> = vec![
        ("a count", vec![], set("tea", 3)),
        ("an adjustment", vec![], adjust("tea", 1)),
        ("a feed", vec![], sync("erp", 1, &[("tea", 3)])),
        ("less safety", vec![set("tea", 3).safety(1)], set("tea", 3).safety(0)),
        ("a release", vec![], release("held")),
        ("a cancel", vec![], cancel("placed")),
        ("a death", vec![], fail("placed").fatal()),
        ("a return", vec![complete("placed")], give_back("placed", &[("tea", 1)])),
        ("an edit", vec![], edit("placed", &[("milk", 1)])),
        ("a cart that changes", vec![], replace("held", &[("milk", 1)])),
    ];
    for (how, before, free) in frees {
        let mut shop = Shop::with(&[("tea", 2), ("milk", 5)]);
        shop.ok(reserve("held", &[("tea", 1)]));
        shop.ok(place("placed", "bob", &[("tea", 1)]));
        before.into_iter().for_each(|command| drop(shop.ok(command)));
        for id in ["a", "b"] {
            assert_eq!(shop.changes(place(id, "ann", &[("tea", 1)]).wait(0)), Unlisted, "{how}");
        }
        shop.changes(free);
        assert_eq!((shop.state("a"), waiting(&shop)), (OrderState::Queued, vec!["b".to_string()]), "{how}");
        assert!(shop.sku("tea").available <= 0, "{how}");
        assert!(shop.refused(place("new", "cyd", &[("tea", 1)])).starts_with("OUTOFSTOCK "), "{how}: nobody overtakes");
    }
}

#[test]
fn a_hold_that_has_no_unit_left_of_what_others_wait_for_expires_without_an_entry() {
    let mut shop = Shop::with(&[("tea", 2), ("milk", 1)]);
    shop.ok(reserve("h", &[("tea", 2), ("milk", 1)]).ttl(50));
    shop.ok(place("a", "ann", &[("tea", 1)]).wait(0));
    assert!(!shop.store.next_due_leaves_orders(), "its tea is waited for");
    shop.ok(commit("h").of(&[("tea", 2)]));
    assert!(shop.store.next_due_leaves_orders(), "nothing that others wait for is left in it");
    shop.wait(50);
    assert_eq!((shop.published(), shop.books("milk")), (Vec::new(), (1, 0, 0)));
}

#[test]
fn a_hold_that_expires_frees_units_for_those_who_wait() {
    let mut shop = Shop::with(&[("tea", 2)]);
    shop.ok(reserve("h", &[("tea", 2)]).ttl(50));
    assert!(shop.store.next_due_leaves_orders());
    shop.ok(place("a", "ann", &[("tea", 1)]).wait(0));
    shop.ok(place("b", "bob", &[("tea", 2)]).wait(0));
    assert!(!shop.store.next_due_leaves_orders(), "its end writes the stream of orders");
    shop.now += 50;
    shop.ok(sweep(1));
    assert_eq!((shop.state("a"), waiting(&shop)), (OrderState::Queued, vec!["b".to_string()]));
    assert_eq!((shop.sku("tea").waiting, shop.books("tea")), (1, (2, 2, 0)));
}

#[test]
fn a_small_order_does_not_overtake_a_large_one() {
    let mut shop = waited_for(&[("a", 5), ("b", 1)]);
    shop.ok(adjust("tea", 4));
    assert_eq!(waiting(&shop), ["a", "b"]);
    shop.ok(adjust("tea", 1));
    assert_eq!(waiting(&shop), ["b"]);
    shop.ok(adjust("tea", 3));
    assert_eq!((waiting(&shop), shop.sku("tea").available), (vec![], 2));
    assert_eq!(shop.claims("w", 9), ["a", "b"]);
}

#[test]
fn lines_that_cross_do_not_wait_for_each_other() {
    let mut shop = Shop::with(&[("tea", 0), ("milk", 0)]);
    shop.ok(place("a", "ann", &[("tea", 1), ("milk", 1)]).wait(0));
    shop.ok(place("b", "bob", &[("milk", 1), ("tea", 1)]).wait(0));
    shop.ok(adjust("milk", 1));
    shop.ok(adjust("tea", 1));
    assert_eq!(waiting(&shop), ["b"]);
    shop.ok(sync("erp", 1, &[("milk", 2), ("tea", 2)]));
    assert_eq!(waiting(&shop), [""; 0]);
}

#[test]
fn who_came_first_is_queued_first_whatever_came_in() {
    let mut shop = Shop::with(&[("tea", 0), ("milk", 0)]);
    shop.ok(place("a", "ann", &[("milk", 1)]).wait(0));
    shop.ok(place("b", "bob", &[("tea", 1)]).wait(0));
    shop.ok(sync("erp", 1, &[("tea", 1), ("milk", 1)]));
    assert_eq!(shop.claims("w", 9), ["a", "b"]);
}

#[test]
fn a_backlog_bounds_how_many_units_are_waited_for() {
    let mut shop = Shop::with(&[("tea", 1)]);
    shop.ok(set("tea", 1).backlog(3));
    assert_eq!(shop.sku("tea").backlog, Some(3));
    let refused = shop.refused(place("x", "ann", &[("tea", 5)]).wait(0));
    assert_eq!(refused, "OUTOFSTOCK tea wanted 5 available 1 backlog 0 of 3");
    assert_eq!(shop.ok(place("a", "ann", &[("tea", 3)]).wait(0)), Unlisted);
    let refused = shop.refused(place("x", "ann", &[("tea", 2)]).wait(0));
    assert_eq!(refused, "OUTOFSTOCK tea wanted 2 available 0 backlog 2 of 3");
    assert_eq!(shop.ok(place("b", "ann", &[("tea", 1)]).wait(0)), Unlisted);
    shop.ok(set("tea", 1));
    assert_eq!(shop.sku("tea").backlog, Some(3), "a count that does not name it leaves it as it is");
    shop.ok(set("tea", 1).backlog(0));
    assert_eq!(waiting(&shop), ["a", "b"], "who waits goes on waiting");
    let refused = shop.refused(place("x", "ann", &[("tea", 1)]).wait(0));
    assert_eq!(refused, "OUTOFSTOCK tea wanted 1 available 0 backlog 3 of 0");
    shop.reload();
    shop.ok(set("tea", 1).backlog((1 << 53) - 1));
    assert_eq!(shop.sku("tea").backlog, None);
    assert_eq!(shop.ok(place("c", "ann", &[("tea", 1)]).wait(0)), Unlisted);
}

#[test]
fn without_wait_a_short_order_is_refused() {
    let mut shop = waited_for(&[("a", 1)]);
    assert_eq!(shop.refused(place("x", "ann", &[("tea", 1)])), "OUTOFSTOCK tea wanted 1 available 0");
    assert!(shop.refused(place("x", "ann", &[("none", 1)]).wait(0)).starts_with("NOSKU "));
    shop.ok(configure(&[(Field::Limit, 1)]));
    assert!(shop.refused(place("x", "ann", &[("tea", 1)]).wait(0)).starts_with("LIMIT "), "who waits has units");
    let most = (1 << 53) - shop.now;
    assert!(shop.refused(place("x", "bob", &[("tea", 1)]).wait(most)).starts_with("ERR WAIT "));
    shop.ok(configure(&[(Field::Opens, START + 50)]));
    assert!(shop.refused(place("x", "bob", &[("tea", 1)]).wait(0)).starts_with("NOTOPEN "));
}

#[test]
fn an_order_that_came_in_time_is_queued_after_the_sale_closed() {
    let mut shop = waited_for(&[("a", 1)]);
    shop.ok(configure(&[(Field::Closes, START + 10)]));
    shop.wait(20);
    assert!(shop.refused(place("b", "bob", &[("tea", 1)]).wait(0)).starts_with("CLOSED "));
    shop.ok(adjust("tea", 1));
    assert_eq!(shop.state("a"), OrderState::Queued);
}

#[test]
fn a_wait_that_is_over_cancels_the_order_and_its_units_go_on() {
    let mut shop = Shop::with(&[("tea", 1), ("milk", 9)]);
    shop.ok(place("a", "ann", &[("tea", 2), ("milk", 2)]).wait(30));
    shop.ok(place("b", "bob", &[("tea", 1)]).wait(0));
    shop.reload();
    assert_eq!((shop.order("a").due, shop.store.next_due()), (START + 30, Some(START + 30)));
    shop.wait(29);
    assert_eq!(waiting(&shop), ["a", "b"]);
    shop.now += 1;
    shop.ok(sweep(1));
    assert_eq!((shop.state("a"), shop.order("a").reason), (OrderState::Cancelled, &b"waitlist expired"[..]));
    assert_eq!(shop.events(), [Event::OrderCancelled, Event::OrderQueued]);
    assert_eq!((shop.state("b"), shop.sku("milk").held), (OrderState::Queued, 0));
    let counters = shop.store.info(shop.now).counters;
    assert_eq!((counters.waitlist_expired, counters.cancelled, counters.placed), (1, 1, 2));
    assert_eq!(shop.refused(place("a", "ann", &[("tea", 2), ("milk", 2)]).wait(30)), "BADSTATE order is cancelled");
}

#[test]
fn a_cancel_puts_back_what_was_gathered() {
    let mut shop = Shop::with(&[("tea", 3), ("milk", 1)]);
    shop.ok(place("a", "ann", &[("tea", 4), ("milk", 1)]).wait(0));
    shop.ok(place("b", "bob", &[("tea", 2)]).wait(0));
    assert_eq!(shop.changes(cancel("a").note("no")), Units(4));
    assert_eq!(shop.published().len(), 1, "nothing leaves a stream, b enters one: {:?}", shop.published());
    assert_eq!(shop.repeats(cancel("a").note("no")), Units(4), "the first reply");
    assert_eq!((shop.state("b"), shop.books("tea"), shop.sku("tea").available), (OrderState::Queued, (3, 2, 0), 1));
    shop.reload();
    assert_eq!(shop.repeats(cancel("a").note("no")), Units(4));
    shop.wait(86_400_000);
    assert!(shop.refused(cancel("a")).starts_with("NOORDER "), "it is forgotten as others are");
}

#[test]
fn workers_never_get_an_order_that_waits() {
    let mut shop = waited_for(&[("a", 1)]);
    assert_eq!(shop.claims("w", 9), [""; 0]);
    assert!(!shop.store.has_work());
    for command in [complete("a"), fail("a"), fail("a").fatal(), advance("a", "picked"), redrive("a")] {
        assert_eq!(shop.refused(command), "BADSTATE order is waitlisted");
    }
    for command in [renew("a", 5), complete("a").token(5), take_back("a", 5)] {
        assert_eq!(shop.refused(command), "FENCED current token 0, nobody has the order: it is waitlisted");
    }
    assert_eq!(shop.refused(give_back("a", &[("tea", 1)])), "BADSTATE order is waitlisted");
}

#[test]
fn an_order_joins_its_group_when_it_is_queued() {
    let mut shop = Shop::with(&[("tea", 0), ("milk", 9)]);
    shop.ok(place("a", "ann", &[("tea", 1)]).group("g").wait(0));
    shop.ok(place("b", "ann", &[("milk", 1)]).group("g"));
    assert_eq!(shop.claims("w", 9), ["b"], "who waits for stock holds up nobody");
    shop.ok(adjust("tea", 1));
    assert_eq!((shop.state("a"), shop.claims("w", 9)), (OrderState::Queued, vec![]));
    shop.ok(complete("b"));
    assert_eq!(shop.claims("w", 9), ["a"]);
    shop.reload();
    shop.ok(complete("a"));
    shop.wait(86_400_000);
    assert_eq!(shop.store.queue.find_group(b"g"), None);
}

#[test]
fn what_is_gathered_stays_when_the_count_falls() {
    let mut shop = Shop::with(&[("tea", 3)]);
    shop.ok(place("a", "ann", &[("tea", 4)]).wait(0));
    shop.ok(adjust("tea", -2));
    assert_eq!((shop.books("tea"), shop.sku("tea").available), ((1, 3, 0), -2));
    shop.ok(adjust("tea", 2));
    assert_eq!(
        (shop.state("a"), shop.sku("tea").available),
        (OrderState::Waitlisted, 0),
        "what was missing comes first"
    );
    shop.ok(adjust("tea", 1));
    assert_eq!(shop.state("a"), OrderState::Queued);
}

#[test]
fn a_hold_becomes_an_order_that_never_waits() {
    let mut shop = Shop::with(&[("tea", 1)]);
    shop.ok(reserve("h", &[("tea", 1)]));
    assert!(matches!(shop.changes(place_hold("o", "ann", "h").wait(5)), Reply::Entry(_)));
    assert_eq!(shop.state("o"), OrderState::Queued);
}

#[test]
fn the_journal_tells_what_is_set_aside() {
    let mut shop = Shop::with(&[("tea", 1)]);
    shop.ok(configure(&[(Field::Journal, 100)]));
    let moves = |shop: &Shop| -> Vec<String> {
        let all = super::published::published(&shop.store, &shop.fx);
        let moved = |published: &Published| match published {
            Published::Moved(m) => Some(format!("{} {:+} {}/{}", m.kind, m.delta, m.on_hand, m.held)),
            _ => None,
        };
        all.iter().filter_map(moved).collect()
    };
    shop.ok(place("a", "ann", &[("tea", 3)]).wait(0));
    assert_eq!(moves(&shop), ["place +1 1/1"]);
    shop.ok(place("b", "bob", &[("tea", 1)]).wait(0));
    assert_eq!(moves(&shop), [""; 0]);
    shop.ok(adjust("tea", 1));
    assert_eq!(moves(&shop), ["adjust +1 2/1", "waitlist +1 2/2"]);
    shop.ok(cancel("a"));
    assert_eq!(moves(&shop), ["cancel -2 2/0", "waitlist +1 2/1"]);
}

/// A shop in which so many orders of one wait for tea.
fn long_line(count: u64) -> Shop {
    let mut shop = Shop::with(&[("tea", 0)]);
    for i in 0..count {
        let id = format!("o{i}");
        place(&id, &id, &[("tea", 1)]).wait(0).apply(&mut shop.store, shop.now, &mut Default::default()).unwrap();
    }
    shop
}

#[test]
fn a_long_line_is_served_in_slices_and_nobody_overtakes_meanwhile() {
    let mut shop = long_line(1_000);
    assert_eq!(shop.ok(adjust("tea", 700)), Reply::OnHand(700));
    let queued = |shop: &Shop| shop.store.info(shop.now).orders[OrderState::Queued as usize];
    assert_eq!((queued(&shop), shop.sku("tea").waiting, shop.books("tea")), (64, 300, (700, 700, 0)));
    assert!(shop.store.next_due().is_some_and(|due| due <= shop.now), "the others are due");
    assert!(!shop.store.next_due_leaves_orders());
    // Meanwhile, nothing is available, and who comes now stands behind all.
    assert_eq!(shop.refused(place("new", "bob", &[("tea", 1)])), "OUTOFSTOCK tea wanted 1 available 0");
    assert_eq!(shop.ok(place("last", "bob", &[("tea", 1)]).wait(0)), Unlisted);
    let (digest, again) = (shop.store.digest(), loaded(&saved(&shop.store), 4).unwrap());
    assert_eq!((again.digest(), again.next_due()), (digest, shop.store.next_due()));
    // Whoever leaves now passes on what is set aside for it.
    shop.ok(cancel("o70"));
    shop.ok(cancel("o999"));
    let mut slices = 0;
    while shop.store.next_due().is_some_and(|due| due <= shop.now) {
        shop.ok(sweep(100));
        assert!(shop.fx.list.len() <= 2 * (100 / 4 + 64), "{}", shop.fx.list.len());
        slices += 1;
    }
    assert!(slices > 20, "{slices}");
    assert_eq!((queued(&shop), shop.sku("tea").waiting, shop.books("tea")), (700, 299, (700, 700, 0)));
    assert_eq!((shop.state("o700"), shop.state("o701")), (OrderState::Queued, OrderState::Waitlisted));
    let wanted: Vec<_> = (0..=700).filter(|i| *i != 70).map(|i| format!("o{i}")).collect();
    assert_eq!(shop.claims("w", 1_000), wanted);
}

#[test]
fn what_is_set_aside_for_nobody_any_more_is_available() {
    let mut shop = long_line(80);
    shop.ok(configure(&[(Field::Journal, 100)]));
    shop.ok(adjust("tea", 80));
    assert_eq!((shop.sku("tea").waiting, shop.sku("tea").available), (0, 0));
    shop.ok(cancel("o70"));
    assert_eq!((shop.sku("tea").available, shop.books("tea")), (1, (80, 79, 0)));
    shop.ok(place("new", "bob", &[("tea", 1)]));
    shop.wait(0);
    assert_eq!(shop.store.info(shop.now).orders[OrderState::Queued as usize], 80);
}

#[test]
fn no_deadline_waits_for_the_end_of_a_long_line() {
    let mut shop = long_line(2_000);
    shop.ok(set("milk", 5));
    shop.ok(reserve("h", &[("milk", 1)]).ttl(10));
    shop.ok(adjust("tea", 2_000));
    shop.now += 10;
    shop.ok(sweep(100));
    assert_eq!(shop.books("milk"), (5, 0, 0), "the hold expired");
    assert!(shop.store.next_due().is_some_and(|due| due <= shop.now), "and the line is not at its end");
}

#[test]
fn an_order_that_waits_is_edited_in_its_place() {
    let mut shop = Shop::with(&[("tea", 2), ("milk", 5)]);
    let order = place("a", "ann", &[("tea", 5), ("milk", 1)]).wait(0);
    shop.ok(order.clone());
    shop.ok(place("b", "bob", &[("tea", 1)]).wait(0));
    assert_eq!(shop.changes(edit("a", &[("tea", 3), ("milk", 2)])), Units(5));
    assert_eq!((shop.sku("tea").waiting, shop.books("tea"), shop.books("milk")), (2, (2, 2, 0), (5, 2, 0)));
    assert_eq!(shop.repeats(order), Unlisted, "the first reply");
    shop.reload();
    shop.changes(edit("a", &[("tea", 1), ("milk", 2)]));
    assert_eq!(shop.events(), [Event::OrderEdited, Event::OrderQueued, Event::OrderQueued]);
    assert_eq!((waiting(&shop), shop.books("tea")), (vec![], (2, 2, 0)), "it has all, and b what it gave up");
    assert_eq!(shop.story("a"), ["edited to 5", "edited to 3", "gathered"]);
    assert_eq!(shop.claims("w", 9), ["a", "b"]);
}

#[test]
fn an_order_that_waits_waits_for_what_an_edit_adds_at_its_place() {
    let mut shop = Shop::with(&[("tea", 1), ("milk", 2), ("jam", 0)]);
    shop.ok(place("a", "ann", &[("tea", 2)]).wait(500));
    for (id, sku) in [("b", "tea"), ("c", "jam"), ("d", "milk")] {
        shop.ok(place(id, "bob", &[(sku, 3)]).wait(0));
    }
    let wanted = edit("a", &[("tea", 4), ("jam", 2)]);
    assert_eq!(shop.changes(wanted.clone()), Units(6));
    assert_eq!((shop.books("tea"), shop.sku("tea").waiting, shop.sku("jam").waiting), ((1, 1, 0), 6, 5));
    assert_eq!(shop.repeats(wanted), Units(6));
    shop.reload();
    // It is first in the line that it joined, as it came first.
    shop.ok(adjust("jam", 2));
    assert_eq!((shop.sku("jam").waiting, waiting(&shop).len()), (3, 4));
    shop.ok(adjust("jam", 3));
    assert_eq!(waiting(&shop), ["a", "b", "d"], "c has its three");
    shop.ok(adjust("tea", 3));
    assert_eq!((waiting(&shop), shop.order("a").entry.is_some()), (vec!["b".to_string(), "d".into()], true));
    // Of what is added it takes what is there, and waits for the others: within the backlog.
    shop.ok(set("milk", 2).backlog(2));
    shop.ok(set("rum", 1).backlog(2));
    let refused = shop.refused(edit("b", &[("tea", 3), ("milk", 2)]));
    assert_eq!(refused, "OUTOFSTOCK milk wanted 2 available 0 backlog 1 of 2");
    assert_eq!(shop.changes(edit("b", &[("tea", 3), ("rum", 3)])), Units(6));
    assert_eq!((shop.books("rum"), shop.sku("rum").waiting), ((1, 1, 0), 2));
    shop.ok(configure(&[(Field::Limit, 13)]));
    assert_eq!(shop.refused(edit("b", &[("tea", 8)])), "LIMIT customer bob limit 13 has 12");
    assert_eq!(shop.order("a").due, 0, "it is in time");
    // One that has all its units takes what is available only.
    assert_eq!(shop.refused(edit("a", &[("tea", 5)])), "OUTOFSTOCK tea wanted 1 available 0");
}

#[test]
fn an_edit_joins_a_line_of_which_some_are_served_already() {
    let mut shop = Shop::with(&[("tea", 0), ("milk", 0)]);
    shop.ok(place("a", "ann", &[("milk", 1)]).wait(0));
    for i in 0..80 {
        shop.ok(place(&format!("o{i}"), "bob", &[("tea", 1)]).wait(0));
    }
    shop.ok(adjust("tea", 65));
    assert_eq!((shop.sku("tea").waiting, shop.state("o64")), (15, OrderState::Waitlisted), "one is set aside for it");
    // It came before all of them: it gets that one.
    shop.ok(edit("a", &[("milk", 1), ("tea", 3)]));
    while shop.store.next_due().is_some_and(|due| due <= shop.now) {
        shop.ok(sweep(9));
    }
    let waits = ["a", "o63", "o64"].map(|id| shop.state(id) == OrderState::Waitlisted);
    assert_eq!((waits, shop.sku("tea").waiting), ([true, false, true], 18));
    shop.ok(adjust("tea", 2));
    shop.ok(adjust("milk", 1));
    assert_eq!((shop.state("a"), shop.state("o64")), (OrderState::Queued, OrderState::Waitlisted));
}

#[test]
fn what_an_order_that_waits_gives_up_can_be_written_off() {
    let mut shop = Shop::with(&[("tea", 3)]);
    shop.ok(place("a", "ann", &[("tea", 5)]).wait(0));
    shop.changes(edit("a", &[("tea", 1)]).lost());
    assert_eq!((shop.state("a"), shop.books("tea")), (OrderState::Queued, (1, 1, 0)));
}
