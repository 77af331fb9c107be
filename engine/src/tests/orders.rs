//! Orders: placed, completed, cancelled, returned.

use super::build::*;
use super::command::Reply::{Entry, Units};
use super::shop::{START, Shop};
use crate::calls::orders::ScanOrders;
use crate::terms::effects::{Effect, Event};
use crate::terms::settings::Field;
use crate::terms::states::HoldState;
use crate::terms::states::OrderState;
use crate::terms::streams::EntryId;

fn state(shop: &Shop, order: &str) -> OrderState {
    shop.store.order(shop.now, order.as_bytes()).expect("a known order").state
}

#[test]
fn an_order_takes_its_units_and_waits() {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 4)]);
    let entry = EntryId { ms: START, seq: 0 };
    let ask = place("o", "ann", &[("tea", 3), ("milk", 1), ("tea", 1)]).note("{\"a\":1}").group("g");
    assert_eq!(shop.changes(ask), Entry(entry));
    assert!(matches!(shop.fx.list[0], Effect::Queued { id, .. } if id == entry));
    let order = shop.store.order(shop.now, b"o").unwrap();
    assert_eq!((order.id, order.customer, order.group, order.hold), (&b"o"[..], &b"ann"[..], &b"g"[..], &b""[..]));
    assert_eq!((order.state, order.data), (OrderState::Queued, &b"{\"a\":1}"[..]));
    assert_eq!(order.items, [(&b"tea"[..], 4, 0), (&b"milk"[..], 1, 0)]);
    assert_eq!((order.entry, order.placed_at, order.ended_at, order.complete), (Some(entry), START, 0, None));
    assert_eq!((shop.books("tea"), shop.books("milk")), ((10, 4, 0), (4, 1, 0)));
    assert_eq!(shop.store.open_orders(), 1);
}

#[test]
fn a_refused_order_leaves_nothing_behind() {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 4)]);
    assert_eq!(shop.refused(place("o", "ann", &[("tea", 3), ("milk", 5)])), "OUTOFSTOCK milk wanted 5 available 4");
    assert_eq!(shop.refused(place("o", "ann", &[("jam", 1)])), "NOSKU no SKU jam in this store");
    assert_eq!(shop.store.info(shop.now).customers, 0);
    assert!(shop.store.order(shop.now, b"o").is_none());
}

#[test]
fn a_completed_order_is_sold() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(place("o", "ann", &[("tea", 3)]));
    shop.now += 25;
    let entry = EntryId { ms: START + 25, seq: 0 };
    assert_eq!(shop.changes(complete("o").note("\"ok\"")), Entry(entry));
    let slot_entries: Vec<_> =
        shop.fx.list.iter().filter(|e| !matches!(e, Effect::Event(_))).map(|e| format!("{e:?}")).collect();
    assert_eq!(slot_entries.len(), 2, "one entry leaves, one is added: {slot_entries:?}");
    let order = shop.store.order(shop.now, b"o").unwrap();
    assert_eq!((order.state, order.result), (OrderState::Completed, &b"\"ok\""[..]));
    assert_eq!((order.ended_at, order.complete), (START + 25, Some(entry)));
    assert_eq!(shop.books("tea"), (7, 0, 3));
    let info = shop.store.info(shop.now);
    assert_eq!((info.counters.placed, info.counters.completed, info.counters.units_sold), (1, 1, 3));
    assert_eq!((shop.store.open_orders(), info.oldest_waiting_ms), (0, 0));
}

#[test]
fn a_cancelled_order_gives_its_units_back_once() {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 4)]);
    shop.ok(place("o", "ann", &[("tea", 3), ("milk", 2)]));
    assert_eq!(shop.changes(cancel("o").note("too late")), Units(5));
    assert_eq!((shop.books("tea"), shop.books("milk")), ((10, 0, 0), (4, 0, 0)));
    assert_eq!(shop.repeats(cancel("o").note("too late")), Units(5));
    assert_eq!((shop.books("tea"), state(&shop, "o")), ((10, 0, 0), OrderState::Cancelled));
    let order = shop.store.order(shop.now, b"o").unwrap();
    assert_eq!((order.reason, order.complete), (&b"too late"[..], None));
}

