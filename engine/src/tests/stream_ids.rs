//! Ids of stream entries only grow, whatever the clock does.

use super::build::*;
use super::command::Reply;
use super::published::Published;
use super::shop::{START, Shop};
use crate::terms::effects::Effect;
use crate::terms::settings::Field;
use crate::terms::streams::{EntryId, StreamKind};

/// The ids that the last call gave out, by stream.
fn given(shop: &Shop) -> Vec<(StreamKind, EntryId)> {
    let id = |effect: &Effect| match effect {
        Effect::Queued { id, .. } => Some((StreamKind::Orders, *id)),
        Effect::Completed { id, .. } => Some((StreamKind::Complete, *id)),
        Effect::Moved(movement) => Some((StreamKind::Journal, movement.id)),
        _ => None,
    };
    shop.fx.list.iter().filter_map(id).collect()
}

#[test]
fn ids_grow_while_the_clock_stands_steps_back_and_after_a_load() {
    let mut shop = Shop::with(&[("tea", 1_000_000), ("milk", 1_000_000)]);
    shop.ok(configure(&[(Field::Journal, 10)]));
    let mut last = [EntryId::default(); 3];
    let steps: [i64; 8] = [0, 1, -500, 3, 0, -1, 10_000, -9_999];
    for i in 0..200u64 {
        shop.now = shop.now.saturating_add_signed(steps[i as usize % steps.len()]);
        let id = format!("o{i}");
        shop.ok(place(&id, "ann", &[("tea", 1), ("milk", 1)]));
        let mut ids = given(&shop);
        shop.ok(complete(&id));
        ids.extend(given(&shop));
        assert_eq!(ids.len(), 6);
        for (kind, id) in ids {
            let before = &mut last[StreamKind::ALL.iter().position(|k| *k == kind).unwrap()];
            assert!(id > *before, "{kind:?}: {id} behind {before}");
            *before = id;
        }
        for (kind, id) in StreamKind::ALL.iter().zip(&last) {
            assert_eq!(shop.store.last_entry(*kind), *id);
        }
        if i % 50 == 49 {
            shop.reload();
        }
    }
}

#[test]
fn an_order_remembers_when_it_was_placed_also_where_its_entry_s_id_says_otherwise() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(place("a", "ann", &[("tea", 1)]));
    shop.now -= 100;
    // The store's time does not step back with the clock.
    shop.ok(place("b", "ann", &[("tea", 1)]));
    let placed = |shop: &Shop, id: &[u8]| {
        let order = shop.store.order(shop.now, id).unwrap();
        (order.placed_at, order.entry.expect("it is queued"))
    };
    assert_eq!(placed(&shop, b"b"), (START, EntryId { ms: START, seq: 1 }));
    shop.reload();
    assert_eq!(placed(&shop, b"a"), (START, EntryId { ms: START, seq: 0 }));
    // A stream that is ahead of the clock.
    shop.store.last.orders = EntryId { ms: START + 5_000, seq: 3 };
    shop.ok(place("c", "ann", &[("tea", 1)]));
    assert_eq!(placed(&shop, b"c"), (START, EntryId { ms: START + 5_000, seq: 4 }));
    shop.reload();
    assert_eq!(placed(&shop, b"c"), (START, EntryId { ms: START + 5_000, seq: 4 }));
}

#[test]
fn a_millisecond_that_is_full_flows_into_the_next() {
    let full = EntryId { ms: 5, seq: u32::MAX };
    assert_eq!(full.next(5), EntryId { ms: 6, seq: 0 });
    assert_eq!(full.next(7), EntryId { ms: 7, seq: 0 });
    assert_eq!(EntryId { ms: 5, seq: 1 }.next(4), EntryId { ms: 5, seq: 2 });
    assert_eq!(EntryId::at_or_past(5, 7), EntryId { ms: 5, seq: 7 });
    assert_eq!(EntryId::at_or_past(5, 1 << 32), EntryId { ms: 6, seq: 0 });
    assert_eq!(full.to_string(), "5-4294967295");
}

#[test]
fn ids_of_retries_and_dead_orders_grow_too() {
    let mut shop = Shop::with(&[("tea", 1_000)]);
    shop.ok(place("o", "ann", &[("tea", 1)]));
    let (mut retry, mut dead) = (EntryId::default(), EntryId::default());
    for i in 0..60u64 {
        shop.now = shop.now.saturating_add_signed([0, 7, -30][i as usize % 3]);
        shop.ok(fail("o").after(0));
        shop.wait(0);
        let id = shop.order("o").side.unwrap();
        assert!(id > retry, "{id} behind {retry}");
        retry = id;
        shop.ok(fail("o").fatal());
        let id = shop.order("o").side.unwrap();
        assert!(id > dead, "{id} behind {dead}");
        dead = id;
        shop.ok(redrive("o"));
        assert_eq!(shop.store.last_entry(StreamKind::Retry), retry);
        assert_eq!(shop.store.last_entry(StreamKind::Dead), dead);
        if i % 20 == 19 {
            shop.reload();
        }
    }
}

