//! Orders of which a part becomes an order of its own.

use super::build::*;
use super::command::Reply::{Entry, ToPass, Units, Unlisted};
use super::published::Published;
use super::shop::{START, Shop};
use crate::record::history::HistoryEvent;
use crate::terms::effects::{Effect, Event};
use crate::terms::settings::Field;
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, StreamKind};

/// Ann's order `o` of four teas and two milks: there are no more of them.
fn shop() -> Shop {
    let mut shop = Shop::with(&[("tea", 4), ("milk", 2), ("jam", 9)]);
    shop.ok(configure(&[(Field::KeepMs, 1_000), (Field::LeaseMs, 100), (Field::Journal, 50), (Field::Limit, 6)]));
    shop.ok(place("o", "ann", &[("tea", 4), ("milk", 2)]).note("{\"to\":\"door\"}"));
    shop
}

fn units(shop: &Shop, id: &str) -> Vec<u64> {
    shop.order(id).items.iter().map(|item| item.qty).collect()
}

#[test]
fn units_become_an_order_of_their_own() {
    let mut shop = shop();
    shop.now += 50;
    let (old, anew) = (EntryId { ms: START, seq: 0 }, EntryId { ms: START + 50, seq: 0 });
    let new = anew.next(0);
    assert_eq!(shop.changes(split("o", "p", &[("tea", 3), ("milk", 2)])), Entry(new));
    let published = [
        Published::Left(StreamKind::Orders, old),
        Published::Queued(b"o".to_vec(), anew),
        Published::Queued(b"p".to_vec(), new),
    ];
    assert_eq!((shop.published(), shop.events()), (published.to_vec(), vec![Event::OrderSplit]));
    assert!(!shop.fx.list.iter().any(|effect| matches!(effect, Effect::Moved(_))), "no stock moves");
    shop.reload();
    let (o, p) = (shop.order("o"), shop.order("p"));
    assert_eq!((o.entry, o.placed_at, o.state), (Some(anew), START, OrderState::Queued));
    assert_eq!((p.entry, p.placed_at, p.state), (Some(new), START, OrderState::Queued));
    assert_eq!((p.customer, p.data, p.hold), (&b"ann"[..], &b"{\"to\":\"door\"}"[..], &b""[..]));
    let at = START + 50;
    assert_eq!(o.history, [HistoryEvent::Split { at, units: 5, into: b"p" }]);
    assert_eq!(p.history, [HistoryEvent::SplitOff { at, units: 5, from: b"o" }]);
    assert_eq!((units(&shop, "o"), units(&shop, "p")), (vec![1], vec![3, 2]));
    assert_eq!((shop.books("tea"), shop.books("milk")), ((4, 4, 0), (2, 2, 0)));
    // The customer's units are what they were.
    assert!(shop.refused(place("q", "ann", &[("jam", 1)])).starts_with("LIMIT customer ann limit 6 has 6"));
    shop.ok(complete("p"));
    shop.ok(cancel("o"));
    assert_eq!((shop.books("tea"), shop.books("milk")), ((1, 0, 3), (0, 0, 2)));
    let counters = shop.store.info(shop.now).counters;
    assert_eq!((counters.placed, counters.completed, counters.cancelled), (2, 1, 1));
}

#[test]
fn a_split_leaves_a_unit_and_takes_no_more_than_there_are() {
    let mut shop = shop();
    assert_eq!(shop.refused(split("o", "p", &[("tea", 5)])), "BADSTATE order has 4 of tea to split off, not 5");
    assert_eq!(shop.refused(split("o", "p", &[("jam", 1)])), "BADSTATE order has 0 of jam to split off, not 1");
    let text = "ERR ITEMS must be fewer units than the order has, 6, got all of them";
    assert_eq!(shop.refused(split("o", "p", &[("tea", 4), ("milk", 2)])), text);
    assert_eq!(shop.refused(split("o", "p", &[("tea", 2), ("milk", 2), ("tea", 2)])), text);
    assert_eq!(shop.refused(split("o", "p", &[("rum", 1)])), "NOSKU no SKU rum in this store");
    assert_eq!(shop.refused(split("x", "p", &[("tea", 1)])), "NOORDER no order x in this store");
    shop.changes(split("o", "p", &[("tea", 4), ("milk", 1)]));
    assert_eq!((units(&shop, "o"), units(&shop, "p")), (vec![1], vec![4, 1]));
}

