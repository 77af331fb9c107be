//! Lanes: named parts of the queue. A worker names those it serves; without names it gets orders of all, first in,
//! first out.

use super::build::*;
use super::command::{Command, Reply};
use super::shop::{Shop, audited, loaded, saved};
use crate::books::image::flat::Flat;
use crate::calls::orders::ScanOrders;
use crate::calls::work::{Claim, Pick};
use crate::store::Store;
use crate::store::lanes::LANES_MAX;
use crate::terms::effects::Effects;
use crate::terms::settings::Field;
use crate::terms::states::OrderState;

/// A shop where orders wait, each in the lane its id starts with; `-` is the default one.
fn shop(orders: &[&str]) -> Shop {
    let mut shop = Shop::with(&[("tea", 1_000)]);
    shop.ok(configure(&[(Field::LeaseMs, 100), (Field::Attempts, 3), (Field::KeepMs, 1_000)]));
    orders.iter().for_each(|id| drop(shop.ok(ask(id))));
    shop
}

fn ask(id: &str) -> Command {
    let ask = place(id, "ann", &[("tea", 1)]);
    if id.starts_with('-') { ask } else { ask.lane(&id[..1]) }
}

/// The ids of the orders that a claim gets.
#[track_caller]
fn got(shop: &mut Shop, claim: Command) -> Vec<String> {
    match shop.ok(claim) {
        Reply::Claimed(list) => list.into_iter().map(|(id, _)| String::from_utf8(id).unwrap()).collect(),
        other => panic!("a claim replied {other:?}"),
    }
}

/// What STORE.LANES shows: lane, queued, in work, retrying.
fn lanes(shop: &Shop) -> Vec<(String, [u64; 3])> {
    let views = shop.store.lanes(shop.now).into_iter();
    let name = |lane: &[u8]| String::from_utf8_lossy(lane).into_owned();
    views.map(|view| (name(view.lane), [view.queued, view.in_work, view.retrying])).collect()
}

fn lane(name: &str, numbers: [u64; 3]) -> (String, [u64; 3]) {
    (name.into(), numbers)
}

#[test]
fn a_worker_gets_orders_of_the_lanes_it_names_alone() {
    let mut shop = shop(&["a1", "-1", "b1", "a2", "b2", "-2"]);
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["a"])), ["a1", "a2"]);
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["a"])), [""; 0]);
    assert_eq!(got(&mut shop, claim("w", 1).lanes(&[""])), ["-1"], "the default lane has a name too");
    shop.reload();
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["nobody's", "b", "b", ""])), ["b1", "b2", "-2"]);
    assert!(!shop.store.has_work());
}

#[test]
fn the_first_named_lane_that_has_something_comes_first() {
    let mut shop = shop(&["b1", "a1", "b2", "c1", "a2"]);
    assert_eq!(got(&mut shop, claim("w", 3).lanes(&["a", "b"])), ["a1", "a2", "b1"]);
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["c", "a", "b"])), ["c1", "b2"]);
}

#[test]
fn without_names_all_lanes_are_one_queue_by_the_time_placed() {
    let ids = ["a1", "-1", "b1", "a2", "b2", "-2", "c1"];
    let mut shop = shop(&ids);
    let mut copy = loaded(&saved(&shop.store), 5).unwrap();
    assert_eq!(shop.claims("w", 9), ids);
    // One at a time, each given back before the next comes: they keep their positions.
    let mut fx = Effects::default();
    for _ in 0..3 {
        claim("w", 3).apply(&mut copy, shop.now, &mut fx).unwrap();
        yield_all("w").apply(&mut copy, shop.now, &mut fx).unwrap();
    }
    assert_eq!(audited(&mut copy, 2), []);
    shop.store = *copy;
    assert_eq!(shop.claims("w", 9), ids);
}

