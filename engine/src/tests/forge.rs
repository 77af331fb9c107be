//! Images that nobody but a forger makes: cut, changed and put together anew, with a checksum that fits all the same.

use xxhash_rust::xxh3::xxh3_64;

use super::build::*;
use super::command::{Command, Reply};
use super::shop::{Shop, audited, loaded, saved};
use crate::base::packed::put;
use crate::store::Store;
use crate::terms::effects::Effects;
use crate::terms::settings::Field;

/// The tag of the last piece, as the format has it.
const END: u8 = 8;

/// An image's pieces without the last.
pub fn body(store: &Store) -> Vec<Vec<u8>> {
    let mut pieces = saved(store);
    let end = pieces.pop().expect("an image has an end");
    assert_eq!(end[0], END);
    pieces
}

/// The pieces with an end whose count and checksum fit them.
pub fn sealed(mut pieces: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut end = vec![END];
    put(&mut end, pieces.len() as u64);
    end.extend_from_slice(&xxh3_64(&pieces.concat()).to_le_bytes());
    pieces.push(end);
    pieces
}

/// A store that has some of everything: every state of a hold and an order, every place an order can stand at, vacant
/// slots, feeds, REFs, forgotten sales.
pub fn rich() -> Shop {
    let mut shop = Shop::with(&[("tea", 200), ("milk", 90)]);
    shop.ok(configure(&[(Field::KeepMs, 1_000), (Field::Limit, 150), (Field::Journal, 5), (Field::SlaMs, 3)]));
    shop.ok(configure(&[(Field::LeaseMs, 900), (Field::Attempts, 3), (Field::BackoffMs, 400)]));
    shop.ok(place("past", "ann", &[("tea", 2), ("milk", 1)]));
    shop.ok(complete("past"));
    shop.ok(place("gone", "vacant", &[("tea", 1)]).group("vacant"));
    shop.ok(cancel("gone"));
    shop.ok(reserve("nobody's", &[("tea", 6)]));
    shop.ok(commit("nobody's"));
    shop.wait(1_000);
    let script = [
        set("jam", 7).safety(1).low(2).limit(4),
        sync("erp", 6, &[("tea", 190), ("jam", 9)]),
        adjust("milk", -3).note("broken").reference("r"),
        place("done", "ann", &[("tea", 3), ("milk", 2)]).note("{}"),
        complete("done").note("ok"),
        give_back("done", &[("tea", 1)]).reference("back"),
        give_back("done", &[("milk", 1)]).by("ann").scrap(),
        give_back("past", &[("tea", 1)]).by("ann").reference("back-2").scrap(),
        place("no", "bob", &[("jam", 1)]),
        cancel("no").note("why"),
    ];
    for command in script {
        shop.changes(command);
    }
    work(&mut shop);
    let script = [
        place("waits", "bob", &[("tea", 4), ("jam", 2)]),
        advance("waits", "seen"),
        reserve("live", &[("tea", 5), ("milk", 3)]).by("cyd"),
        commit("live").of(&[("tea", 2)]),
        reserve("free", &[("milk", 2)]).ttl(500),
        reserve("sold", &[("milk", 2)]).by("dee"),
        commit("sold"),
        reserve("left", &[("tea", 1)]),
        release("left"),
        reserve("late", &[("tea", 1)]).ttl(1),
        reserve("made", &[("tea", 6)]).by("ann"),
        place_hold("of-hold", "ann", "made"),
        reentry("of-hold", 5),
        redrive("again"),
        set("rare", 0).backlog(9),
        place("served", "dee", &[("rare", 1)]).wait(0),
        set("rare", 3),
        place("lacks", "bob", &[("tea", 1), ("rare", 4)]).wait(0).note("{}"),
        place("lacks-2", "cyd", &[("rare", 1)]).wait(600).group("w"),
        place("called-off", "cyd", &[("rare", 1), ("tea", 1)]).wait(0),
        cancel("called-off").note("why"),
        place("changes", "fay", &[("tea", 5), ("milk", 1)]).group("g"),
        edit("changes", &[("tea", 3), ("jam", 1)]).reference("r").lost(),
        split("changes", "part", &[("tea", 2)]),
        place("pays", "dee", &[("tea", 1), ("milk", 1)]).group("g").gate("pay", 700).gate("fraud", 0),
        pass("pays", "fraud"),
        split("pays", "pays-too", &[("milk", 1)]),
        set("scarce", 1),
        place("big", "bob", &[("scarce", 4)]).wait(900),
        split("big", "big-too", &[("scarce", 2)]),
        place("checked", "dee", &[("milk", 1)]),
        gate("checked", "age", 600),
        place("unpaid", "dee", &[("milk", 1)]).gate("pay", 1),
        place("paid", "dee", &[("milk", 1)]).gate("pay", 50),
        pass("paid", "pay"),
        place("fast-1", "dee", &[("tea", 1)]).lane("fast"),
        place("fast-2", "dee", &[("tea", 1)]).lane("fast"),
        place("slow-1", "dee", &[("tea", 1)]).lane("slow"),
        place("slow-2", "dee", &[("tea", 1)]).lane("slow"),
        place("was", "dee", &[("tea", 1)]).lane("past"),
        complete("was"),
        claim("w5", 1).lanes(&["slow"]),
        yield_all("w5"),
        fail("fast-2").after(0),
        sweep(1),
        claim("w5", 1).lanes(&["fast"]),
        yield_all("w5"),
    ];
    for command in script {
        shop.changes(command);
    }
    shop.wait(1);
    shop
}