#[test]
fn a_split_sent_again_gets_its_first_reply() {
    let mut shop = shop();
    let ask = split("o", "p", &[("tea", 1), ("milk", 1)]);
    let first = shop.changes(ask.clone());
    assert_eq!(shop.repeats(split("o", "p", &[("milk", 1), ("tea", 1)]).token(5)), first);
    shop.now += 10;
    shop.ok(edit("p", &[("jam", 2)]));
    shop.reload();
    assert_eq!(shop.repeats(ask.clone()), first);
    shop.ok(cancel("o"));
    assert_eq!(shop.repeats(ask.clone()), first);
    let text = "MISMATCH order p exists already, and is not from this split";
    for other in [split("o", "p", &[("tea", 1)]), split("q", "p", &[("tea", 1), ("milk", 1)])] {
        assert_eq!(shop.refused(other), text);
    }
    shop.ok(fail("p").fatal());
    shop.ok(redrive("p"));
    assert_eq!(shop.repeats(ask.clone()), first);
    shop.ok(complete("p"));
    assert_eq!(shop.repeats(ask.clone()), first);
    shop.wait(1_000);
    assert_eq!(shop.refused(ask), "NOORDER no order o in this store");
}

#[test]
fn a_new_order_that_was_cancelled_is_not_answered_as_if_it_were_there() {
    let mut shop = shop();
    let ask = split("o", "p", &[("tea", 1)]);
    shop.ok(ask.clone());
    shop.ok(cancel("p"));
    assert_eq!(shop.refused(ask), "BADSTATE order is cancelled");
}

#[test]
fn ids_that_are_taken_are_not_split_into_nor_placed() {
    let mut shop = shop();
    shop.ok(place("p", "bob", &[("jam", 1)]));
    for id in ["p", "o"] {
        let text = format!("MISMATCH order {id} exists already, and is not from this split");
        assert_eq!(shop.refused(split("o", id, &[("tea", 1)])), text);
    }
    shop.ok(split("o", "q", &[("tea", 1)]));
    let text = "MISMATCH order q was not placed, but split off another order";
    assert_eq!(shop.refused(place("q", "ann", &[("tea", 1)]).note("{\"to\":\"door\"}")), text);
    shop.reload();
    assert_eq!(shop.refused(place("q", "ann", &[("tea", 1)])), text);
}

#[test]
fn the_place_that_an_order_came_from_still_gets_its_first_reply() {
    let mut shop = shop();
    let ask = place("o", "ann", &[("tea", 4), ("milk", 2)]).note("{\"to\":\"door\"}");
    let first = shop.repeats(ask.clone());
    for id in ["p", "q"] {
        shop.now += 10;
        shop.ok(split("o", id, &[("tea", 1)]));
        shop.reload();
        assert_eq!(shop.repeats(ask.clone()), first);
    }
    assert!(shop.refused(place("o", "ann", &[("tea", 2), ("milk", 2)])).starts_with("MISMATCH "));
}

#[test]
fn an_edit_that_a_split_undid_is_no_repetition() {
    let mut shop = shop();
    let ask = edit("o", &[("tea", 3)]);
    shop.changes(ask.clone());
    shop.ok(split("o", "p", &[("tea", 1)]));
    assert_eq!(shop.changes(ask), Units(3));
    assert_eq!((units(&shop, "o"), units(&shop, "p"), shop.books("tea")), (vec![3], vec![1], (4, 4, 0)));
}

#[test]
fn a_part_of_what_a_worker_has_is_split_off_with_its_token_only() {
    let mut shop = shop();
    shop.ok(claim("w", 1));
    let token = shop.token("o");
    let ask = split("o", "p", &[("tea", 3)]);
    assert_eq!(shop.refused(ask.clone()), format!("FENCED current token {token}"));
    assert_eq!(shop.refused(ask.clone().token(4)), format!("FENCED current token {token}"));
    shop.changes(ask.token(token));
    assert_eq!((shop.state("o"), shop.state("p")), (OrderState::Claimed, OrderState::Queued));
    shop.ok(complete("o").token(token));
    assert_eq!((shop.claims("w", 9), shop.books("tea")), (vec!["p".to_string()], (3, 3, 1)));
}

