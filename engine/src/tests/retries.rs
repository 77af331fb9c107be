//! Failed attempts: backoff, retries, and what makes a FAIL that is repeated.

use super::build::*;
use super::command::Reply;
use super::published::Published;
use super::shop::{START, Shop};
use crate::base::units::MAX_QUANTITY;
use crate::calls::work::Failure;
use crate::terms::effects::Event;
use crate::terms::settings::Field;
use crate::terms::states::OrderState::{self, Dead, Retrying};
use crate::terms::streams::{EntryId, StreamKind};

/// A shop where orders wait that fail ten times before they are dead.
fn shop(orders: &[&str]) -> Shop {
    let mut shop = Shop::with(&[("tea", 100)]);
    shop.ok(configure(&[(Field::Attempts, 10)]));
    for id in orders {
        shop.ok(place(id, "ann", &[("tea", 1)]));
    }
    shop
}

fn failed(state: OrderState, attempt: u32, due: u64) -> Reply {
    Reply::Failed(Failure { state, attempt, due })
}

#[test]
fn a_failed_order_waits_and_comes_back_as_a_retry() {
    let mut shop = shop(&["a", "b"]);
    shop.claims("w", 1);
    let due = shop.now + 50;
    assert_eq!(shop.changes(fail("a").token(shop.token("a")).note("no box").after(50)), failed(Retrying, 1, due));
    assert_eq!((shop.events(), shop.published()), (vec![Event::OrderFailed], vec![]));
    let order = shop.order("a");
    assert_eq!((order.state, order.attempts, order.due), (Retrying, 1, due));
    assert_eq!((order.reason, order.token, order.side), (&b"no box"[..], 0, None));
    assert_eq!(shop.store.next_due(), Some(due));
    assert_eq!(shop.claims("w", 2), ["b"], "the other does not wait for it");
    shop.wait(50);
    let entry = EntryId { ms: due, seq: 0 };
    assert_eq!(shop.events(), [Event::OrderRetry]);
    assert_eq!(shop.published(), [Published::Retry(b"a".to_vec(), entry)]);
    let order = shop.order("a");
    assert_eq!((order.state, order.due, order.side), (Retrying, 0, Some(entry)));
    assert_eq!(shop.claims("w", 1), ["a"]);
    assert_eq!(shop.order("a").side, Some(entry), "its entry stays while it is worked on");
    let token = shop.token("a");
    shop.changes(complete("a").token(token));
    let orders = EntryId { ms: START, seq: 0 };
    let done = Published::Completed(b"a".to_vec(), EntryId { ms: due, seq: 0 });
    let left = [Published::Left(StreamKind::Retry, entry), Published::Left(StreamKind::Orders, orders), done];
    assert_eq!(shop.published(), left);
    let info = shop.store.info(shop.now);
    assert_eq!((info.counters.failed, info.counters.retried), (1, 1));
    assert_eq!(
        shop.story("a"),
        ["claimed by w for attempt 1", "attempt 1 failed: no box", "claimed by w for attempt 2"]
    );
}

#[test]
fn a_retry_that_fails_again_leaves_its_entry() {
    let mut shop = shop(&["a"]);
    shop.ok(fail("a").after(0));
    shop.wait(0);
    let entry = shop.order("a").side.unwrap();
    shop.claims("w", 1);
    shop.changes(fail("a").after(7));
    assert_eq!(shop.published(), [Published::Left(StreamKind::Retry, entry)]);
    assert_eq!((shop.order("a").side, shop.store.entries(StreamKind::Retry)), (None, Some(0)));
}

#[test]
fn due_retries_are_handed_out_first_as_they_came_due() {
    let mut shop = shop(&["a", "b", "c", "d", "e"]);
    shop.claims("w", 3);
    shop.ok(fail("a").after(30));
    shop.ok(fail("b").after(10));
    shop.ok(fail("c").after(30));
    shop.wait(30);
    shop.reload();
    assert_eq!(shop.claims("w", 2), ["b", "a"]);
    // One that is given back, or whose lease ends, is at its old place among them.
    shop.ok(take_back("b", shop.token("b")));
    assert_eq!(shop.state("b"), Retrying);
    assert_eq!(shop.claims("w", 1), ["b"]);
    shop.wait(30_000);
    assert_eq!((shop.state("a"), shop.order("a").attempts), (Retrying, 2));
    assert_eq!(shop.claims("v", 9), ["b", "a", "c", "d", "e"]);
}

/// How long the order of an id waits after each of its failures.
fn waits(shop: &mut Shop, id: &str, times: u64) -> Vec<u64> {
    let wait = |shop: &mut Shop| {
        let Reply::Failed(failure) = shop.changes(fail(id)) else { panic!("no failure") };
        let wait = failure.due - shop.now;
        shop.wait(wait);
        wait
    };
    (0..times).map(|_| wait(shop)).collect()
}