#[test]
fn due_retries_come_first_among_all_lanes_and_within_one() {
    let mut shop = shop(&["a1", "b1", "-1", "a2"]);
    assert_eq!(shop.claims("w", 2), ["a1", "b1"]);
    shop.ok(fail("b1").after(5));
    shop.ok(fail("a1").after(6));
    assert_eq!(lanes(&shop), [lane("", [1, 0, 0]), lane("a", [1, 0, 1]), lane("b", [0, 0, 1])]);
    shop.wait(6);
    shop.reload();
    let mut again = loaded(&saved(&shop.store), 3).unwrap();
    assert_eq!(shop.claims("w", 9), ["b1", "a1", "-1", "a2"]);
    std::mem::swap(&mut shop.store, &mut again);
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["a", "b"])), ["a1", "a2", "b1"]);
}

#[test]
fn groups_hold_across_lanes() {
    let mut shop = shop(&[]);
    for id in ["a1", "b1", "-1", "a2"] {
        shop.ok(ask(id).group("g"));
    }
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["b", ""])), [""; 0], "it is a1's turn");
    assert_eq!(shop.claims("w", 9), ["a1"]);
    shop.ok(fail("a1").after(5));
    shop.reload();
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["b", "", "a"])), [""; 0], "a1 is retried before them");
    shop.wait(5);
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["b", "", "a"])), ["a1"]);
    shop.ok(complete("a1"));
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["a", ""])), [""; 0]);
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["b"])), ["b1"]);
    shop.ok(cancel("b1"));
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["a", ""])), ["-1"]);
    shop.ok(complete("-1"));
    assert_eq!(shop.claims("w", 9), ["a2"]);
}

#[test]
fn an_order_that_dies_comes_back_to_its_lane() {
    let mut shop = shop(&["a1", "b1"]);
    shop.ok(fail("a1").fatal());
    assert_eq!(lanes(&shop), [lane("a", [0; 3]), lane("b", [1, 0, 0])], "a dead order is still in its lane");
    shop.reload();
    shop.ok(redrive("a1"));
    assert_eq!(shop.order("a1").lane, b"a");
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["a"])), ["a1"]);
}

#[test]
fn what_a_lane_shows_is_what_is_in_it() {
    let mut shop = shop(&["a1"]);
    shop.now += 7;
    ["a2", "a3", "-1"].iter().for_each(|id| drop(shop.ok(ask(id))));
    let oldest = |shop: &Shop| shop.store.lanes(shop.now).iter().map(|view| view.oldest_waiting_ms).collect::<Vec<_>>();
    assert_eq!((lanes(&shop), oldest(&shop)), (vec![lane("", [1, 0, 0]), lane("a", [3, 0, 0])], vec![0, 7]));
    assert_eq!(got(&mut shop, claim("w", 2).lanes(&["a"])), ["a1", "a2"]);
    shop.ok(fail("a2").after(50));
    assert_eq!((lanes(&shop), oldest(&shop)), (vec![lane("", [1, 0, 0]), lane("a", [1, 1, 1])], vec![0, 0]));
    shop.ok(complete("-1"));
    shop.now += 3;
    assert_eq!((lanes(&shop), oldest(&shop)), (vec![lane("a", [1, 1, 1])], vec![3]));
    shop.reload();
    assert_eq!((lanes(&shop), oldest(&shop)), (vec![lane("a", [1, 1, 1])], vec![3]));
}

#[test]
fn a_scan_finds_the_orders_of_a_lane_ended_ones_too() {
    let mut shop = shop(&["a1", "-1", "b1", "a2", "-2"]);
    shop.ok(complete("a1"));
    shop.ok(complete("-1"));
    let scan = |lane: Option<&[u8]>, state| {
        let wanted = ScanOrders { lane, state, ..ScanOrders::default() };
        shop.store.scan_orders(shop.now, 0, 10, &wanted).1
    };
    assert_eq!(scan(Some(b"a"), None), [b"a1", b"a2"]);
    assert_eq!(scan(Some(b""), None), [b"-1", b"-2"]);
    assert_eq!(scan(Some(b"a"), Some(OrderState::Completed)), [b"a1"]);
    assert_eq!(scan(Some(b"c"), None), [b""; 0]);
    assert_eq!(scan(None, None).len(), 5);
}