#[test]
fn an_order_that_ended_is_not_split() {
    let mut shop = Shop::with(&[("tea", 20)]);
    for (id, state) in [("completed", "completed"), ("cancelled", "cancelled"), ("dead", "dead")] {
        shop.ok(place(id, "ann", &[("tea", 2)]));
        shop.ok(match id {
            "completed" => complete(id),
            "cancelled" => cancel(id),
            _ => fail(id).fatal(),
        });
        assert_eq!(shop.refused(split(id, "p", &[("tea", 1)])), format!("BADSTATE order is {state}"));
    }
}

#[test]
fn the_new_order_waits_behind_those_that_waited_before_it() {
    let mut shop = Shop::with(&[("tea", 50)]);
    shop.ok(configure(&[(Field::SlaMs, 100)]));
    for id in ["a", "b"] {
        shop.ok(place(id, "ann", &[("tea", 4)]));
        shop.ok(place(&format!("g{id}"), "ann", &[("tea", 4)]).group("g"));
        shop.now += 10;
    }
    shop.ok(split("a", "a2", &[("tea", 1)]));
    shop.ok(split("ga", "ga2", &[("tea", 1)]));
    shop.ok(place("c", "ann", &[("tea", 4)]));
    shop.reload();
    assert_eq!(shop.claims("w", 9), ["a", "ga", "b", "a2", "c"]);
    for next in ["gb", "ga2"] {
        shop.ok(complete(if next == "gb" { "ga" } else { "gb" }));
        assert_eq!(shop.claims("w", 9), [next]);
    }
    // Its age is that of the order it was part of.
    assert_eq!(shop.order("a2").placed_at, START);
    shop.wait(81);
    let late = ["a", "a2", "ga2", "b"].map(|id| shop.order(id).late);
    assert_eq!((late, shop.store.info(shop.now).counters.late), ([true, true, true, false], 3));
}

#[test]
fn an_order_is_split_again_and_again() {
    let mut shop = Shop::with(&[("tea", 100)]);
    shop.ok(place("o", "ann", &[("tea", 60)]).group("g"));
    for n in 0..50 {
        shop.now += n % 2;
        shop.ok(split("o", &format!("p{n}"), &[("tea", 1)]));
    }
    shop.ok(edit("p9", &[("tea", 5)]));
    shop.ok(split("p9", "q", &[("tea", 2)]));
    shop.reload();
    assert_eq!((units(&shop, "o"), units(&shop, "p9"), units(&shop, "q")), (vec![10], vec![3], vec![2]));
    assert_eq!(shop.books("tea"), (100, 64, 0));
    let mut claimed = Vec::new();
    while let [id] = &shop.claims("w", 9)[..] {
        shop.ok(complete(id));
        claimed.push(id.clone());
    }
    assert_eq!((claimed.len(), &claimed[..2], &claimed[51]), (52, &["o".to_string(), "p0".into()][..], &"q".into()));
    assert_eq!(shop.books("tea"), (36, 0, 64));
}

#[test]
fn a_part_of_a_pending_order_is_pending_behind_gates_of_its_own() {
    let mut shop = Shop::with(&[("tea", 9)]);
    shop.ok(place("o", "ann", &[("tea", 5)]).gate("pay", 50).gate("fraud", 0));
    shop.ok(pass("o", "fraud"));
    shop.now += 10;
    let ask = split("o", "p", &[("tea", 2)]);
    assert_eq!(shop.changes(ask.clone()), Unlisted);
    assert_eq!((shop.published(), shop.events()), (vec![], vec![Event::OrderSplit]), "neither is in the stream");
    shop.reload();
    let gates = |shop: &Shop, id: &str| -> Vec<_> {
        shop.order(id).gates.iter().map(|gate| (gate.name.to_vec(), gate.deadline, gate.is_passed)).collect()
    };
    assert_eq!(gates(&shop, "p"), gates(&shop, "o"));
    let (p, due) = (shop.order("p"), START + 50);
    assert_eq!((p.state, p.entry, p.placed_at, p.due), (OrderState::Pending, None, START, due));
    assert_eq!((shop.claims("w", 9), shop.books("tea")), (vec![], (9, 5, 0)));
    assert_eq!(shop.repeats(pass("p", "fraud")), ToPass(1), "what was passed is passed");
    assert_eq!(shop.ok(pass("p", "pay")), ToPass(0));
    assert_eq!((shop.state("p"), shop.state("o")), (OrderState::Queued, OrderState::Pending));
    assert_eq!(shop.repeats(ask.clone()), Unlisted, "the first reply");
    shop.ok(edit("p", &[("tea", 1)]));
    shop.reload();
    assert_eq!(shop.repeats(ask.clone()), Unlisted);
    shop.wait(40);
    assert_eq!((shop.state("o"), shop.order("o").reason), (OrderState::Cancelled, &b"gate pay expired"[..]));
    assert_eq!((shop.claims("w", 9), shop.books("tea")), (vec!["p".to_string()], (9, 1, 0)));
    shop.ok(complete("p"));
    assert_eq!(shop.repeats(ask), Unlisted);
}