#[test]
fn an_ended_order_cannot_end_otherwise() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(place("a", "ann", &[("tea", 1)]));
    shop.ok(place("b", "ann", &[("tea", 1)]));
    assert_eq!(shop.refused(give_back("a", &[("tea", 1)])), "BADSTATE order is queued");
    shop.ok(complete("a"));
    shop.ok(cancel("b"));
    assert_eq!(shop.refused(cancel("a")), "BADSTATE order is completed");
    assert_eq!(shop.refused(complete("b")), "BADSTATE order is cancelled");
    assert_eq!(shop.refused(give_back("b", &[("tea", 1)])), "BADSTATE order is cancelled");
    for refused in [complete("x"), cancel("x")] {
        assert_eq!(shop.refused(refused), "NOORDER no order x in this store");
    }
}

#[test]
fn a_token_that_nobody_was_given_is_fenced() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(place("o", "ann", &[("tea", 1)]));
    assert!(shop.refused(complete("o").token(5)).starts_with("FENCED "));
    assert_eq!(state(&shop, "o"), OrderState::Queued);
}

#[test]
fn returns_never_bring_back_more_than_was_sold() {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 4)]);
    shop.ok(place("o", "ann", &[("tea", 3), ("milk", 2)]));
    shop.ok(complete("o"));
    shop.now += 10;
    assert_eq!(shop.changes(give_back("o", &[("tea", 2)])), Units(2));
    assert_eq!(shop.refused(give_back("o", &[("tea", 2)])), "BADSTATE order has 1 of tea to return, not 2");
    assert_eq!(
        shop.refused(give_back("o", &[("milk", 1), ("tea", 2)])),
        "BADSTATE order has 1 of tea to return, not 2"
    );
    assert_eq!(shop.refused(give_back("o", &[("tea", 1), ("tea", 1)])), "BADSTATE order has 1 of tea to return, not 2");
    assert_eq!(shop.refused(give_back("o", &[("jam", 1)])), "NOSKU no SKU jam in this store");
    shop.now += 10;
    assert_eq!(shop.changes(give_back("o", &[("milk", 2), ("tea", 1)])), Units(3));
    assert_eq!((shop.books("tea"), shop.books("milk")), ((10, 0, 0), (4, 0, 0)));
    let order = shop.store.order(shop.now, b"o").unwrap();
    assert_eq!(order.items, [(&b"tea"[..], 3, 3), (&b"milk"[..], 2, 2)]);
    let returns: Vec<_> = order.returns.iter().map(|back| (back.at, back.units)).collect();
    assert_eq!(returns, [(START + 10, 2), (START + 20, 3)]);
    assert_eq!(order.state, OrderState::Completed);
    assert_eq!(shop.store.info(shop.now).counters.returned, 5);
}

#[test]
fn returning_no_units_of_a_sku_that_the_order_has_not_is_harmless() {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 4)]);
    shop.ok(place("o", "ann", &[("tea", 3)]));
    shop.ok(complete("o"));
    assert_eq!(shop.ok(give_back("o", &[("milk", 0), ("tea", 1)])), Units(1));
}

#[test]
fn a_hold_becomes_an_order_without_letting_go_of_its_units() {
    let mut shop = Shop::with(&[("tea", 5)]);
    shop.ok(reserve("h", &[("tea", 5)]).by("ann"));
    shop.ok(release("h").of(&[("tea", 1)]));
    shop.ok(commit("h").of(&[("tea", 1)]));
    assert_eq!(shop.books("tea"), (4, 3, 1));
    shop.changes(place_hold("o", "ann", "h"));
    assert_eq!(shop.books("tea"), (4, 3, 1));
    let order = shop.store.order(shop.now, b"o").unwrap();
    assert_eq!(order.hold, b"h");
    assert_eq!(order.items, [(&b"tea"[..], 3, 0)]);
    assert_eq!(shop.store.hold(b"h").unwrap().state, HoldState::Ordered);
    assert_eq!(shop.refused(place_hold("o2", "ann", "h")), "BADSTATE hold is ordered");
    assert_eq!(shop.refused(commit("h")), "BADSTATE hold is ordered");
    shop.ok(complete("o"));
    assert_eq!(shop.books("tea"), (1, 0, 4));
}

