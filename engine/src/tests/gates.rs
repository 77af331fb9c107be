//! Gates: orders that hold their units until a payment or a check is passed.

use super::build::*;
use super::command::Reply::{self, Entry, Time, ToPass, Unlisted};
use super::published::Published;
use super::shop::{START, Shop};
use crate::record::gate::GateView;
use crate::terms::effects::Event;
use crate::terms::settings::Field;
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, StreamKind};

fn shop() -> Shop {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(configure(&[(Field::BackoffMs, 10), (Field::Attempts, 9)]));
    shop
}

fn tea(order: &str) -> super::command::Command {
    place(order, "ann", &[("tea", 2)])
}

/// What ORDER.GET shows of the gates: name, deadline, whether it is passed.
fn gates(shop: &Shop, order: &str) -> Vec<(String, u64, bool)> {
    let view = |gate: &GateView| (String::from_utf8_lossy(gate.name).into_owned(), gate.deadline, gate.is_passed);
    shop.order(order).gates.iter().map(view).collect()
}

#[test]
fn an_order_with_gates_holds_its_units_and_is_queued_when_all_are_passed() {
    let mut shop = shop();
    let ask = tea("o").gate("pay", 50).gate("fraud", 0);
    assert_eq!(shop.changes(ask.clone()), Unlisted);
    assert_eq!((shop.published(), shop.events()), (vec![], vec![Event::OrderPlaced]));
    assert_eq!((shop.state("o"), shop.books("tea")), (OrderState::Pending, (10, 2, 0)));
    let order = shop.order("o");
    assert_eq!((order.entry, order.placed_at, order.due), (None, START, START + 50));
    assert_eq!(gates(&shop, "o"), [("pay".into(), START + 50, false), ("fraud".into(), 0, false)]);
    assert_eq!(shop.claims("w", 5), [""; 0]);
    shop.now += 10;
    shop.ok(tea("later"));
    shop.now += 10;
    assert_eq!(shop.changes(pass("o", "pay")), ToPass(1));
    assert_eq!((shop.state("o"), shop.order("o").due), (OrderState::Pending, 0));
    shop.wait(100);
    assert_eq!(shop.changes(pass("o", "fraud")), ToPass(0));
    let entry = EntryId { ms: START + 120, seq: 0 };
    assert_eq!(shop.published(), [Published::Queued(b"o".to_vec(), entry)]);
    assert_eq!(shop.events(), [Event::OrderPassed, Event::OrderQueued]);
    let order = shop.order("o");
    assert_eq!((order.state, order.entry, order.placed_at), (OrderState::Queued, Some(entry), START));
    assert_eq!(shop.repeats(ask), Unlisted, "the first reply");
    assert_eq!((shop.repeats(pass("o", "pay")), shop.repeats(pass("o", "fraud"))), (ToPass(1), ToPass(0)));
    shop.reload();
    assert_eq!(shop.claims("w", 5), ["later", "o"], "at the end of the queue, whenever it was placed");
    assert_eq!(shop.repeats(pass("o", "pay")), ToPass(1), "also when a worker has it");
    shop.ok(complete("o"));
    assert_eq!((shop.repeats(pass("o", "fraud")), shop.books("tea")), (ToPass(0), (8, 2, 2)));
    assert_eq!(shop.story("o"), ["passed pay", "passed fraud", "claimed by w for attempt 1"]);
}

#[test]
fn a_gate_that_is_not_passed_in_time_cancels_its_order() {
    for reload in [false, true] {
        let mut shop = shop();
        shop.ok(tea("o").gate("slow", 90).gate("pay", 50).gate("fraud", 50));
        if reload {
            shop.reload();
        }
        assert_eq!(shop.store.next_due(), Some(START + 50));
        shop.wait(49);
        assert_eq!(shop.state("o"), OrderState::Pending);
        shop.wait(1);
        let order = shop.order("o");
        assert_eq!((order.state, order.reason), (OrderState::Cancelled, &b"gate pay expired"[..]));
        assert_eq!((order.entry, order.ended_at), (None, START + 50));
        assert_eq!((shop.published(), shop.events()), (vec![], vec![Event::OrderCancelled]));
        assert_eq!(shop.books("tea"), (10, 0, 0));
        let counters = shop.store.info(0).counters;
        assert_eq!((counters.gates_expired, counters.cancelled), (1, 1));
        assert_eq!(shop.refused(pass("o", "pay")), "BADSTATE order is cancelled");
        assert_eq!(shop.refused(gate("o", "pay", 9)), "BADSTATE order is cancelled");
    }
}