#[test]
fn a_lane_that_no_order_is_in_is_gone() {
    let mut shop = shop(&["a1", "b1"]);
    shop.ok(complete("a1"));
    assert_eq!(lanes(&shop), [lane("b", [1, 0, 0])]);
    assert_eq!(shop.order("a1").lane, b"a", "the order still knows");
    let slot = shop.store.orders.find(b"a1").unwrap();
    assert!(shop.store.orders.at(slot).end().is_some(), "it takes no more memory than one without a lane");
    shop.repeats(ask("a1"));
    assert_eq!(shop.store.orders.lanes().records().len(), 2);
    shop.wait(1_000);
    assert_eq!(
        shop.store.orders.lanes().records().len(),
        1,
        "with the last order that named it, its name is forgotten"
    );
    shop.ok(cancel("b1"));
    shop.wait(1_000);
    assert!(shop.store.lanes(shop.now).is_empty() && shop.store.orders.lanes().records().len() == 0);
}

#[test]
fn orders_are_in_64_lanes_and_the_default_one_at_most() {
    let mut shop = Shop::with(&[("tea", 1_000)]);
    for number in 0..LANES_MAX {
        shop.ok(place(&format!("o{number}"), "ann", &[("tea", 1)]).lane(&format!("lane-{number}")));
    }
    let one_more = || place("more", "ann", &[("tea", 1)]).lane("more");
    assert_eq!(shop.refused(one_more()), "ERR LANE must be one of the 64 lanes that orders are in, got 'more'");
    shop.ok(place("default", "ann", &[("tea", 1)]));
    shop.ok(place("same", "ann", &[("tea", 1)]).lane("lane-63"));
    shop.reload();
    shop.ok(fail("o0").fatal());
    assert!(shop.refused(one_more()).starts_with("ERR LANE "), "a dead order keeps its lane");
    shop.ok(cancel("o0"));
    shop.ok(one_more());
    assert_eq!(shop.store.lanes(shop.now).len(), LANES_MAX + 1);
    assert_eq!(shop.claims("w", 100).len(), LANES_MAX + 2);
}

#[test]
fn an_image_of_more_lanes_than_there_can_be_is_refused() {
    let mut shop = Shop::with(&[("tea", 1_000)]);
    for number in 0..=LANES_MAX {
        let lane = format!("lane-{}", number % LANES_MAX);
        shop.ok(place(&format!("o{number}"), "ann", &[("tea", 1)]).lane(&lane));
    }
    let edited = |lane: &'static [u8]| {
        let mut pieces = Vec::new();
        let edit = |id: &[u8], flat: &mut Flat<'_>| flat.lane = if id == b"o64" { lane } else { flat.lane };
        shop.store.save_edited(&mut |piece| pieces.push(piece.to_vec()), &edit);
        loaded(&pieces, 1).map(|store| store.lanes(shop.now).len())
    };
    assert_eq!(edited(b"lane-9"), Ok(LANES_MAX));
    assert_eq!(edited(b"one more"), Err("corrupt store image: too many lanes".into()));
    assert!(edited(&[b'l'; 513]).is_err());
}

#[test]
fn a_lane_is_part_of_what_an_order_was_placed_with() {
    let mut shop = shop(&["a1", "-1"]);
    shop.repeats(ask("a1"));
    let plain = || place("a1", "ann", &[("tea", 1)]);
    assert_eq!(shop.refused(plain()), "MISMATCH order a1 was placed with another LANE");
    assert_eq!(shop.refused(plain().lane("b")), "MISMATCH order a1 was placed with another LANE");
    assert_eq!(shop.refused(ask("-1").lane("b")), "MISMATCH order -1 was placed with another LANE");
    shop.ok(complete("a1"));
    shop.reload();
    shop.repeats(ask("a1"));
    assert!(shop.refused(plain()).starts_with("MISMATCH "), "also once it is completed, and its lane is gone");
}

