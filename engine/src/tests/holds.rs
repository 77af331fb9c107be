//! Holds.

use super::build::*;
use super::command::Reply::{Time, Units};
use super::shop::{START, Shop};
use crate::terms::settings::Field;
use crate::terms::states::HoldState;

fn state(shop: &Shop, hold: &str) -> HoldState {
    shop.store.hold(hold.as_bytes()).expect("a known hold").state
}

#[test]
fn a_hold_sets_units_aside_until_its_deadline() {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 4)]);
    let ask = reserve("h", &[("tea", 3), ("milk", 4)]).by("ann").ttl(500);
    assert_eq!(shop.changes(ask), Time(START + 500));
    assert_eq!((shop.books("tea"), shop.books("milk")), ((10, 3, 0), (4, 4, 0)));
    let hold = shop.store.hold(b"h").unwrap();
    assert_eq!((hold.state, hold.customer, hold.left), (HoldState::Live, &b"ann"[..], 7));
    assert_eq!((hold.deadline, hold.ended_at), (START + 500, 0));
    assert_eq!(hold.items, [(&b"tea"[..], 3, 3, 0), (&b"milk"[..], 4, 4, 0)]);
    assert_eq!(shop.store.info(shop.now).holds, 1);
}

#[test]
fn without_a_ttl_the_store_s_hold_ms_counts() {
    let mut shop = Shop::with(&[("tea", 10)]);
    assert_eq!(shop.ok(reserve("a", &[("tea", 1)])), Time(START + 600_000));
    shop.ok(configure(&[(Field::HoldMs, 7)]));
    assert_eq!(shop.ok(reserve("b", &[("tea", 1)])), Time(START + 7));
}

#[test]
fn all_items_or_none() {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 4)]);
    let text = shop.refused(reserve("h", &[("tea", 3), ("milk", 5)]));
    assert_eq!(text, "OUTOFSTOCK milk wanted 5 available 4");
    assert_eq!(shop.refused(reserve("h", &[("tea", 3), ("jam", 1)])), "NOSKU no SKU jam in this store");
    assert_eq!((shop.books("tea"), shop.books("milk")), ((10, 0, 0), (4, 0, 0)));
    assert!(shop.store.hold(b"h").is_none());
}

#[test]
fn a_sku_named_twice_is_added_up() {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 9)]);
    let text = shop.refused(reserve("h", &[("tea", 6), ("milk", 1), ("tea", 5)]));
    assert_eq!(text, "OUTOFSTOCK tea wanted 11 available 10");
    shop.ok(reserve("h", &[("tea", 6), ("milk", 1), ("tea", 4)]));
    assert_eq!(shop.store.hold(b"h").unwrap().items, [(&b"tea"[..], 10, 10, 0), (&b"milk"[..], 1, 1, 0)]);
    // Long lists go another way through the engine than short ones.
    let mut long = vec![("milk", 1); 7];
    long.extend([("tea", 1); 30]);
    shop.ok(set("tea", 40));
    shop.ok(reserve("long", &long));
    assert_eq!(shop.store.hold(b"long").unwrap().items, [(&b"milk"[..], 7, 7, 0), (&b"tea"[..], 30, 30, 0)]);
}

#[test]
fn a_commit_sells_and_a_release_gives_back() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(reserve("a", &[("tea", 3)]));
    shop.ok(reserve("b", &[("tea", 4)]));
    assert_eq!(shop.changes(commit("a")), Units(0));
    assert_eq!(shop.books("tea"), (7, 4, 3));
    assert_eq!(shop.changes(release("b")), Units(0));
    assert_eq!(shop.books("tea"), (7, 0, 3));
    assert_eq!((state(&shop, "a"), state(&shop, "b")), (HoldState::Committed, HoldState::Released));
    let info = shop.store.info(shop.now);
    assert_eq!((info.holds, info.counters.units_sold), (0, 3));
}

