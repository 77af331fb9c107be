//! Leases: how long a worker has an order, how it keeps it, and what comes of one that it loses.

use super::build::*;
use super::command::Reply::{self, Time};
use super::shop::{START, Shop};
use crate::terms::effects::Event;
use crate::terms::settings::Field;
use crate::terms::states::OrderState;

/// A shop where orders wait, and leases last 100 ms.
fn shop(orders: &[&str]) -> Shop {
    let mut shop = Shop::with(&[("tea", 100)]);
    shop.ok(configure(&[(Field::LeaseMs, 100), (Field::Attempts, 3)]));
    for id in orders {
        shop.ok(place(id, "ann", &[("tea", 1)]));
    }
    shop
}

#[test]
fn a_lease_that_ends_counts_as_an_attempt_and_the_order_is_back_at_its_old_place() {
    let mut shop = shop(&["a", "b", "c"]);
    assert_eq!(shop.claims("w", 1), ["a"]);
    shop.now += 99;
    assert_eq!(shop.repeats(sweep(10)), Reply::Swept(false));
    shop.wait(1);
    assert_eq!(shop.events(), [Event::OrderLeaseEnded]);
    assert_eq!(shop.published(), [], "it never left `…:orders`");
    let order = shop.order("a");
    assert_eq!((order.state, order.attempts, order.token, order.due), (OrderState::Queued, 1, 0, 0));
    assert_eq!(shop.story("a"), ["claimed by w for attempt 1", "lease of attempt 1 ended"]);
    let info = shop.store.info(shop.now);
    assert_eq!((info.counters.lapsed, info.counters.failed, info.workers), (1, 0, 0));
    assert_eq!(shop.claims("w", 3), ["a", "b", "c"], "no backoff: it is first again");
    assert_eq!(shop.story("a")[2], "claimed by w for attempt 2");
}

#[test]
fn a_lease_that_ended_is_the_workers_until_it_is_swept() {
    // Between the end of a lease and its sweep nobody else has the order: what its worker did counts.
    let mut shop = shop(&["a"]);
    shop.claims("w", 1);
    shop.now += 150;
    assert_eq!(shop.changes(renew("a", shop.token("a"))), Time(shop.now + 100));
    shop.now += 150;
    shop.changes(complete("a").token(shop.token("a")));
}

#[test]
fn an_order_whose_last_lease_ends_is_dead() {
    let mut shop = shop(&["a"]);
    for _ in 0..3 {
        shop.claims("w", 1);
        shop.wait(100);
    }
    assert_eq!(shop.events(), [Event::OrderLeaseEnded, Event::OrderDead]);
    let order = shop.order("a");
    assert_eq!((order.state, order.attempts, order.reason), (OrderState::Dead, 3, &b"lease ended"[..]));
    assert_eq!(shop.story("a").last().unwrap(), "dead: lease ended");
    assert_eq!(shop.books("tea"), (100, 0, 0));
}

#[test]
fn a_setting_of_fewer_attempts_counts_at_the_next_end() {
    let mut shop = shop(&["a"]);
    for _ in 0..2 {
        shop.claims("w", 1);
        shop.wait(100);
    }
    shop.ok(configure(&[(Field::Attempts, 1)]));
    assert_eq!(shop.claims("w", 1), ["a"], "still handed out once");
    shop.wait(100);
    assert_eq!((shop.state("a"), shop.order("a").attempts), (OrderState::Dead, 3));
}

#[test]
fn a_lease_is_renewed_for_as_long_as_the_claim_asked_for() {
    let mut shop = shop(&["a", "b"]);
    shop.claims("w", 1);
    shop.ok(claim("w", 1).lease(1_000));
    shop.now += 10;
    // The store's, where the claim named none: as it is by now.
    assert_eq!(shop.changes(renew("a", shop.token("a"))), Time(shop.now + 100));
    assert_eq!(shop.events(), [Event::OrderRenewed]);
    assert_eq!(shop.changes(renew("b", shop.token("b"))), Time(shop.now + 1_000));
    shop.ok(configure(&[(Field::LeaseMs, 300)]));
    assert_eq!(shop.changes(renew("a", shop.token("a"))), Time(shop.now + 300));
    assert_eq!(shop.repeats(renew("b", shop.token("b"))), Time(shop.now + 1_000));
    // One that is named counts once.
    assert_eq!(shop.changes(renew("b", shop.token("b")).lease(5_000)), Time(shop.now + 5_000));
    shop.now += 4_500;
    shop.reload();
    assert_eq!(shop.changes(renew("b", shop.token("b"))), Time(shop.now + 1_000));
}

#[test]
fn a_lease_is_never_made_shorter() {
    let mut shop = shop(&["a"]);
    shop.ok(claim("w", 1).lease(1_000));
    let until = Time(START + 1_000);
    assert_eq!(shop.repeats(renew("a", shop.token("a")).lease(10)), until);
    assert_eq!(shop.repeats(renew("a", shop.token("a"))), until, "the same millisecond");
    shop.now += 900;
    assert_eq!(shop.repeats(renew("a", shop.token("a")).lease(100)), until);
    assert_eq!(shop.changes(renew("a", shop.token("a")).lease(101)), Time(START + 1_001));
    shop.wait(100);
    assert_eq!(shop.state("a"), OrderState::Claimed);
    shop.wait(1);
    assert_eq!(shop.state("a"), OrderState::Queued);
}

#[test]
fn a_lease_that_nobody_has_is_not_renewed() {
    let mut shop = shop(&["a"]);
    assert_eq!(shop.refused(renew("x", 1)), "NOORDER no order x in this store");
    assert_eq!(shop.refused(renew("a", 1)), "FENCED current token 0, nobody has the order: it is queued");
    assert_eq!(shop.refused(renew("a", 0)), "FENCED current token 0, nobody has the order: it is queued");
    shop.claims("w", 1);
    let token = shop.token("a");
    assert_eq!(shop.refused(renew("a", token + 1)), format!("FENCED current token {token}"));
    shop.wait(100);
    assert_eq!(shop.refused(renew("a", token)), "FENCED current token 0, nobody has the order: it is queued");
}

#[test]
fn a_worker_that_died_loses_all_its_orders_and_no_other_does() {
    let mut shop = shop(&["a", "b", "c", "d"]);
    shop.claims("dies", 2);
    shop.claims("lives", 1);
    shop.now += 50;
    shop.ok(renew("c", shop.token("c")));
    shop.reload();
    shop.wait(50);
    assert_eq!(["a", "b", "c"].map(|id| shop.state(id)), [OrderState::Queued, OrderState::Queued, OrderState::Claimed]);
    assert_eq!(shop.claims("other", 9), ["a", "b", "d"]);
}