#[test]
fn orders_of_lanes_get_late_as_others_do() {
    let mut shop = shop(&[]);
    shop.ok(configure(&[(Field::SlaMs, 10)]));
    ["a1", "-1", "b1"].iter().for_each(|id| drop(shop.ok(ask(id))));
    shop.now += 1;
    shop.ok(ask("a2"));
    shop.wait(10);
    assert_eq!(shop.store.info(shop.now).counters.late, 3);
    shop.reload();
    shop.claims("w", 9);
    shop.ok(yield_all("w"));
    shop.wait(1);
    assert_eq!(shop.store.info(shop.now).counters.late, 4);
}

#[test]
fn a_completion_claims_of_all_lanes() {
    let mut shop = shop(&["-1", "a1", "-2"]);
    shop.claims("w", 1);
    assert!(matches!(shop.ok(complete_and_claim("-1", "w")), Reply::Next(_, Some((next, _))) if next == b"a1"));
}

#[test]
fn that_very_order_is_claimed_if_a_worker_could_get_it_now() {
    let mut shop = shop(&["-1", "a1", "-2"]);
    assert_eq!(got(&mut shop, claim_order("w", "-2")), ["-2"], "whatever stands before it");
    assert_eq!(got(&mut shop, claim_order("w", "a1")), ["a1"]);
    assert_eq!(got(&mut shop, claim_order("x", "a1")), [""; 0], "a worker has it");
    shop.repeats(claim_order("w", "a1"));
    shop.ok(fail("a1").after(5));
    assert_eq!(got(&mut shop, claim_order("w", "a1")), [""; 0], "its retry is not due");
    shop.wait(5);
    shop.reload();
    assert_eq!(got(&mut shop, claim_order("w", "a1")), ["a1"]);
    shop.ok(complete("a1"));
    assert_eq!(got(&mut shop, claim_order("w", "a1")), [""; 0], "it is completed");
    shop.ok(configure(&[(Field::Paused, 1)]));
    assert_eq!(got(&mut shop, claim_order("w", "-1")), [""; 0], "nothing is handed out");
    shop.ok(configure(&[(Field::Paused, 0)]));
    assert_eq!(shop.refused(claim_order("w", "who")), "NOORDER no order who in this store");
    assert_eq!(shop.claims("w", 9), ["-1"]);
}

#[test]
fn an_order_of_a_group_is_claimed_by_name_when_it_is_its_turn() {
    let mut shop = shop(&[]);
    ["a1", "a2"].iter().for_each(|id| drop(shop.ok(ask(id).group("g"))));
    assert_eq!(got(&mut shop, claim_order("w", "a2")), [""; 0]);
    assert_eq!(got(&mut shop, claim_order("w", "a1")), ["a1"]);
    shop.ok(complete("a1"));
    assert_eq!(got(&mut shop, claim_order("w", "a2")), ["a2"]);
    assert_eq!(shop.state("a2"), OrderState::Claimed);
}

#[test]
fn what_is_split_off_waits_in_the_same_lane_or_in_the_one_that_is_named() {
    let mut shop = shop(&["a1"]);
    shop.ok(place("a2", "ann", &[("tea", 5)]).lane("a"));
    shop.ok(split("a2", "part", &[("tea", 1)]));
    let ask = |lane, new_order| split("a2", new_order, &[("tea", 1)]).lane(lane);
    shop.ok(ask("b", "to-b"));
    shop.ok(ask("", "to-default"));
    shop.repeats(ask("b", "to-b"));
    assert!(shop.refused(ask("c", "to-b")).starts_with("MISMATCH "), "the lane is content");
    assert!(shop.refused(split("a2", "to-b", &[("tea", 1)])).starts_with("MISMATCH "));
    shop.ok(edit("to-b", &[("tea", 2)]));
    shop.reload();
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["a"])), ["a1", "a2", "part"]);
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["b"])), ["to-b"]);
    assert_eq!(shop.claims("w", 9), ["to-default"]);
}