#[test]
fn a_gate_that_has_expired_cannot_be_passed_or_moved_before_the_sweep_comes() {
    let mut shop = shop();
    shop.ok(tea("o").gate("pay", 50).gate("fraud", 0));
    shop.ok(pass("o", "fraud"));
    shop.now += 50;
    for command in [pass("o", "pay"), pass("o", "fraud"), gate("o", "pay", 9), gate("o", "new", 9)] {
        assert_eq!(shop.refused(command), format!("BADSTATE gate pay expired at {}", START + 50));
    }
    shop.now -= 1;
    assert_eq!(shop.changes(pass("o", "pay")), ToPass(0));
}

#[test]
fn a_queued_order_that_gets_a_gate_keeps_its_place_and_its_entry() {
    let mut shop = shop();
    let entry = EntryId { ms: START, seq: 0 };
    assert_eq!(shop.ok(tea("a")), Entry(entry));
    shop.ok(tea("b"));
    shop.now += 5;
    assert_eq!(shop.changes(gate("a", "pay", 50)), Time(START + 55));
    assert_eq!((shop.published(), shop.events()), (vec![], vec![Event::OrderGated]));
    assert_eq!((shop.state("a"), shop.order("a").entry), (OrderState::Pending, Some(entry)));
    assert_eq!(shop.store.entries(StreamKind::Orders), Some(2));
    shop.reload();
    assert_eq!(shop.claims("w", 5), ["b"]);
    shop.ok(yield_all("w"));
    assert_eq!(shop.changes(pass("a", "pay")), ToPass(0));
    assert_eq!((shop.published(), shop.events()), (vec![], vec![Event::OrderPassed, Event::OrderQueued]));
    assert_eq!(shop.repeats(tea("a")), Entry(entry));
    assert_eq!(shop.claims("w", 5), ["a", "b"]);
    assert_eq!(shop.story("a")[..2], ["gate pay", "passed pay"]);
}

#[test]
fn a_retrying_order_that_gets_a_gate_has_no_retry_any_more_and_keeps_its_attempts() {
    let mut shop = shop();
    for order in ["first", "due", "waits", "last"] {
        shop.ok(tea(order));
    }
    shop.ok(fail("waits").note("lost").after(1_000));
    shop.ok(fail("due").note("lost").after(0));
    shop.wait(0);
    let retry = shop.order("due").side.expect("it has an entry among the retries");
    shop.changes(gate("due", "pay", 0));
    assert_eq!(shop.published(), [Published::Left(StreamKind::Retry, retry)]);
    shop.changes(gate("waits", "pay", 0));
    assert_eq!(shop.published(), []);
    for order in ["due", "waits"] {
        let view = shop.order(order);
        assert_eq!((view.state, view.attempts, view.due, view.side), (OrderState::Pending, 1, 0, None));
        assert_eq!(view.reason, b"lost");
    }
    shop.wait(2_000);
    shop.reload();
    shop.ok(pass("waits", "pay"));
    shop.ok(pass("due", "pay"));
    assert_eq!(shop.claims("w", 5), ["first", "due", "waits", "last"], "as they came");
}

#[test]
fn workers_can_do_nothing_with_a_pending_order_and_it_can_be_cancelled() {
    let mut shop = shop();
    shop.ok(tea("o").gate("pay", 50));
    for command in [complete("o"), fail("o"), fail("o").fatal(), advance("o", "packed")] {
        assert_eq!(shop.refused(command), "BADSTATE order is pending");
    }
    assert_eq!(shop.refused(redrive("o")), "BADSTATE order is pending");
    assert_eq!(shop.refused(give_back("o", &[("tea", 1)])), "BADSTATE order is pending");
    assert_eq!(shop.refused(renew("o", 5)), "FENCED current token 0, nobody has the order: it is pending");
    assert_eq!(shop.changes(cancel("o")), Reply::Units(2));
    assert_eq!((shop.published(), shop.books("tea")), (vec![], (10, 0, 0)));
    shop.wait(50);
    assert_eq!((shop.repeats(cancel("o")), shop.store.info(0).counters.gates_expired), (Reply::Units(2), 0));
}

#[test]
fn an_advance_before_a_gate_stands_behind_it() {
    let mut shop = shop();
    shop.ok(tea("o"));
    assert_eq!(shop.ok(advance("o", "seen")), Reply::Version(1));
    shop.ok(gate("o", "pay", 0));
    assert_eq!(shop.repeats(advance("o", "seen")), Reply::Version(1));
    assert_eq!(shop.refused(advance("o", "packed")), "BADSTATE order is pending");
}

