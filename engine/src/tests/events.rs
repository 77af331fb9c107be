//! Events of stock: low, out, changed.

use super::build::*;
use super::command::Command;
use super::shop::Shop;
use crate::terms::effects::Event::{self, HoldExpired, HoldReserved, OrderPlaced, StockChanged, StockLow, StockOut};
use crate::terms::settings::Field;

/// The events of a call that are about stock.
fn stock(shop: &mut Shop, command: Command) -> Vec<Event> {
    shop.ok(command);
    shop.events().into_iter().filter(|event| matches!(event, StockLow | StockOut)).collect()
}

#[test]
fn a_sku_becomes_low_once_and_again_after_it_was_not() {
    let mut shop = Shop::new();
    assert_eq!(stock(&mut shop, set("tea", 10).low(3)), []);
    assert_eq!(stock(&mut shop, reserve("a", &[("tea", 6)])), []);
    assert_eq!(stock(&mut shop, reserve("b", &[("tea", 1)])), [StockLow]);
    assert_eq!(stock(&mut shop, reserve("c", &[("tea", 1)])), []);
    assert_eq!(stock(&mut shop, release("a")), []);
    assert_eq!(stock(&mut shop, place("o", "ann", &[("tea", 5)])), [StockLow]);
}

#[test]
fn a_sku_is_out_when_its_last_available_unit_goes() {
    let mut shop = Shop::with(&[("tea", 2)]);
    assert_eq!(stock(&mut shop, place("o", "ann", &[("tea", 2)])), [StockOut]);
    assert_eq!(stock(&mut shop, complete("o")), []);
    assert_eq!(stock(&mut shop, set("tea", 5)), []);
    assert_eq!(stock(&mut shop, adjust("tea", -5)), [StockOut]);
    assert_eq!(stock(&mut shop, sync("erp", 1, &[("tea", 3)])), []);
    assert_eq!(stock(&mut shop, set("tea", 0)), [StockOut]);
}

#[test]
fn a_mark_that_is_moved_tells_too() {
    let mut shop = Shop::with(&[("tea", 10)]);
    assert_eq!(stock(&mut shop, set("tea", 10).low(10)), [StockLow]);
    assert_eq!(stock(&mut shop, set("tea", 10).low(10)), []);
    assert_eq!(stock(&mut shop, set("tea", 10).safety(10)), [StockOut]);
    assert_eq!(stock(&mut shop, set("tea", 10).safety(0)), []);
    // A new SKU under its mark is low from the start.
    assert_eq!(stock(&mut shop, set("milk", 2).low(3)), [StockLow]);
    // Both at once: the count grows, and the mark with it.
    assert_eq!(stock(&mut shop, set("tea", 20).low(5)), []);
    assert_eq!(stock(&mut shop, set("tea", 30).low(40)), [StockLow]);
}

#[test]
fn counts_and_deadlines_tell_their_events() {
    let mut shop = Shop::new();
    shop.ok(set("tea", 3));
    assert_eq!(shop.events(), [StockChanged]);
    shop.ok(sync("erp", 1, &[("tea", 4), ("milk", 1)]));
    assert_eq!(shop.events(), [StockChanged; 2]);
    shop.ok(adjust("tea", 1));
    assert_eq!(shop.events(), [StockChanged]);
    shop.ok(reserve("h", &[("tea", 1)]).ttl(10));
    assert_eq!(shop.events(), [HoldReserved]);
    shop.wait(10);
    assert_eq!(shop.events(), [HoldExpired]);
    shop.ok(reserve("h2", &[("tea", 1)]));
    shop.ok(extend("h2", 10_000_000));
    assert_eq!(shop.events(), [Event::HoldExtended]);
    shop.ok(place_hold("o", "ann", "h2"));
    assert_eq!(shop.events(), [OrderPlaced]);
    shop.ok(configure(&[(Field::Limit, 1)]));
    assert_eq!(shop.events(), [Event::StoreChanged]);
}

#[test]
fn names_of_events_are_told_apart() {
    let orders = [
        Event::OrderPlaced,
        Event::OrderQueued,
        Event::OrderGated,
        Event::OrderPassed,
        Event::OrderCompleted,
        Event::OrderCancelled,
        Event::OrderReturned,
        Event::OrderClaimed,
        Event::OrderRenewed,
        Event::OrderYielded,
        Event::OrderLeaseEnded,
        Event::OrderFailed,
        Event::OrderRetry,
        Event::OrderDead,
        Event::OrderRedriven,
        Event::OrderAdvanced,
        Event::OrderLate,
    ];
    let others = [
        Event::HoldReserved,
        Event::HoldExtended,
        Event::HoldCommitted,
        Event::HoldReleased,
        Event::HoldExpired,
        Event::StockChanged,
        Event::StockLow,
        Event::StockOut,
        Event::StoreChanged,
    ];
    let names: std::collections::BTreeSet<_> = orders.iter().chain(&others).map(|event| event.name()).collect();
    assert_eq!(names.len(), orders.len() + others.len());
    assert!(orders.iter().all(|event| event.name().to_bytes().starts_with(b"order.")));
}

#[test]
fn a_redriven_order_takes_stock_and_tells_where_that_leaves_it() {
    let mut shop = Shop::new();
    shop.ok(set("tea", 10).low(3));
    shop.ok(place("o", "ann", &[("tea", 10)]));
    assert_eq!(stock(&mut shop, fail("o").fatal()), []);
    assert_eq!(stock(&mut shop, redrive("o")), [StockOut, StockLow]);
}