#[test]
fn gates_of_a_part_expire_on_their_own() {
    let mut shop = Shop::with(&[("tea", 9)]);
    shop.ok(place("o", "ann", &[("tea", 5)]).gate("pay", 50));
    shop.ok(split("o", "p", &[("tea", 2)]));
    shop.ok(pass("o", "pay"));
    shop.wait(50);
    assert_eq!((shop.state("p"), shop.order("p").reason), (OrderState::Cancelled, &b"gate pay expired"[..]));
    assert_eq!((shop.state("o"), shop.books("tea")), (OrderState::Queued, (9, 3, 0)));
    assert_eq!(shop.refused(split("o", "p", &[("tea", 2)])), "BADSTATE order is cancelled");
}

#[test]
fn a_part_of_an_order_that_was_queued_before_its_gate_is_not_in_the_stream() {
    let mut shop = Shop::with(&[("tea", 9)]);
    shop.ok(place("o", "ann", &[("tea", 5)]).group("g"));
    shop.ok(place("q", "ann", &[("tea", 1)]).group("g"));
    shop.ok(gate("o", "pay", 0));
    assert_eq!(shop.changes(split("o", "p", &[("tea", 2)])), Unlisted);
    let entry = shop.order("o").entry.expect("it keeps its entry");
    assert_eq!(shop.published()[1], Published::Queued(b"o".to_vec(), entry));
    assert_eq!((shop.order("p").entry, shop.store.entries(StreamKind::Orders)), (None, Some(2)));
    assert_eq!(shop.claims("w", 9), [""; 0], "o keeps its place in the group");
    shop.ok(pass("p", "pay"));
    shop.ok(pass("o", "pay"));
    shop.reload();
    for id in ["o", "q", "p"] {
        assert_eq!(shop.claims("w", 9), [id]);
        shop.ok(complete(id));
    }
}

/// An order `o` of four teas and two milks that has two of the teas; and then an order `x` of a tea waits.
fn waiting_shop() -> Shop {
    let mut shop = Shop::with(&[("tea", 2), ("milk", 2)]);
    shop.ok(place("o", "ann", &[("tea", 4), ("milk", 2)]).group("g").lane("slow").wait(500));
    shop.ok(place("x", "bob", &[("tea", 1)]).wait(0));
    shop
}

#[test]
fn a_part_gets_first_what_is_gathered_and_is_queued_if_it_has_all() {
    let mut shop = waiting_shop();
    let ask = split("o", "p", &[("tea", 2), ("milk", 1)]);
    let entry = EntryId { ms: START, seq: 3 };
    assert_eq!(shop.changes(ask.clone()), Entry(entry));
    assert_eq!(shop.published(), [Published::Queued(b"p".to_vec(), entry)]);
    assert_eq!(shop.events(), [Event::OrderQueued, Event::OrderSplit]);
    shop.reload();
    assert_eq!((shop.state("p"), shop.state("o")), (OrderState::Queued, OrderState::Waitlisted));
    assert_eq!((shop.books("tea"), shop.sku("tea").waiting, shop.books("milk")), ((2, 2, 0), 3, (2, 2, 0)));
    assert_eq!((shop.order("p").lane, shop.order("p").group), (&b"slow"[..], &b"g"[..]));
    assert_eq!(shop.claims("w", 9), ["p"]);
    shop.ok(complete("p"));
    assert_eq!(shop.repeats(ask), Entry(entry));
    // The order keeps its place, before the one that came after it.
    shop.ok(adjust("tea", 2));
    assert_eq!((shop.state("o"), shop.state("x")), (OrderState::Queued, OrderState::Waitlisted));
}