#[test]
fn an_order_with_gates_keeps_its_lane_and_waits_in_it_when_all_are_passed() {
    let mut shop = shop(&["a1"]);
    shop.ok(ask("b1").gate("pay", 0));
    assert_eq!(lanes(&shop), [lane("a", [1, 0, 0]), lane("b", [0; 3])], "a pending order is in its lane, not queued");
    shop.ok(gate("a1", "check", 0));
    ["a2", "a3"].iter().for_each(|id| drop(shop.ok(ask(id))));
    assert_eq!(lanes(&shop), [lane("a", [2, 0, 0]), lane("b", [0; 3])]);
    shop.reload();
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["b"])), [""; 0]);
    assert_eq!(got(&mut shop, claim_order("w", "b1")), [""; 0], "no worker could get it now");
    shop.ok(pass("b1", "pay"));
    shop.ok(pass("a1", "check"));
    assert_eq!(lanes(&shop), [lane("a", [3, 0, 0]), lane("b", [1, 0, 0])]);
    shop.reload();
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["b"])), ["b1"]);
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["a"])), ["a1", "a2", "a3"], "it is at its old place");
}

#[test]
fn a_gate_that_expires_takes_the_order_out_of_its_lane() {
    let mut shop = shop(&[]);
    shop.ok(ask("b1").gate("pay", 50));
    shop.ok(ask("c1").group("g"));
    shop.ok(gate("c1", "pay", 50));
    assert_eq!(lanes(&shop), [lane("b", [0; 3]), lane("c", [0; 3])]);
    shop.wait(50);
    assert_eq!(lanes(&shop), []);
    assert_eq!((shop.order("b1").lane, shop.order("c1").lane), (&b"b"[..], &b"c"[..]), "the orders still know");
    shop.reload();
}

#[test]
fn the_lanes_with_work_are_those_a_worker_gets_an_order_of() {
    let mut shop = shop(&["a1", "-1", "b1"]);
    let with_work = |shop: &Shop| {
        shop.store.lanes_with_work().map(|lane| String::from_utf8(lane.to_vec()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(with_work(&shop), ["", "a", "b"]);
    shop.ok(claim("w", 1).lanes(&["a"]));
    assert_eq!(with_work(&shop), ["", "b"]);
    shop.ok(configure(&[(Field::Paused, 1)]));
    assert_eq!(with_work(&shop), [""; 0]);
    assert_eq!(got(&mut shop, claim("w", 9).lanes(&["b"])), [""; 0]);
}

#[test]
fn a_million_orders_in_64_lanes_are_handed_out_in_order() {
    // Each claim looks at a few records, however many lanes and orders there are.
    let (mut store, mut fx, now) = (Store::new(1), Effects::default(), 1_700_000_000_000);
    let count = if cfg!(debug_assertions) { 30_000 } else { 1_000_000 };
    set("tea", count).apply(&mut store, now, &mut fx).unwrap();
    for number in 0..count {
        let lane = format!("lane-{}", number * 7 % LANES_MAX as u64);
        place(&format!("{number}"), "ann", &[("tea", 1)]).lane(&lane).apply(&mut store, now, &mut fx).unwrap();
    }
    let claim = Claim { worker: b"w", count: 100, pick: Pick::Any, lease_ms: None };
    let mut next = 0;
    while next < count {
        fx.list.clear();
        for slot in store.claim(now, &claim, &mut fx).unwrap() {
            assert_eq!(store.claimed(slot).order, next.to_string().as_bytes());
            next += 1;
        }
    }
    assert_eq!(audited(&mut store, 10_000), []);
}