#[test]
fn a_gate_is_moved_from_now_and_never_once_it_is_passed() {
    let mut shop = shop();
    shop.ok(tea("o").gate("pay", 50).gate("fraud", 70));
    shop.now += 10;
    assert_eq!(shop.changes(gate("o", "pay", 100)), Time(START + 110));
    assert_eq!(shop.order("o").due, START + 70, "the other one is first now");
    assert_eq!(shop.repeats(gate("o", "pay", 100)), Time(START + 110));
    assert_eq!(shop.changes(gate("o", "fraud", 0)), Time(0));
    assert_eq!(shop.repeats(gate("o", "fraud", 0)), Time(0));
    assert_eq!(shop.changes(gate("o", "pay", 5)), Time(START + 15));
    assert_eq!(shop.order("o").due, START + 15);
    shop.ok(pass("o", "pay"));
    assert_eq!(shop.refused(gate("o", "pay", 5)), "BADSTATE gate pay is passed");
    assert_eq!(shop.changes(gate("o", "third", 5)), Time(START + 15));
    shop.ok(pass("o", "third"));
    shop.ok(pass("o", "fraud"));
    assert_eq!(shop.changes(gate("o", "late check", 5)), Time(START + 15), "it is queued, so it can be held back");
    shop.ok(pass("o", "late check"));
    shop.ok(claim("w", 1));
    assert_eq!(shop.refused(gate("o", "pay", 5)), "BADSTATE order is claimed");
    shop.ok(fail("o").fatal());
    assert_eq!(shop.refused(gate("o", "pay", 5)), "BADSTATE order is dead");
}

#[test]
fn gates_are_content_and_bounded() {
    let mut shop = shop();
    shop.ok(tea("o").gate("pay", 50).gate("fraud", 0));
    shop.repeats(tea("o").gate("fraud", 0).gate("pay", 50));
    let others = [
        tea("o"),
        tea("o").gate("pay", 50),
        tea("o").gate("pay", 51).gate("fraud", 0),
        tea("o").gate("pay", 50).gate("fraud", 0).gate("third", 0),
    ];
    for other in others {
        assert_eq!(shop.refused(other), "MISMATCH order o was placed with another GATE");
    }
    // What ORDER.GATE adds is no content of ORDER.PLACE.
    shop.ok(gate("o", "third", 0));
    shop.repeats(tea("o").gate("pay", 50).gate("fraud", 0));
    shop.ok(tea("plain"));
    shop.ok(gate("plain", "pay", 0));
    shop.repeats(tea("plain"));
    let eight = |order: &str| (0..8).fold(tea(order), |command, i| command.gate(&format!("g{i}"), 0));
    assert_eq!(shop.refused(eight("p").gate("g8", 0)), "ERR GATE must be at most 8 gates of an order, got 9");
    assert_eq!(shop.refused(tea("p").gate("a", 1).gate("a", 1)), "ERR GATE must be named once, got a twice");
    let long = tea("p").gate("a", (1 << 53) - 1);
    assert!(shop.refused(long).starts_with("ERR GATE must add up to at most"));
    shop.ok(eight("p"));
    assert_eq!(shop.refused(gate("p", "g8", 0)), "ERR GATE must be at most 8 gates of an order, got 9");
    shop.ok(gate("p", "g7", 9));
    assert_eq!(shop.refused(pass("p", "g8")), "NOGATE order p has no gate g8");
    assert_eq!(shop.refused(pass("q", "g8")), "NOORDER no order q in this store");
    assert_eq!(shop.refused(gate("q", "g8", 0)), "NOORDER no order q in this store");
}

#[test]
fn a_group_waits_for_a_gated_order_that_was_queued_and_not_for_one_that_was_not() {
    let mut shop = shop();
    shop.ok(tea("new").group("g").gate("pay", 0));
    for order in ["a", "b", "c"] {
        shop.ok(place(order, "ann", &[("tea", 1)]).group("g"));
    }
    shop.ok(gate("a", "pay", 0));
    shop.reload();
    assert_eq!(shop.claims("w", 5), [""; 0], "the first of its group is pending");
    shop.ok(gate("b", "pay", 50));
    shop.ok(pass("a", "pay"));
    assert_eq!(shop.claims("w", 5), ["a"]);
    shop.ok(pass("new", "pay"));
    shop.ok(complete("a"));
    assert_eq!(shop.claims("w", 5), [""; 0]);
    shop.wait(50);
    assert_eq!(shop.state("b"), OrderState::Cancelled);
    for order in ["c", "new"] {
        assert_eq!(shop.claims("w", 5), [order]);
        shop.ok(complete(order));
    }
}

