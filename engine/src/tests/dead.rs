//! Dead orders: what becomes of their units, how they are queued anew, and that they are never forgotten.

use super::build::*;
use super::command::Reply::{self, Redriven, Units};
use super::published::Published;
use super::shop::{START, Shop};
use crate::terms::effects::Event;
use crate::terms::settings::Field;
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, StreamKind};

/// A shop with one dead order of three units.
fn shop() -> Shop {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(place("o", "ann", &[("tea", 3)]).note("{}").group("g"));
    shop.claims("w", 1);
    shop.ok(fail("o").token(shop.token("o")).note("broken").fatal());
    shop
}

#[test]
fn a_dead_order_gives_its_units_back_and_stands_among_the_dead() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(configure(&[(Field::Journal, 9), (Field::Limit, 3)]));
    shop.ok(place("o", "ann", &[("tea", 3)]));
    shop.ok(fail("o").note("broken").fatal());
    let entry = EntryId { ms: START, seq: 0 };
    assert_eq!(shop.published(), [Published::Left(StreamKind::Orders, entry), Published::Died(b"o".to_vec(), entry)]);
    let moved = super::published::published(&shop.store, &shop.fx).into_iter().find_map(|published| match published {
        Published::Moved(movement) => Some((movement.kind, movement.delta, movement.reason)),
        _ => None,
    });
    assert_eq!(moved, Some(("dead", -3, Box::from(&b"broken"[..]))));
    let order = shop.order("o");
    assert_eq!((order.state, order.reason, order.side), (OrderState::Dead, &b"broken"[..], Some(entry)));
    assert_eq!((order.ended_at, order.due), (0, 0));
    assert_eq!(shop.books("tea"), (10, 0, 0));
    assert_eq!(shop.store.entries(StreamKind::Dead), Some(1));
    // The units count for its customer no longer.
    shop.ok(place("p", "ann", &[("tea", 3)]));
}

#[test]
fn a_dead_order_is_never_forgotten() {
    let mut shop = shop();
    shop.ok(configure(&[(Field::KeepMs, 1)]));
    shop.wait(1_000_000_000);
    assert_eq!(shop.state("o"), OrderState::Dead);
    assert_eq!(shop.store.next_due(), None);
    assert_eq!(shop.refused(complete("o")), "BADSTATE order is dead");
    assert_eq!(shop.refused(advance("o", "picked")), "BADSTATE order is dead");
    assert_eq!(shop.refused(give_back("o", &[("tea", 1)])), "BADSTATE order is dead");
}

#[test]
fn a_redriven_order_takes_its_units_and_queues_anew_at_the_end() {
    let mut shop = shop();
    shop.ok(place("first", "bob", &[("tea", 1)]));
    shop.now += 50;
    let dead = shop.order("o").side.unwrap();
    assert_eq!(shop.changes(redrive("o")), Redriven(true));
    let entry = EntryId { ms: START + 50, seq: 0 };
    assert_eq!(shop.published(), [Published::Left(StreamKind::Dead, dead), Published::Queued(b"o".to_vec(), entry)]);
    assert_eq!(shop.events(), [Event::OrderRedriven]);
    let order = shop.order("o");
    assert_eq!((order.state, order.entry, order.placed_at), (OrderState::Queued, Some(entry), START));
    assert_eq!((order.attempts, order.reason, order.side), (0, &b""[..], None));
    assert_eq!((shop.books("tea"), shop.store.info(0).counters.redriven), ((10, 4, 0), 1));
    assert_eq!(shop.story("o").last().unwrap(), "redriven");
    shop.reload();
    shop.ok(place("last", "bob", &[("tea", 1)]));
    assert_eq!(shop.claims("w", 9), ["first", "o", "last"]);
    assert_eq!(shop.story("o").last().unwrap(), "claimed by w for attempt 1");
}

#[test]
fn a_redriven_order_is_redriven_once_and_again_once_it_died_again() {
    let mut shop = shop();
    shop.changes(redrive("o"));
    assert_eq!(shop.repeats(redrive("o")), Redriven(true));
    shop.reload();
    assert_eq!(shop.repeats(redrive("o")), Redriven(true));
    shop.ok(fail("o").fatal());
    assert_eq!(shop.changes(redrive("o")), Redriven(true));
    shop.ok(complete("o"));
    assert_eq!(shop.repeats(redrive("o")), Redriven(true));
    assert_eq!(shop.books("tea"), (7, 0, 3));
}

#[test]
fn what_is_not_dead_is_not_redriven() {
    let mut shop = Shop::with(&[("tea", 10)]);
    for id in ["queued", "claimed", "retrying", "completed", "cancelled"] {
        shop.ok(place(id, "ann", &[("tea", 1)]));
    }
    shop.ok(complete("completed"));
    shop.ok(cancel("cancelled"));
    shop.ok(fail("retrying").after(9));
    shop.claims("w", 1);
    shop.ok(take_back("queued", shop.token("queued")));
    for (id, state) in
        [("queued", "queued"), ("retrying", "retrying"), ("completed", "completed"), ("cancelled", "cancelled")]
    {
        assert_eq!(shop.refused(redrive(id)), format!("BADSTATE order is {state}"));
    }
    assert_eq!(shop.refused(redrive("x")), "NOORDER no order x in this store");
}

#[test]
fn an_order_whose_stock_is_gone_stays_dead() {
    let mut shop = shop();
    shop.ok(place("other", "bob", &[("tea", 8)]));
    assert_eq!(shop.repeats(redrive("o")), Redriven(false));
    assert_eq!(shop.state("o"), OrderState::Dead);
    shop.ok(adjust("tea", 1));
    assert_eq!(shop.changes(redrive("o")), Redriven(true));
    assert_eq!(shop.sku("tea").available, 0);
}