#[test]
fn the_backoff_doubles_up_to_its_cap_with_jitter() {
    let mut shop = shop(&["a"]);
    shop.ok(configure(&[(Field::BackoffMs, 100), (Field::BackoffCapMs, 1_500)]));
    let fulls = [100, 200, 400, 800, 1_500, 1_500, 1_500];
    let waits = waits(&mut shop, "a", fulls.len() as u64);
    for (wait, full) in waits.iter().zip(fulls) {
        assert!((full / 2..=full).contains(wait), "{waits:?}");
    }
}

#[test]
fn the_jitter_spreads_orders_and_is_the_same_everywhere() {
    let ids: Vec<String> = (0..40).map(|i| format!("o{i}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let due = || {
        let mut shop = shop(&ids);
        shop.ok(configure(&[(Field::BackoffMs, 1_000)]));
        let due = |shop: &mut Shop, id: &str| match shop.ok(fail(id)) {
            Reply::Failed(failure) => failure.due - START,
            other => panic!("{other:?}"),
        };
        ids.iter().map(|id| due(&mut shop, id)).collect::<Vec<_>>()
    };
    let first = due();
    assert_eq!(first, due());
    let different: std::collections::BTreeSet<_> = first.iter().collect();
    assert!(different.len() > 30, "{first:?}");
    assert!(first.iter().all(|wait| (500..=1_000).contains(wait)), "{first:?}");
    assert!(first.iter().any(|wait| *wait < 600) && first.iter().any(|wait| *wait > 900), "{first:?}");
}

#[test]
fn the_smallest_and_the_longest_backoff_work() {
    let mut shop = shop(&["a", "b"]);
    shop.ok(configure(&[(Field::BackoffMs, 1), (Field::BackoffCapMs, 1)]));
    assert_eq!(waits(&mut shop, "a", 3), [1, 1, 1]);
    // A cap that is no cap refuses no failure.
    shop.ok(configure(&[(Field::BackoffMs, 10), (Field::BackoffCapMs, MAX_QUANTITY)]));
    assert!(waits(&mut shop, "b", 1)[0] <= 10);
    shop.ok(configure(&[(Field::BackoffMs, MAX_QUANTITY)]));
    let Reply::Failed(failure) = shop.changes(fail("b")) else { panic!() };
    assert!(failure.due > MAX_QUANTITY / 2 && failure.due <= MAX_QUANTITY, "{failure:?}");
    shop.reload();
}

#[test]
fn after_takes_the_place_of_the_backoff() {
    let mut shop = shop(&["a", "b", "c"]);
    assert_eq!(shop.changes(fail("a").after(0)), failed(Retrying, 1, START));
    assert_eq!(shop.changes(fail("b").after(12_345_678)), failed(Retrying, 1, START + 12_345_678));
    let most = MAX_QUANTITY - START;
    assert!(shop.refused(fail("c").after(most + 1)).starts_with("ERR AFTER must add up to "));
    assert_eq!(shop.changes(fail("c").after(most)), failed(Retrying, 1, MAX_QUANTITY));
    shop.wait(0);
    assert_eq!(shop.claims("w", 9), ["a"]);
}

#[test]
fn the_last_attempt_that_fails_kills_the_order() {
    for (attempts, reload) in [(1, false), (2, false), (2, true), (5, true)] {
        let mut shop = shop(&["a"]);
        shop.ok(configure(&[(Field::Attempts, attempts)]));
        for attempt in 1..attempts as u32 {
            assert_eq!(shop.changes(fail("a").after(0)), failed(Retrying, attempt, START));
            shop.wait(0);
        }
        if reload {
            shop.reload();
        }
        assert_eq!(shop.changes(fail("a").after(9).note("x")), failed(Dead, attempts as u32, 0));
        assert_eq!(shop.events(), [Event::OrderFailed, Event::OrderDead]);
    }
}

#[test]
fn there_is_no_use_in_another_attempt_after_a_fatal_one() {
    let mut shop = shop(&["a"]);
    shop.claims("w", 1);
    let ask = fail("a").token(shop.token("a")).note("no such street").fatal();
    assert_eq!(shop.changes(ask.clone()), failed(Dead, 1, 0));
    shop.now += 100;
    shop.reload();
    assert_eq!(shop.repeats(ask), failed(Dead, 1, 0));
    assert_eq!(shop.story("a")[1..], ["attempt 1 failed: no such street", "dead: no such street"]);
}

#[test]
fn a_failure_under_a_token_is_known_whatever_happened_since() {
    let mut shop = shop(&["a"]);
    shop.claims("w", 1);
    let old = shop.token("a");
    let ask = fail("a").token(old).note("why").after(10);
    let first = shop.changes(ask.clone());
    let check = |shop: &mut Shop| {
        assert_eq!(shop.repeats(ask.clone()), first);
        let mismatch = format!("MISMATCH order a failed under token {old} with another REASON, AFTER or FATAL");
        for other in [fail("a").note("else").after(10), fail("a").note("why"), fail("a").note("why").after(11)] {
            assert_eq!(shop.refused(other.token(old)), mismatch);
        }
        assert_eq!(shop.refused(fail("a").token(old).note("why").after(10).fatal()), mismatch);
    };
    check(&mut shop);
    shop.wait(10);
    check(&mut shop);
    assert_eq!(shop.claims("v", 1), ["a"]);
    check(&mut shop);
    assert_eq!(shop.state("a"), OrderState::Claimed);
    shop.reload();
    check(&mut shop);
    shop.ok(complete("a").token(shop.token("a")));
    check(&mut shop);
}

#[test]
fn a_failure_under_the_token_of_the_last_but_one_is_fenced() {
    let mut shop = shop(&["a"]);
    shop.claims("w", 1);
    let ask = fail("a").token(shop.token("a")).after(0);
    shop.ok(ask.clone());
    shop.wait(0);
    shop.claims("v", 1);
    shop.ok(fail("a").token(shop.token("a")).after(0));
    assert_eq!(shop.refused(ask), "FENCED current token 0, nobody has the order: it is retrying");
}

#[test]
fn a_failure_without_a_token_is_known_until_something_happens() {
    let mut shop = shop(&["a"]);
    let ask = fail("a").note("why").after(10);
    let first = shop.changes(ask.clone());
    shop.now += 5;
    shop.reload();
    assert_eq!(shop.repeats(ask.clone()), first);
    // Another content is another failure.
    assert_eq!(shop.changes(fail("a").note("else").after(10)), failed(Retrying, 2, shop.now + 10));
    assert_eq!(shop.changes(ask.clone()), failed(Retrying, 3, shop.now + 10));
    // Its retry is due: the same call is the next attempt that failed.
    shop.wait(10);
    assert_eq!(shop.changes(ask.clone()), failed(Retrying, 4, shop.now + 10));
    shop.wait(10);
    shop.claims("w", 1);
    assert_eq!(shop.changes(ask), failed(Retrying, 5, shop.now + 10));
}

#[test]
fn an_order_that_ended_cannot_fail() {
    let mut shop = shop(&["a", "b", "c", "d"]);
    shop.ok(complete("a"));
    shop.ok(cancel("b"));
    shop.ok(fail("c").fatal());
    assert_eq!(shop.refused(fail("a")), "BADSTATE order is completed");
    assert_eq!(shop.refused(fail("b")), "BADSTATE order is cancelled");
    assert_eq!(shop.refused(fail("c")), "BADSTATE order is dead");
    assert_eq!(shop.refused(fail("x")), "NOORDER no order x in this store");
    assert_eq!(shop.refused(fail("d").token(5)), "FENCED current token 0, nobody has the order: it is queued");
}

#[test]
fn long_reasons_are_whole_in_the_order_and_cut_in_its_history() {
    let mut shop = shop(&["a"]);
    let reason = "r".repeat(5_000);
    shop.ok(fail("a").note(&reason).after(0));
    assert_eq!(shop.order("a").reason, reason.as_bytes());
    assert_eq!(shop.story("a"), [format!("attempt 1 failed: {}", "r".repeat(200))]);
    shop.reload();
    assert_eq!(shop.order("a").reason, reason.as_bytes());
}

#[test]
fn a_history_keeps_the_last_hundred_things_that_happened() {
    let mut shop = shop(&["a"]);
    for i in 0..150u64 {
        shop.ok(advance("a", &format!("step {i}")));
    }
    let order = shop.order("a");
    assert_eq!((order.history.len(), order.history_lost, order.version), (100, 50, 150));
    assert_eq!(shop.story("a")[0], "step 51: step 50");
    shop.reload();
    assert_eq!((shop.order("a").history_lost, shop.story("a")[99].clone()), (50, "step 150: step 149".to_string()));
}

#[test]
fn every_state_of_a_retry_survives_a_load() {
    let mut shop = shop(&["a", "b", "c", "d"]);
    shop.claims("w", 1);
    shop.ok(fail("a").token(shop.token("a")).after(0));
    shop.ok(fail("b").after(0));
    shop.ok(fail("c").after(80));
    shop.wait(0);
    assert_eq!(shop.claims("w", 1), ["a"]);
    let tell = |shop: &Shop| {
        ["a", "b", "c", "d"].map(|id| {
            let order = shop.order(id);
            (order.state, order.due, order.token, order.side, order.attempts)
        })
    };
    let before = tell(&shop);
    shop.reload();
    assert_eq!(tell(&shop), before);
    assert_eq!(shop.claims("v", 9), ["b", "d"]);
    shop.wait(80);
    assert_eq!(shop.claims("v", 9), ["c"]);
    shop.ok(complete("a").token(shop.token("a")));
}