#[test]
fn a_hold_becomes_an_order_with_gates_and_a_dead_one_keeps_those_it_passed() {
    let mut shop = shop();
    shop.ok(reserve("cart", &[("tea", 3)]).by("ann"));
    let ask = place_hold("o", "ann", "cart").gate("pay", 50);
    assert_eq!((shop.changes(ask.clone()), shop.books("tea")), (Unlisted, (10, 3, 0)));
    shop.ok(pass("o", "pay"));
    shop.ok(fail("o").fatal());
    assert_eq!(shop.repeats(pass("o", "pay")), ToPass(0));
    shop.ok(redrive("o"));
    assert_eq!((shop.repeats(ask), shop.state("o")), (Unlisted, OrderState::Queued));
    shop.reload();
    assert_eq!(shop.claims("w", 1), ["o"]);
}

#[test]
fn pending_orders_count_towards_the_limit_and_get_late() {
    let mut shop = shop();
    shop.ok(configure(&[(Field::Limit, 3), (Field::SlaMs, 40)]));
    shop.ok(tea("o").gate("pay", 50));
    shop.ok(place("same age", "bob", &[("tea", 1)]).gate("pay", 50));
    assert_eq!(shop.refused(tea("p")), "LIMIT customer ann limit 3 has 2");
    shop.wait(41);
    assert_eq!(shop.events(), [Event::OrderLate, Event::OrderLate]);
    shop.ok(pass("o", "pay"));
    shop.wait(20);
    assert_eq!((shop.store.info(0).counters.late, shop.state("same age")), (2, OrderState::Cancelled));
}

#[test]
fn an_order_can_be_gated_and_passed_for_ever() {
    let mut shop = shop();
    shop.ok(tea("o"));
    shop.ok(gate("o", "pay", 0));
    for i in 1..300 {
        shop.now += 1;
        shop.changes(gate("o", "pay", i * 1_000));
    }
    let order = shop.order("o");
    assert_eq!((order.history.len(), order.history_lost), (100, 200));
}

#[test]
fn the_time_of_a_gate_begins_when_an_order_that_waits_has_its_units() {
    let mut shop = Shop::with(&[("tea", 1)]);
    shop.ok(place("first", "ann", &[("tea", 1)]));
    let ask = place("o", "bob", &[("tea", 1)]).wait(0).gate("pay", 50).gate("fraud", 0);
    assert_eq!(shop.changes(ask.clone()), Unlisted);
    shop.ok(place("next", "cyd", &[("tea", 1)]).wait(0));
    assert_eq!(shop.ok(gate("o", "pay", 80)), Reply::Time(0), "its time does not run yet");
    assert_eq!(shop.ok(pass("o", "fraud")), Reply::ToPass(1));
    for reload in [false, true] {
        if reload {
            shop.reload();
        }
        shop.wait(1_000);
        assert_eq!(shop.order("o").state, OrderState::Waitlisted);
    }
    shop.events();
    shop.ok(cancel("first"));
    assert_eq!(shop.events(), [Event::OrderCancelled, Event::OrderGated], "who has to pay learns that it is time");
    let order = shop.order("o");
    assert_eq!((order.state, order.due, order.entry), (OrderState::Pending, shop.now + 80, None));
    assert_eq!(shop.repeats(ask), Unlisted);
    shop.reload();
    shop.wait(80);
    assert_eq!((shop.order("o").state, shop.order("o").reason), (OrderState::Cancelled, &b"gate pay expired"[..]));
    assert_eq!(shop.order("next").state, OrderState::Queued, "it gets the units in the same step");
}

#[test]
fn an_order_that_passed_its_gates_while_it_waited_is_queued_with_its_units() {
    let mut shop = Shop::with(&[("tea", 1)]);
    shop.ok(place("first", "ann", &[("tea", 1)]));
    shop.ok(place("o", "bob", &[("tea", 1)]).wait(0).gate("pay", 50));
    assert_eq!(shop.ok(pass("o", "pay")), Reply::ToPass(0));
    assert_eq!(shop.repeats(pass("o", "pay")), Reply::ToPass(0));
    assert_eq!(shop.order("o").state, OrderState::Waitlisted);
    shop.ok(cancel("first"));
    assert_eq!(shop.order("o").state, OrderState::Queued);
    assert_eq!(shop.repeats(pass("o", "pay")), Reply::ToPass(0));
}