#[test]
fn an_order_over_its_customer_s_limit_stays_dead() {
    let mut shop = shop();
    shop.ok(configure(&[(Field::Limit, 4)]));
    shop.ok(place("other", "ann", &[("tea", 2)]));
    assert_eq!(shop.repeats(redrive("o")), Redriven(false));
    shop.ok(cancel("other"));
    shop.ok(set("tea", 10).limit(2));
    assert_eq!(shop.repeats(redrive("o")), Redriven(false), "the SKU's own limit");
    shop.ok(set("tea", 10).limit(3));
    assert_eq!(shop.changes(redrive("o")), Redriven(true));
}

#[test]
fn a_closed_window_keeps_nobody_from_redriving() {
    // The sale was made while it was open.
    let mut shop = shop();
    shop.ok(configure(&[(Field::Closes, START)]));
    assert_eq!(shop.changes(redrive("o")), Redriven(true));
}

#[test]
fn a_repeated_place_of_a_redriven_order_gives_its_first_entry() {
    let mut shop = Shop::with(&[("tea", 10)]);
    let ask = place("o", "ann", &[("tea", 3)]);
    let first = shop.ok(ask.clone());
    for _ in 0..2 {
        shop.now += 10;
        shop.ok(fail("o").fatal());
        assert_eq!(shop.repeats(ask.clone()), first);
        shop.now += 10;
        shop.ok(redrive("o"));
        assert_ne!(Reply::Entry(shop.order("o").entry.expect("it is queued")), first);
        assert_eq!(shop.repeats(ask.clone()), first);
        shop.reload();
    }
    shop.ok(complete("o"));
    assert_eq!(shop.repeats(ask), first);
}

#[test]
fn a_cancelled_dead_order_puts_nothing_back() {
    let mut shop = shop();
    let dead = shop.order("o").side.unwrap();
    assert_eq!(shop.changes(cancel("o").note("refunded")), Units(0));
    assert_eq!(shop.published(), [Published::Left(StreamKind::Dead, dead)]);
    assert_eq!(shop.events(), [Event::OrderCancelled]);
    assert_eq!((shop.state("o"), shop.books("tea")), (OrderState::Cancelled, (10, 0, 0)));
    shop.reload();
    assert_eq!(shop.repeats(cancel("o").note("refunded")), Units(0));
    assert_eq!(shop.refused(cancel("o")), "MISMATCH order o was cancelled with another REASON");
    assert_eq!(shop.refused(redrive("o")), "BADSTATE order is cancelled");
    // From now on it is forgotten like any other.
    shop.wait(86_400_000);
    assert!(shop.store.order(shop.now, b"o").is_none());
}

#[test]
fn the_dead_are_listed_as_they_died_in_slices() {
    let mut shop = Shop::with(&[("tea", 10)]);
    for (id, reason) in [("a", "stock"), ("b", "address"), ("c", "stock"), ("d", "")] {
        shop.ok(place(id, "ann", &[("tea", 1)]));
        shop.ok(fail(id).fatal().note(reason));
    }
    shop.ok(redrive("b"));
    shop.ok(fail("b").fatal().note("late"));
    let list = |shop: &Shop, from, count, wanted: &[u8]| {
        let (next, ids) = shop.store.dead_from(from, count, |note| wanted.is_empty() || note == wanted);
        (next, ids.concat())
    };
    assert_eq!(list(&shop, 0, 10, b""), (0, b"acdb".to_vec()));
    assert_eq!(list(&shop, 0, 10, b"stock"), (0, b"ac".to_vec()));
    let (next, two) = list(&shop, 0, 2, b"");
    assert_eq!(two, b"ac");
    shop.ok(redrive("d"));
    shop.reload();
    assert_eq!(list(&shop, next, 2, b""), (0, b"b".to_vec()));
    assert_eq!(list(&shop, u64::MAX, 2, b""), (0, Vec::new()));
}

#[test]
fn a_dead_order_blocks_nobody_of_its_group() {
    let mut shop = Shop::with(&[("tea", 10)]);
    for id in ["a", "b"] {
        shop.ok(place(id, "ann", &[("tea", 1)]).group("g"));
    }
    shop.claims("w", 1);
    shop.ok(fail("a").fatal());
    assert_eq!(shop.claims("w", 1), ["b"]);
    // Redriven, it waits for those that came meanwhile.
    shop.ok(redrive("a"));
    assert_eq!(shop.claims("w", 1), [""; 0]);
    shop.ok(complete("b"));
    assert_eq!(shop.claims("w", 1), ["a"]);
}

#[test]
fn a_redriven_order_knows_nothing_of_failures_before() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(configure(&[(Field::Attempts, 1), (Field::LeaseMs, 10)]));
    shop.ok(place("o", "ann", &[("tea", 3)]));
    shop.claims("w", 1);
    let old = shop.token("o");
    shop.ok(fail("o").token(old));
    shop.ok(redrive("o"));
    assert_eq!(shop.refused(fail("o").token(old)), "FENCED current token 0, nobody has the order: it is queued");
    shop.ok(fail("o"));
    shop.ok(redrive("o"));
    shop.claims("w", 1);
    shop.wait(10);
    // It died of its lease this time: that was no failure that could be repeated.
    assert_eq!(shop.refused(fail("o")), "BADSTATE order is dead");
    assert_eq!(shop.story("o").last().unwrap(), "dead: lease ended");
}
