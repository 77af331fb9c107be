//! Movements of stock.

use std::collections::BTreeMap;

use super::build::*;
use super::command::Command;
use super::shop::Shop;
use crate::terms::effects::Effect;
use crate::terms::journal::Movement;
use crate::terms::settings::Field;

/// What a reader of the journal knows: on_hand and held by SKU.
type Ledger = BTreeMap<Vec<u8>, (u64, u64)>;

/// Applies a movement as its kind says, and checks that it comes out where the movement says.
pub fn follow(ledger: &mut Ledger, movement: &Movement) {
    let (on_hand, held) = ledger.entry(movement.sku.to_vec()).or_default();
    let by = |n: u64| u64::try_from(n as i64 + movement.delta).unwrap();
    match movement.kind {
        "set" | "adjust" | "sync" | "return" => *on_hand = by(*on_hand),
        "scrap" => {}
        "reserve" | "place" | "release" | "expire" | "cancel" | "edit" | "waitlist" => *held = by(*held),
        // More may leave than a low count has left in the books: on_hand stops at 0.
        "commit" | "complete" | "lost" => {
            *held = by(*held);
            *on_hand = on_hand.saturating_add_signed(movement.delta);
        }
        kind => panic!("an unknown kind of movement: {kind}"),
    }
    assert_eq!((*on_hand, *held), (movement.on_hand, movement.held), "{movement:?}");
}

fn movements(shop: &Shop) -> Vec<Movement> {
    let moved = |effect: &Effect| if let Effect::Moved(movement) = effect { Some((**movement).clone()) } else { None };
    shop.fx.list.iter().filter_map(moved).collect()
}

/// Makes a call; its movements in short.
fn published(shop: &mut Shop, ledger: &mut Ledger, command: Command) -> Vec<String> {
    shop.ok(command);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let list = movements(shop);
    list.iter().for_each(|movement| follow(ledger, movement));
    let short = |m: &Movement| {
        let (sku, reference, reason) = (text(&m.sku), text(&m.reference), text(&m.reason));
        format!("{} {sku} {:+} {}/{} {reference} {reason}", m.kind, m.delta, m.on_hand, m.held).trim_end().to_string()
    };
    list.iter().map(short).collect()
}

#[test]
fn nothing_is_told_where_no_journal_is_kept() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(place("o", "ann", &[("tea", 1)]));
    assert_eq!(movements(&shop), []);
}

#[test]
fn the_books_follow_from_the_journal() {
    let (mut shop, mut ledger) = (Shop::new(), Ledger::new());
    shop.ok(configure(&[(Field::Journal, 1_000), (Field::KeepMs, 50)]));
    let script: Vec<(Command, &[&str])> = vec![
        (set("tea", 10), &["set tea +10 10/0"]),
        (sync("erp", 1, &[("tea", 8), ("milk", 4)]), &["sync tea -2 8/0 erp", "sync milk +4 4/0 erp"]),
        (adjust("tea", -1).note("broken").reference("r"), &["adjust tea -1 7/0 r broken"]),
        (adjust("tea", 3), &["adjust tea +3 10/0"]),
        (reserve("h", &[("tea", 4), ("milk", 2)]), &["reserve tea +4 10/4 h", "reserve milk +2 4/2 h"]),
        (commit("h").of(&[("tea", 1)]), &["commit tea -1 9/3 h"]),
        (release("h").of(&[("milk", 1)]), &["release milk -1 4/1 h"]),
        // The units of a hold that becomes an order do not move.
        (place_hold("o", "ann", "h"), &[]),
        (complete("o"), &["complete tea -3 6/0 o", "complete milk -1 3/0 o"]),
        (give_back("o", &[("tea", 2)]), &["return tea +2 8/0 o"]),
        (give_back("o", &[("tea", 1)]).scrap(), &["scrap tea +1 8/0 o"]),
        (place("o2", "ann", &[("tea", 5)]), &["place tea +5 8/5 o2"]),
        (cancel("o2").note("no"), &["cancel tea -5 8/0 o2 no"]),
        (place("o3", "ann", &[("tea", 2)]), &["place tea +2 8/2 o3"]),
        (edit("o3", &[("tea", 3)]).lost(), &["edit tea +1 8/3 o3"]),
        (edit("o3", &[("milk", 1), ("tea", 2)]), &["edit tea -1 8/2 o3", "edit milk +1 3/1 o3"]),
        (edit("o3", &[("tea", 1)]).lost(), &["lost milk -1 2/0 o3", "lost tea -1 7/1 o3"]),
        (cancel("o3"), &["cancel tea -1 7/0 o3"]),
        (reserve("h2", &[("tea", 6)]).ttl(10), &["reserve tea +6 7/6 h2"]),
        (set("tea", 1), &["set tea -6 1/6"]),
        (commit("h2").of(&[("tea", 2)]), &["commit tea -2 0/4 h2"]),
    ];
    for (command, wanted) in script {
        assert_eq!(published(&mut shop, &mut ledger, command.clone()), wanted, "{command:?}");
    }
    shop.now += 10;
    assert_eq!(published(&mut shop, &mut ledger, sweep(100)), ["expire tea -4 0/0 h2"]);
    for (sku, (on_hand, held)) in &ledger {
        let books = shop.store.sku(sku).unwrap();
        assert_eq!((books.on_hand, books.held), (*on_hand, *held));
    }
}

#[test]
fn repeated_and_refused_calls_tell_nothing() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(configure(&[(Field::Journal, 1)]));
    shop.ok(place("o", "ann", &[("tea", 1)]));
    assert_eq!(movements(&shop).len(), 1);
    shop.repeats(place("o", "ann", &[("tea", 1)]));
    shop.refused(place("o2", "ann", &[("tea", 100)]));
}