#[test]
fn a_hold_can_be_closed_in_parts() {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 5)]);
    shop.ok(reserve("h", &[("tea", 4), ("milk", 2)]));
    assert_eq!(shop.changes(commit("h").of(&[("tea", 1)])), Units(5));
    assert_eq!(shop.changes(release("h").of(&[("milk", 2), ("tea", 1)])), Units(2));
    assert_eq!(shop.refused(commit("h").of(&[("milk", 1)])), "BADSTATE hold has 0 of milk left, not 1");
    assert_eq!(shop.refused(commit("h").of(&[("tea", 3)])), "BADSTATE hold has 2 of tea left, not 3");
    assert_eq!(shop.refused(commit("h").of(&[("tea", 1), ("tea", 2)])), "BADSTATE hold has 2 of tea left, not 3");
    assert_eq!(shop.refused(release("h").of(&[("jam", 1)])), "NOSKU no SKU jam in this store");
    assert_eq!((shop.books("tea"), shop.books("milk")), ((9, 2, 1), (5, 0, 0)));
    assert_eq!(state(&shop, "h"), HoldState::Live);
    assert_eq!(shop.changes(commit("h")), Units(0));
    assert_eq!((shop.books("tea"), state(&shop, "h")), ((7, 0, 3), HoldState::Committed));
    let items = shop.store.hold(b"h").unwrap().items;
    assert_eq!(items, [(&b"tea"[..], 4, 0, 3), (&b"milk"[..], 2, 0, 0)]);
}

#[test]
fn naming_no_units_of_a_sku_that_the_hold_has_not_is_harmless() {
    let mut shop = Shop::with(&[("tea", 10), ("milk", 5)]);
    shop.ok(reserve("h", &[("tea", 4)]));
    assert_eq!(shop.ok(release("h").of(&[("milk", 0), ("tea", 1)])), Units(3));
}

#[test]
fn what_has_ended_cannot_end_otherwise() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(reserve("a", &[("tea", 1)]));
    shop.ok(reserve("b", &[("tea", 1)]));
    shop.ok(commit("a"));
    shop.ok(release("b"));
    assert_eq!(shop.refused(release("a")), "BADSTATE hold is committed");
    assert_eq!(shop.refused(commit("b")), "BADSTATE hold is released");
    assert_eq!(shop.refused(extend("a", 10)), "BADSTATE hold is committed");
    assert_eq!(shop.refused(place_hold("o", "ann", "b")), "BADSTATE hold is released");
    for refused in [commit("x"), release("x"), extend("x", 1), place_hold("o", "ann", "x")] {
        assert_eq!(shop.refused(refused), "NOHOLD no hold x in this store");
    }
}

#[test]
fn a_hold_is_extended_from_now_and_never_cut_short() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(reserve("h", &[("tea", 1)]).ttl(100));
    shop.now += 40;
    assert_eq!(shop.changes(extend("h", 100)), Time(START + 140));
    assert_eq!(shop.repeats(extend("h", 100)), Time(START + 140));
    assert_eq!(shop.repeats(extend("h", 10)), Time(START + 140));
    shop.wait(99);
    assert_eq!(state(&shop, "h"), HoldState::Live);
    shop.wait(1);
    assert_eq!(state(&shop, "h"), HoldState::Expired);
}

#[test]
fn past_its_deadline_a_hold_is_expired_swept_or_not() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(reserve("h", &[("tea", 6)]).by("ann").ttl(100));
    shop.now += 100;
    let expired = format!("EXPIRED hold h expired at {}", START + 100);
    for swept in [false, true] {
        if swept {
            shop.wait(0);
        }
        for late in [commit("h"), release("h"), extend("h", 1_000), place_hold("o", "ann", "h")] {
            assert_eq!(shop.refused(late), expired, "swept: {swept}");
        }
    }
    assert_eq!(shop.books("tea"), (10, 0, 0));
}

#[test]
fn a_partly_committed_hold_that_expires_keeps_what_it_sold() {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(reserve("h", &[("tea", 6)]).by("ann").ttl(100));
    shop.ok(commit("h").of(&[("tea", 2)]));
    shop.wait(100);
    assert_eq!((shop.books("tea"), state(&shop, "h")), ((8, 0, 2), HoldState::Expired));
}

#[test]
fn a_scan_shows_live_holds_of_a_customer_or_of_all() {
    let mut shop = Shop::with(&[("tea", 100)]);
    for i in 0..12 {
        let ask = reserve(&format!("h{i}"), &[("tea", 1)]);
        shop.ok(if i % 3 == 0 { ask.by("ann") } else { ask });
    }
    shop.ok(release("h3"));
    shop.ok(commit("h4"));
    let scan = |customer: Option<&[u8]>| {
        let (mut cursor, mut seen) = (0, Vec::new());
        loop {
            let (next, ids) = shop.store.scan_holds(cursor, 5, customer);
            seen.extend(ids.into_iter().map(|id| String::from_utf8(id.to_vec()).unwrap()));
            if next == 0 {
                return seen;
            }
            cursor = next;
        }
    };
    assert_eq!(scan(None).len(), 10);
    assert_eq!(scan(Some(b"ann")), ["h0", "h6", "h9"]);
    assert_eq!(scan(Some(b"nobody")), [""; 0]);
}
