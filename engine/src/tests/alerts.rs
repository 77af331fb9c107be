//! Alerts: one where something turns, and none where nothing does.

use super::build::*;
use super::command::Command;
use super::shop::Shop;
use crate::terms::alerts::AlertKind;
use crate::terms::effects::Effect;
use crate::terms::settings::Field;

/// The alerts of the last call, in short.
fn alerts(shop: &Shop) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let short = |effect: &Effect| {
        let Effect::Alert(alert) = effect else { return None };
        let available = alert.available.map_or(String::new(), |units| units.to_string());
        let words =
            [alert.kind.name().to_string(), text(&alert.sku), text(&alert.order), available, text(&alert.reason)];
        Some(words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
    };
    shop.fx.list.iter().filter_map(short).collect()
}

/// Makes a call; its alerts.
fn of(shop: &mut Shop, command: Command) -> Vec<String> {
    shop.ok(command);
    alerts(shop)
}

const NONE: [&str; 0] = [];

#[test]
fn stock_that_turns_is_an_alert() {
    let mut shop = Shop::new();
    // A new SKU was never out before.
    assert_eq!(of(&mut shop, set("tea", 5).low(2)), NONE);
    assert_eq!(of(&mut shop, place("o1", "ann", &[("tea", 2)])), NONE);
    assert_eq!(of(&mut shop, place("o2", "ann", &[("tea", 1)])), ["stock.low tea 2"]);
    assert_eq!(of(&mut shop, place("o3", "ann", &[("tea", 1)])), NONE);
    assert_eq!(of(&mut shop, place("o4", "ann", &[("tea", 1)])), ["stock.out tea 0"]);
    assert_eq!(of(&mut shop, set("tea", 2)), NONE, "it is out as before, less than nothing is available");
    assert_eq!(of(&mut shop, set("tea", 6)), ["stock.in tea 1"]);
    assert_eq!(of(&mut shop, cancel("o4")), NONE);
    assert_eq!(of(&mut shop, adjust("tea", -2)), ["stock.out tea 0"]);
    shop.ok(set("jam", 9));
    assert_eq!(of(&mut shop, reserve("h", &[("jam", 1)])), NONE);
    assert_eq!(of(&mut shop, sync("erp", 1, &[("tea", 9), ("milk", 0)])), ["stock.in tea 5"]);
    // milk was made without any: that it comes is news.
    assert_eq!(of(&mut shop, sync("erp", 2, &[("milk", 4)])), ["stock.in milk 4"]);
    assert_eq!(
        of(&mut shop, place("all", "ann", &[("tea", 5), ("milk", 4)])),
        ["stock.out tea 0", "stock.low tea 0", "stock.out milk 0"]
    );
}

#[test]
fn units_that_come_back_at_a_deadline_are_an_alert() {
    let mut shop = Shop::with(&[("tea", 5)]);
    shop.ok(reserve("h", &[("tea", 5)]).ttl(10));
    assert_eq!(alerts(&shop), ["stock.out tea 0"]);
    shop.wait(10);
    assert_eq!(alerts(&shop), ["stock.in tea 5"]);
}

#[test]
fn late_and_dead_orders_are_alerts() {
    let mut shop = Shop::with(&[("tea", 5)]);
    shop.ok(configure(&[(Field::SlaMs, 100), (Field::Attempts, 2)]));
    shop.ok(place("o", "ann", &[("tea", 5)]));
    shop.wait(101);
    assert_eq!(alerts(&shop), ["order.late o"]);
    shop.wait(100);
    assert_eq!(alerts(&shop), NONE);
    assert_eq!(of(&mut shop, fail("o").note("no stock in the shelf").after(1)), NONE);
    shop.wait(1);
    assert_eq!(of(&mut shop, fail("o").note("box broken")), ["stock.in tea 5", "order.dead o box broken"]);
    assert_eq!(of(&mut shop, redrive("o")), ["stock.out tea 0"]);
    shop.ok(claim("w", 1).lease(10));
    shop.wait(10);
    shop.ok(claim("w", 1).lease(10));
    shop.wait(10);
    assert_eq!(alerts(&shop), ["stock.in tea 5", "order.dead o lease ended"]);
}

#[test]
fn a_gate_that_was_not_passed_in_time_is_an_alert() {
    let mut shop = Shop::with(&[("tea", 5)]);
    shop.ok(place("o", "ann", &[("tea", 5)]).gate("fraud", 0).gate("pay", 10));
    shop.wait(10);
    assert_eq!(alerts(&shop), ["stock.in tea 5", "gate.expired o gate pay expired"]);
}

#[test]
fn ids_grow_and_survive_a_load() {
    let mut shop = Shop::with(&[("tea", 1), ("milk", 1)]);
    shop.ok(place("o", "ann", &[("tea", 1), ("milk", 1)]));
    shop.reload();
    shop.ok(cancel("o"));
    let ids = |shop: &Shop| -> Vec<_> {
        let id = |effect: &Effect| if let Effect::Alert(alert) = effect { Some(alert.id) } else { None };
        shop.fx.list.iter().filter_map(id).collect()
    };
    let found = ids(&shop);
    assert_eq!(found.iter().map(|id| id.seq).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_store_that_keeps_none_writes_none() {
    let mut shop = Shop::with(&[("tea", 1)]);
    shop.ok(configure(&[(Field::Alerts, 0)]));
    assert_eq!(of(&mut shop, place("o", "ann", &[("tea", 1)])), NONE);
    assert_eq!(shop.events().len(), 2, "events are published all the same");
}

#[test]
fn a_cart_that_changes_turns_only_what_turns() {
    let mut shop = Shop::with(&[("tea", 5)]);
    shop.ok(reserve("h", &[("tea", 5)]));
    assert_eq!(of(&mut shop, replace("h", &[("tea", 5)]).by("ann")), NONE);
    assert_eq!(of(&mut shop, replace("h", &[("tea", 4)]).by("ann")), ["stock.in tea 1"]);
    assert_eq!(of(&mut shop, replace("h", &[("tea", 5)]).by("ann")), ["stock.out tea 0"]);
}

#[test]
fn kinds_have_the_names_of_the_contract() {
    let names: Vec<_> = AlertKind::ALL.iter().map(|kind| kind.name()).collect();
    let all = "stock.out stock.low stock.in order.late order.dead gate.expired waitlist.expired";
    assert_eq!(names.join(" "), all);
}