/// What workers do in a store that has everything. Some of the orders are late by then.
fn work(shop: &mut Shop) {
    let worked = ["dies", "again", "never", "worked", "taken", "backs", "due", "next", "back"];
    for id in worked {
        shop.changes(place(id, "cyd", &[("tea", 1), ("milk", 1)]));
    }
    for id in ["g1", "g2", "g3"] {
        shop.changes(place(id, "eve", &[("tea", 1)]).group("g"));
    }
    shop.changes(place("h1", "eve", &[("tea", 2)]).group("h").note("{}"));
    shop.wait(4);
    let script = [
        claim("w1", 4),
        fail("dies").token(0).note("broken").fatal(),
        fail("again").note("lost").fatal(),
        fail("never").fatal(),
        cancel("never").note("for good"),
        fail("worked").token(0).after(0),
        sweep(1),
        claim("w2", 4).lease(800),
        advance("taken", "picked").token(0),
        fail("backs").token(0).note("later"),
        fail("due").after(0).note("soon"),
        place("swift", "dee", &[("milk", 1)]),
        complete_and_claim("swift", "w2").note("{}"),
        claim("w3", 2),
        yield_all("w3"),
        claim("w1", 1),
        take_back("back", 0),
        place("g4", "dee", &[("tea", 1)]).group("g"),
        claim("w4", 2),
        take_back("back", 0),
    ];
    for command in script {
        let command = command.aimed(&shop.store);
        shop.changes(command);
    }
}

/// Whatever loads has to be a store like any other: its books balance, it takes commands, it can be saved and loaded
/// again, and what is due gets done.
pub fn live_on(mut store: Box<Store>, why: &str) {
    assert_eq!(audited(&mut store, 1_000), [], "{why}");
    let mut now = store.now.saturating_add(1);
    for command in probes() {
        let _ = command.aimed(&store).apply(&mut store, now, &mut Effects::default());
        now = now.saturating_add(1);
    }
    assert_eq!(audited(&mut store, 1_000), [], "{why}: after commands");
    let again = loaded(&saved(&store), 3).unwrap_or_else(|corrupt| panic!("{why}: saved, and not loaded: {corrupt}"));
    assert_eq!(again.digest(), store.digest(), "{why}: saved and loaded");
    drain(store, now, why);
}