#[test]
fn an_entry_that_got_another_id_leaves_its_stream_under_that() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(place("o", "ann", &[("tea", 1)]));
    shop.ok(fail("o").after(0));
    shop.wait(0);
    let slot = shop.store.order_at(b"o");
    let far = |ms: u64| EntryId { ms: START + ms, seq: 9 };
    shop.store.reentry(StreamKind::Retry, slot, far(500));
    shop.store.reentry(StreamKind::Orders, slot, far(700));
    shop.reload();
    assert_eq!(shop.claims("w", 1), ["o"]);
    shop.store.reentry(StreamKind::Retry, slot, far(600));
    shop.reload();
    shop.ok(fail("o").fatal());
    let left = [Published::Left(StreamKind::Retry, far(600)), Published::Left(StreamKind::Orders, far(700))];
    assert_eq!(shop.published()[..2], left);
    let slot = shop.store.order_at(b"o");
    shop.store.reentry(StreamKind::Dead, slot, far(900));
    shop.reload();
    shop.ok(redrive("o"));
    assert_eq!(shop.published()[0], Published::Left(StreamKind::Dead, far(900)));
    // Later ids are past those.
    assert_eq!(shop.order("o").entry, Some(EntryId { ms: START + 700, seq: 10 }));
}

#[test]
fn a_completed_order_is_known_under_the_id_its_entry_got() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(place("o", "ann", &[("tea", 1)]));
    shop.ok(complete("o"));
    let far = EntryId { ms: START + 500, seq: 9 };
    shop.store.reentry(StreamKind::Complete, shop.store.order_at(b"o"), far);
    assert_eq!(shop.repeats(complete("o")), Reply::Entry(far));
    shop.reload();
    assert_eq!((shop.order("o").complete, shop.repeats(complete("o"))), (Some(far), Reply::Entry(far)));
}

/// Which streams of orders the order has to be in, under these ids.
fn lists(shop: &Shop, order: &str, ids: [EntryId; 3]) -> [bool; 3] {
    let kinds = [StreamKind::Orders, StreamKind::Retry, StreamKind::Dead];
    std::array::from_fn(|at| shop.store.listed_as(kinds[at], ids[at], order.as_bytes()).is_some())
}

#[test]
fn an_entry_belongs_to_a_stream_under_its_id_alone_and_while_its_order_is_in_it() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(place("o", "ann", &[("tea", 1)]));
    shop.ok(place("p", "ann", &[("tea", 1)]));
    let last =
        |shop: &Shop| [StreamKind::Orders, StreamKind::Retry, StreamKind::Dead].map(|k| shop.store.last_entry(k));
    let [first, second] = ["o", "p"].map(|id| shop.order(id).entry.expect("it is queued"));
    let orders = |id: EntryId| [id, EntryId::default(), EntryId::default()];
    assert_eq!(lists(&shop, "o", orders(first)), [true, false, false]);
    assert_eq!(lists(&shop, "o", orders(second)), [false; 3], "another order's");
    assert_eq!(lists(&shop, "q", orders(first)), [false; 3], "nobody's");
    shop.ok(fail("o").after(0));
    shop.wait(0);
    let ids = [first, last(&shop)[1], EntryId::default()];
    assert_eq!(lists(&shop, "o", ids), [true, true, false]);
    let slot = shop.store.order_at(b"o");
    let far = EntryId { ms: START + 700, seq: 9 };
    shop.store.reentry(StreamKind::Orders, slot, far);
    assert_eq!(lists(&shop, "o", ids), [false, true, false], "it has another id now");
    shop.ok(fail("o").fatal());
    let ids = [far, ids[1], last(&shop)[2]];
    assert_eq!(lists(&shop, "o", ids), [false, false, true]);
    shop.ok(redrive("o"));
    let ids = [shop.order("o").entry.expect("it is queued"), ids[1], ids[2]];
    assert_eq!(lists(&shop, "o", ids), [true, false, false]);
}

#[test]
fn an_order_whose_entry_got_another_id_keeps_its_place_in_the_queue() {
    let mut shop = Shop::with(&[("tea", 10)]);
    for id in ["a", "b", "c"] {
        shop.ok(place(id, "ann", &[("tea", 1)]));
    }
    shop.ok(reentry("a", 50));
    for reload in [false, true] {
        if reload {
            shop.reload();
        }
        assert_eq!(shop.claims("w", 9), ["a", "b", "c"]);
        shop.ok(yield_all("w"));
    }
}