#[test]
fn a_hold_is_of_its_customer_and_nobody_s_hold_of_anyone() {
    let mut shop = Shop::with(&[("tea", 5)]);
    shop.ok(reserve("hers", &[("tea", 1)]).by("ann"));
    shop.ok(reserve("nobody's", &[("tea", 1)]));
    assert_eq!(shop.refused(place_hold("o", "bob", "hers")), "MISMATCH hold hers is of customer ann");
    shop.ok(place_hold("o", "bob", "nobody's"));
    assert_eq!(shop.store.order(shop.now, b"o").unwrap().customer, b"bob");
}

#[test]
fn orders_wait_first_in_first_whoever_leaves_between() {
    let mut shop = Shop::with(&[("tea", 50)]);
    for i in 0..6 {
        shop.ok(place(&format!("o{i}"), "ann", &[("tea", 1)]));
        shop.now += 10;
    }
    let oldest = |shop: &Shop| shop.store.info(shop.now).oldest_waiting_ms;
    assert_eq!(oldest(&shop), 60);
    shop.ok(cancel("o2"));
    shop.ok(complete("o5"));
    assert_eq!(oldest(&shop), 60);
    shop.ok(complete("o0"));
    assert_eq!(oldest(&shop), 50);
    shop.ok(complete("o1"));
    assert_eq!(oldest(&shop), 30);
    shop.reload();
    assert_eq!(oldest(&shop), 30);
    shop.ok(complete("o4"));
    shop.ok(complete("o3"));
    assert_eq!(oldest(&shop), 0);
}

#[test]
fn an_order_is_late_past_sla_ms() {
    let mut shop = Shop::with(&[("tea", 50)]);
    shop.ok(configure(&[(Field::SlaMs, 100)]));
    for id in ["a", "b", "c"] {
        shop.ok(place(id, "ann", &[("tea", 1)]));
    }
    shop.now += 100;
    shop.ok(complete("a"));
    let late = |shop: &Shop, id: &str| shop.store.order(shop.now, id.as_bytes()).unwrap().late;
    assert!(!late(&shop, "a") && !late(&shop, "b"));
    shop.now += 1;
    shop.ok(complete("b"));
    shop.now += 1_000;
    assert_eq!(["a", "b", "c"].map(|id| late(&shop, id)), [false, true, true]);
    let scan = |state, late| {
        let wanted = ScanOrders { state, late, ..ScanOrders::default() };
        shop.store.scan_orders(shop.now, 0, 10, &wanted).1
    };
    assert_eq!(scan(None, true), [b"b", b"c"]);
    assert_eq!(scan(Some(OrderState::Completed), true), [b"b"]);
    assert_eq!(scan(Some(OrderState::Completed), false), [b"a", b"b"]);
    let of_nobody = ScanOrders { customer: Some(b"nobody"), ..ScanOrders::default() };
    assert_eq!(shop.store.scan_orders(shop.now, 0, 10, &of_nobody).1, [b""; 0]);
}

#[test]
fn every_change_tells_its_event() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(place("a", "ann", &[("tea", 1)]));
    assert_eq!(shop.events(), [Event::OrderPlaced]);
    shop.ok(complete("a"));
    assert_eq!(shop.events(), [Event::OrderCompleted]);
    shop.ok(give_back("a", &[("tea", 1)]));
    assert_eq!(shop.events(), [Event::OrderReturned]);
    shop.ok(place("b", "ann", &[("tea", 1)]));
    shop.ok(cancel("b"));
    assert_eq!(shop.events(), [Event::OrderCancelled]);
}
