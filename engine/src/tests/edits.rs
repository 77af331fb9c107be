//! Orders whose items change: what that takes and gives, who may do it, and what stays as it was.

use super::build::*;
use super::command::Reply::{Entry, Units};
use super::published::Published;
use super::shop::{START, Shop};
use crate::base::units::MAX_QUANTITY;
use crate::record::history::HistoryEvent;
use crate::terms::effects::{Effect, Event};
use crate::terms::settings::Field;
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, StreamKind};

/// Ten teas, five milks, and ann's order `o` of three teas and a milk.
fn shop() -> Shop {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 5), ("jam", 2)]);
    shop.ok(configure(&[(Field::KeepMs, 1_000), (Field::LeaseMs, 100), (Field::Journal, 50)]));
    shop.ok(place("o", "ann", &[("tea", 3), ("milk", 1)]));
    shop
}

/// SKU and units of an order.
fn items(shop: &Shop, id: &str) -> Vec<(String, u64)> {
    let text = |sku: &[u8]| String::from_utf8_lossy(sku).into_owned();
    shop.order(id).items.iter().map(|item| (text(item.sku), item.qty)).collect()
}

fn of(list: &[(&str, u64)]) -> Vec<(String, u64)> {
    list.iter().map(|(sku, qty)| ((*sku).to_string(), *qty)).collect()
}

/// The movements of the last call, in short.
fn moved(shop: &Shop) -> Vec<String> {
    let short = |effect: &Effect| match effect {
        Effect::Moved(m) => {
            let (sku, reference) = (String::from_utf8_lossy(&m.sku), String::from_utf8_lossy(&m.reference));
            Some(format!("{} {sku} {:+} {}/{} {reference}", m.kind, m.delta, m.on_hand, m.held))
        }
        _ => None,
    };
    shop.fx.list.iter().filter_map(short).collect()
}

#[test]
fn an_order_becomes_exactly_these_items() {
    let mut shop = shop();
    shop.now += 50;
    assert_eq!(shop.changes(edit("o", &[("jam", 1), ("tea", 5)])), Units(6));
    assert_eq!(items(&shop, "o"), of(&[("jam", 1), ("tea", 5)]));
    assert_eq!((shop.books("tea"), shop.books("milk"), shop.books("jam")), ((10, 5, 0), (5, 0, 0), (2, 1, 0)));
    assert_eq!(moved(&shop), ["edit milk -1 5/0 o", "edit jam +1 2/1 o", "edit tea +2 10/5 o"]);
    assert_eq!(shop.events(), [Event::OrderEdited]);
    let (old, new) = (EntryId { ms: START, seq: 0 }, EntryId { ms: START + 50, seq: 0 });
    let published = [Published::Left(StreamKind::Orders, old), Published::Queued(b"o".to_vec(), new)];
    assert_eq!(shop.published(), published);
    let order = shop.order("o");
    assert_eq!((order.state, order.entry, order.placed_at), (OrderState::Queued, Some(new), START));
    assert_eq!(order.history, [HistoryEvent::Edited { at: START + 50, units: 6 }]);
    shop.reload();
    shop.ok(complete("o"));
    assert_eq!((shop.books("tea"), shop.books("milk"), shop.books("jam")), ((5, 0, 5), (5, 0, 0), (1, 0, 1)));
}

#[test]
fn an_edit_takes_all_or_nothing() {
    let mut shop = shop();
    assert_eq!(shop.refused(edit("o", &[("tea", 1), ("jam", 3)])), "OUTOFSTOCK jam wanted 3 available 2");
    assert_eq!(shop.refused(edit("o", &[("tea", 11)])), "OUTOFSTOCK tea wanted 8 available 7");
    assert_eq!(shop.refused(edit("o", &[("tea", 1), ("rum", 1)])), "NOSKU no SKU rum in this store");
    assert_eq!(shop.refused(edit("x", &[("tea", 1)])), "NOORDER no order x in this store");
    assert!(shop.refused(edit("o", &[("tea", MAX_QUANTITY), ("milk", 1)])).starts_with("ERR qty "));
    assert!(shop.refused(edit("o", &[("tea", MAX_QUANTITY), ("tea", 1)])).starts_with("ERR qty "));
    assert_eq!(items(&shop, "o"), of(&[("tea", 3), ("milk", 1)]));
    // What the order has itself is not in its way.
    assert_eq!(shop.changes(edit("o", &[("tea", 10)])), Units(10));
}