/// Calls that touch all that [`rich`] made.
fn probes() -> Vec<Command> {
    vec![
        configure(&[(Field::KeepMs, 40), (Field::Opens, 0), (Field::Closes, 0), (Field::Limit, 0)]),
        configure(&[(Field::Paused, 0), (Field::Attempts, 2), (Field::LeaseMs, 9)]),
        renew("taken", 0).lease(5_000),
        advance("taken", "packed").from("picked").token(0),
        complete_and_claim("worked", "w2").token(0),
        fail("taken").token(0).note("p"),
        fail("due").note("p"),
        claim("probe", 3),
        redrive("dies"),
        cancel("again"),
        yield_all("w4"),
        take_back("g1", 0),
        extend("live", 50_000),
        extend("free", 50_000),
        commit("free").of(&[("milk", 1)]).reference("p1"),
        place("new", "dee", &[("tea", 1), ("milk", 1)]),
        place_hold("new2", "cyd", "live"),
        place_hold("new3", "eve", "free"),
        reserve("new", &[("tea", 2), ("jam", 1)]).by("bob").ttl(2),
        give_back("done", &[("tea", 1)]).reference("p2"),
        give_back("done", &[("milk", 1), ("tea", 1)]),
        give_back("done", &[("tea", 1)]).reference("back"),
        give_back("past", &[("milk", 1)]).by("ann").reference("p3"),
        give_back("past", &[("tea", 1)]).by("ann").reference("back"),
        pass("pays", "pay"),
        pass("pays-too", "pay"),
        split("big-too", "big-3", &[("scarce", 1)]),
        edit("big", &[("scarce", 3), ("rare", 1)]),
        adjust("scarce", 2),
        gate("checked", "age", 0),
        pass("checked", "age"),
        gate("paid", "fraud", 5),
        gate("waits", "fraud", 0),
        pass("waits", "fraud"),
        pass("unpaid", "pay"),
        cancel("lacks-2"),
        adjust("rare", 1),
        cancel("lacks"),
        place("lacks-3", "cyd", &[("rare", 9)]).wait(3),
        complete("waits"),
        edit("changes", &[("tea", 2), ("milk", 1)]),
        edit("changes", &[("tea", 3), ("jam", 1)]).reference("r").lost(),
        split("changes", "part", &[("tea", 2)]),
        split("part", "part-2", &[("tea", 1)]),
        place("changes", "fay", &[("tea", 5), ("milk", 1)]).group("g"),
        cancel("of-hold"),
        complete("new"),
        give_back("waits", &[("jam", 2)]),
        adjust("jam", 5).reference("r"),
        sync("erp", 7, &[("milk", 4)]),
        set("milk", 60).low(3),
        release("new").of(&[("tea", 1)]),
        sweep(5),
        claim("probe", 1),
        fail("g1").token(0).fatal(),
        redrive("g1"),
        cancel("g2"),
        place("past", "vacant", &[("milk", 1)]),
        complete("past"),
    ]
}

/// Lets all that is due come due, a worker complete what it gets, the end of time come, and audits what is left.
fn drain(mut store: Box<Store>, now: u64, why: &str) {
    let mut fx = Effects::default();
    store.sweep(now, u64::MAX, &mut fx);
    assert_eq!(audited(&mut store, 1_000), [], "{why}: after a sweep");
    if let Ok(Reply::Claimed(claimed)) = claim("last", 1_000).apply(&mut store, now, &mut fx) {
        for (id, token) in claimed {
            let complete = Command::Complete { order: id, token: Some(token), result: Vec::new() };
            complete.apply(&mut store, now, &mut fx).unwrap_or_else(|refusal| panic!("{why}: {refusal}"));
        }
    }
    while store.sweep(u64::MAX, 1_000, &mut fx) {}
    assert_eq!(audited(&mut store, 1_000), [], "{why}: after the last sweep");
    let info = store.info(now);
    assert_eq!((info.holds, info.workers, info.next_due), (0, 0, 0), "{why}: nothing is left that would be due");
    let kept = store.open_orders() + store.orders.dead().len() as u64;
    assert_eq!(store.orders.records().len() as u64, kept, "{why}: every ended order was forgotten");
    assert_eq!(
        (store.holds.records().len(), store.remembered.refs().len()),
        (0, 0),
        "{why}: every hold and REF was forgotten"
    );
}