#[test]
fn both_parts_keep_the_place_that_the_order_had() {
    let mut shop = waiting_shop();
    let ask = split("o", "p", &[("tea", 3)]);
    assert_eq!(shop.changes(ask.clone()), Unlisted);
    assert_eq!(shop.changes(split("p", "q", &[("tea", 2)])), Entry(EntryId { ms: START, seq: 4 }), "it took the two");
    shop.ok(cancel("q"));
    // What q put back went to o, which came before its part p.
    assert_eq!(
        (shop.state("o"), shop.state("p"), shop.sku("tea").waiting),
        (OrderState::Queued, OrderState::Queued, 1)
    );
    let mut shop = waiting_shop();
    shop.ok(split("o", "p", &[("tea", 3)]));
    shop.reload();
    assert_eq!((shop.order("p").due, shop.sku("tea").waiting), (START + 500, 3));
    shop.ok(adjust("tea", 1));
    assert_eq!((shop.state("o"), shop.state("p")), (OrderState::Queued, OrderState::Waitlisted), "the order first");
    shop.ok(adjust("tea", 1));
    assert_eq!((shop.state("p"), shop.state("x")), (OrderState::Queued, OrderState::Waitlisted), "then its part");
    assert_eq!(shop.repeats(ask), Unlisted, "the first reply");
    shop.ok(adjust("tea", 1));
    assert_eq!(shop.claims("w", 9), ["o", "x"]);
    shop.ok(complete("o"));
    assert_eq!(shop.claims("w", 9), ["p"]);
}

#[test]
fn an_order_is_queued_when_its_part_takes_all_that_it_lacked() {
    let mut shop = waiting_shop();
    assert_eq!(shop.changes(split("o", "p", &[("tea", 4)])), Unlisted);
    let entry = shop.order("o").entry.expect("it has its milk");
    assert_eq!(shop.published(), [Published::Queued(b"o".to_vec(), entry)]);
    assert_eq!(shop.events(), [Event::OrderQueued, Event::OrderSplit]);
    assert_eq!((shop.state("p"), shop.sku("tea").waiting), (OrderState::Waitlisted, 3));
    shop.wait(500);
    assert_eq!((shop.state("p"), shop.order("p").reason), (OrderState::Cancelled, &b"waitlist expired"[..]));
    assert_eq!(
        (shop.state("x"), shop.books("tea"), shop.state("o")),
        (OrderState::Queued, (2, 1, 0), OrderState::Queued)
    );
}

#[test]
fn a_part_that_has_all_its_units_has_gates_to_pass_still() {
    let mut shop = Shop::with(&[("tea", 2)]);
    shop.ok(place("o", "ann", &[("tea", 4)]).gate("pay", 50).wait(0));
    shop.now += 10;
    assert_eq!(shop.changes(split("o", "p", &[("tea", 2)])), Unlisted);
    shop.reload();
    assert_eq!((shop.state("p"), shop.order("p").due), (OrderState::Pending, START + 60), "their time begins");
    assert_eq!((shop.state("o"), shop.order("o").due), (OrderState::Waitlisted, 0));
    shop.ok(adjust("tea", 2));
    shop.ok(pass("p", "pay"));
    assert_eq!((shop.state("p"), shop.state("o")), (OrderState::Queued, OrderState::Pending));
}

#[test]
fn orders_that_wait_are_split_again_and_again() {
    let mut shop = Shop::with(&[("tea", 0)]);
    shop.ok(place("o", "ann", &[("tea", 40)]).wait(0));
    shop.ok(place("x", "bob", &[("tea", 1)]).wait(0));
    for n in 0..20 {
        shop.ok(split(if n % 2 == 0 { "o" } else { "p0" }, &format!("p{n}"), &[("tea", if n == 0 { 20 } else { 1 })]));
        shop.ok(edit("o", &[("tea", 30 - n)]));
    }
    shop.reload();
    shop.ok(adjust("tea", 11 + 10 + 19));
    let waits = |id: &str| shop.state(id) == OrderState::Waitlisted;
    assert!(!waits("o") && !waits("p0") && !waits("p18") && !waits("p19") && waits("x"));
    shop.ok(adjust("tea", 1));
    assert_eq!(shop.state("x"), OrderState::Queued);
}