#[test]
fn what_is_added_counts_towards_the_limits_and_what_goes_does_not() {
    let mut shop = shop();
    shop.ok(configure(&[(Field::Limit, 4)]));
    assert_eq!(shop.refused(edit("o", &[("tea", 3), ("milk", 2)])), "LIMIT customer ann limit 4 has 4");
    assert_eq!(shop.changes(edit("o", &[("tea", 1), ("milk", 3)])), Units(4));
    shop.ok(set("milk", 5).limit(3));
    assert_eq!(shop.refused(edit("o", &[("milk", 4)])), "LIMIT customer ann limit 3 has 3 of milk");
    // A limit that was lowered since does not keep anybody from having less, or others of the same number.
    shop.ok(configure(&[(Field::Limit, 1)]));
    assert_eq!(shop.changes(edit("o", &[("tea", 2), ("milk", 2)])), Units(4));
    assert_eq!(shop.changes(edit("o", &[("milk", 2), ("tea", 1)])), Units(3));
    assert_eq!(shop.changes(edit("o", &[("jam", 1)])), Units(1));
    assert!(shop.refused(place("more", "ann", &[("jam", 1)])).starts_with("LIMIT "));
}

#[test]
fn what_is_lost_is_written_off() {
    let mut shop = shop();
    assert_eq!(shop.changes(edit("o", &[("tea", 1), ("milk", 2)]).lost()), Units(3));
    assert_eq!((shop.books("tea"), shop.sku("tea").available), ((8, 1, 0), 7));
    assert_eq!((shop.books("milk"), shop.sku("milk").available), ((5, 2, 0), 3));
    assert_eq!(moved(&shop), ["lost tea -2 8/1 o", "edit milk +1 5/2 o"]);
    shop.reload();
    shop.ok(complete("o"));
    assert_eq!((shop.books("tea"), shop.books("milk")), ((7, 0, 1), (3, 0, 2)));
    shop.ok(give_back("o", &[("tea", 1)]));
    assert_eq!(shop.books("tea"), (8, 0, 0));
}

#[test]
fn a_count_below_what_is_held_is_not_written_off_below_nothing() {
    let mut shop = shop();
    shop.ok(set("tea", 1));
    assert_eq!(shop.changes(edit("o", &[("tea", 1)]).lost()), Units(1));
    assert_eq!((shop.books("tea"), shop.sku("tea").available), ((0, 1, 0), -1));
    shop.ok(complete("o"));
    assert_eq!(shop.books("tea"), (0, 0, 1));
    shop.reload();
}

#[test]
fn the_place_in_the_queue_and_in_the_group_stays() {
    let mut shop = Shop::with(&[("tea", 50)]);
    shop.ok(configure(&[(Field::LeaseMs, 100)]));
    for id in ["a", "b", "c"] {
        shop.ok(place(id, "ann", &[("tea", 1)]));
        shop.ok(place(&format!("g{id}"), "ann", &[("tea", 1)]).group("g"));
        shop.now += 10;
    }
    for (i, id) in ["b", "ga", "gb", "b"].into_iter().enumerate() {
        shop.changes(edit(id, &[("tea", 2 + i as u64)]));
    }
    shop.reload();
    assert_eq!(shop.claims("w", 9), ["a", "ga", "b", "c"]);
    shop.ok(yield_all("w"));
    shop.changes(edit("b", &[("tea", 1)]));
    assert_eq!(shop.claims("w", 9), ["a", "ga", "b", "c"]);
    shop.ok(complete("ga"));
    assert_eq!(shop.claims("w", 9), ["gb"]);
    shop.ok(fail("b").after(5));
    shop.changes(edit("b", &[("tea", 3)]));
    shop.wait(5);
    shop.changes(edit("b", &[("tea", 4)]));
    shop.reload();
    assert_eq!((shop.claims("w", 1), items(&shop, "b")), (vec!["b".to_string()], of(&[("tea", 4)])));
}

#[test]
fn an_order_that_a_worker_has_is_edited_with_its_token_only() {
    let mut shop = shop();
    shop.ok(claim("w", 1));
    let first = shop.token("o");
    shop.wait(100);
    shop.ok(claim("w2", 1));
    let token = shop.token("o");
    let ask = edit("o", &[("tea", 2)]);
    for bad in [ask.clone(), ask.clone().token(first), ask.clone().token(7)] {
        assert_eq!(shop.refused(bad), format!("FENCED current token {token}"));
    }
    assert_eq!(shop.changes(ask.clone().token(token)), Units(2));
    let order = shop.order("o");
    assert_eq!((order.state, order.worker, order.token), (OrderState::Claimed, &b"w2"[..], token));
    let slot = shop.store.order_at(b"o").unwrap();
    assert_eq!(shop.store.claimed(slot).items.iter().map(|item| item.qty).collect::<Vec<_>>(), [2]);
    shop.reload();
    shop.ok(complete("o").token(token));
    assert_eq!((shop.books("tea"), shop.books("milk")), ((8, 0, 2), (5, 0, 0)));
    assert!(shop.refused(give_back("o", &[("tea", 3)])).starts_with("BADSTATE order has 2 of tea"));
    assert!(shop.refused(give_back("o", &[("milk", 1)])).starts_with("BADSTATE order has 0 of milk"));
    assert_eq!(shop.ok(give_back("o", &[("tea", 2)])), Units(2));
    // Nobody has the order, so no token is its own.
    shop.ok(place("p", "ann", &[("tea", 1)]));
    assert!(shop.refused(edit("p", &[("tea", 2)]).token(token)).starts_with("FENCED current token 0"));
}

#[test]
fn an_order_that_ended_is_not_edited() {
    let mut shop = shop();
    for (id, state) in [("completed", "completed"), ("cancelled", "cancelled"), ("dead", "dead")] {
        shop.ok(place(id, "ann", &[("tea", 1)]));
        shop.ok(match id {
            "completed" => complete(id),
            "cancelled" => cancel(id),
            _ => fail(id).fatal(),
        });
        for ask in [edit(id, &[("tea", 2)]), edit(id, &[("tea", 1)]), edit(id, &[("tea", 2)]).token(5)] {
            assert_eq!(shop.refused(ask), format!("BADSTATE order is {state}"));
        }
    }
    shop.ok(fail("o").fatal());
    shop.ok(redrive("o"));
    assert_eq!(shop.changes(edit("o", &[("tea", 1)])), Units(1));
}

#[test]
fn an_order_that_came_in_time_is_edited_after_the_sale_closed() {
    let mut shop = shop();
    shop.ok(configure(&[(Field::Closes, START)]));
    assert_eq!(shop.changes(edit("o", &[("tea", 4)])), Units(4));
}

#[test]
fn an_edit_to_what_the_order_has_changes_nothing() {
    let mut shop = shop();
    for same in [&[("milk", 1), ("tea", 3)][..], &[("tea", 1), ("milk", 1), ("tea", 2)]] {
        assert_eq!(shop.repeats(edit("o", same)), Units(4));
        assert_eq!(shop.repeats(edit("o", same).lost()), Units(4));
    }
    // A REF is remembered all the same.
    let ask = edit("o", &[("tea", 3), ("milk", 1)]).reference("r");
    assert_eq!(shop.changes(ask.clone()), Units(4));
    assert_eq!((shop.published(), shop.events()), (vec![], vec![]));
    assert_eq!(shop.repeats(ask), Units(4));
    assert_eq!(shop.order("o").history, []);
}

#[test]
fn an_edit_sent_again_changes_nothing() {
    let mut shop = shop();
    shop.ok(claim("w", 1));
    let token = shop.token("o");
    let ask = edit("o", &[("tea", 2)]).lost().token(token);
    assert_eq!(shop.changes(ask.clone()), Units(2));
    assert_eq!(shop.repeats(ask.clone()), Units(2));
    // Its lease expired, and its reply came late: the first reply, and nothing else under that token.
    shop.wait(100);
    shop.reload();
    assert_eq!(shop.repeats(ask.clone()), Units(2));
    assert!(shop.refused(edit("o", &[("tea", 1)]).token(token)).starts_with("FENCED "));
    assert!(shop.refused(edit("o", &[("tea", 2)]).token(token)).starts_with("FENCED "), "without LOST: another call");
    shop.ok(complete("o"));
    assert_eq!(shop.repeats(ask.clone()), Units(2));
    assert_eq!(shop.books("tea"), (7, 0, 2));
    shop.ok(place("p", "ann", &[("tea", 2)]));
    let ask = edit("p", &[("tea", 1)]);
    shop.ok(ask.clone());
    shop.ok(cancel("p"));
    assert_eq!(shop.refused(ask), "BADSTATE order is cancelled");
}

#[test]
fn a_ref_stands_for_one_edit() {
    let mut shop = shop();
    let ask = edit("o", &[("tea", 5)]).reference("r");
    assert_eq!(shop.changes(ask.clone()), Units(5));
    shop.changes(edit("o", &[("tea", 1)]).reference("r2"));
    shop.reload();
    assert_eq!(shop.repeats(ask.clone()), Units(5));
    assert_eq!(items(&shop, "o"), of(&[("tea", 1)]));
    for other in [edit("o", &[("tea", 4)]), edit("p", &[("tea", 5)]), edit("o", &[("tea", 5)]).lost()] {
        assert_eq!(shop.refused(other.reference("r")), "MISMATCH REF r was used for another call");
    }
    // Without its REF it is another call: that of somebody who has no token, when a worker has the order.
    let mut other = self::shop();
    other.changes(edit("o", &[("tea", 5)]).reference("r"));
    assert_eq!(other.repeats(edit("o", &[("tea", 5)])), Units(5));
    other.ok(claim("w", 1_000));
    assert!(other.refused(edit("o", &[("tea", 5)])).starts_with("FENCED "));
    // A later token, and items named twice, are the same call; another command's REF is another one.
    assert_eq!(shop.repeats(edit("o", &[("tea", 2), ("tea", 3)]).token(9).reference("r")), Units(5));
    shop.ok(adjust("tea", 1).reference("r"));
    shop.ok(complete("o"));
    assert_eq!(shop.repeats(ask.clone()), Units(5));
    shop.wait(1_000);
    assert_eq!(shop.refused(ask), "NOORDER no order o in this store");
}

#[test]
fn the_place_it_came_from_still_gets_its_first_reply() {
    let mut shop = shop();
    let ask = place("o", "ann", &[("milk", 1), ("tea", 3)]);
    let first = shop.repeats(ask.clone());
    for units in 1..4 {
        shop.now += 10;
        shop.ok(edit("o", &[("tea", units), ("jam", 1)]));
        assert_eq!(shop.repeats(ask.clone()), first);
        assert_ne!(Entry(shop.order("o").entry.unwrap()), first);
        let text = "MISMATCH order o was placed with another content";
        assert_eq!(shop.refused(place("o", "ann", &[("tea", units), ("jam", 1)])), text);
        assert_eq!(shop.refused(place("o", "ann", &[("tea", 3)])), text);
        shop.reload();
    }
    shop.ok(fail("o").fatal());
    shop.ok(redrive("o"));
    assert_eq!(shop.repeats(ask.clone()), first);
    shop.ok(complete("o"));
    assert_eq!(shop.repeats(ask.clone()), first);
    assert!(shop.refused(place("o", "bob", &[("milk", 1), ("tea", 3)])).starts_with("MISMATCH "));
}

#[test]
fn an_order_of_a_hold_is_edited_and_still_of_it() {
    let mut shop = shop();
    shop.ok(reserve("h", &[("tea", 2)]).by("ann"));
    let first = shop.ok(place_hold("p", "ann", "h"));
    assert_eq!(shop.changes(edit("p", &[("tea", 1), ("milk", 1)])), Units(2));
    shop.reload();
    assert_eq!(shop.repeats(place_hold("p", "ann", "h")), first);
    assert_eq!(shop.order("p").hold, b"h");
}

#[test]
fn units_that_come_free_are_there_for_others_at_once() {
    let mut shop = Shop::with(&[("tea", 4)]);
    shop.ok(place("o", "ann", &[("tea", 4)]));
    assert!(shop.refused(place("p", "bob", &[("tea", 1)])).starts_with("OUTOFSTOCK "));
    shop.ok(edit("o", &[("tea", 3)]));
    shop.ok(place("p", "bob", &[("tea", 1)]));
    assert_eq!(shop.refused(edit("o", &[("tea", 4)])), "OUTOFSTOCK tea wanted 1 available 0");
    shop.ok(edit("p", &[("tea", 1)]).lost());
    assert_eq!(shop.books("tea"), (4, 4, 0));
}

#[test]
fn an_order_that_is_edited_for_ever_stays_small() {
    let mut shop = shop();
    for n in 0..250 {
        shop.ok(edit("o", &[("tea", 1 + n % 2)]));
    }
    let order = shop.order("o");
    assert_eq!((order.history.len(), order.history_lost), (100, 150));
    shop.reload();
}

#[test]
fn an_edited_order_is_as_late_as_before() {
    let mut shop = shop();
    shop.ok(configure(&[(Field::SlaMs, 40)]));
    shop.now += 20;
    shop.ok(edit("o", &[("tea", 1)]));
    assert_eq!(shop.store.next_due(), Some(START + 41));
    shop.reload();
    shop.wait(21);
    assert_eq!(shop.events(), [Event::OrderLate]);
    shop.ok(edit("o", &[("tea", 2)]));
    shop.wait(100);
    assert_eq!(shop.store.info(shop.now).counters.late, 1);
}
