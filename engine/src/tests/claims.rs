//! Claims: who gets which order, under which token, and what a token is good for.

use super::build::*;
use super::command::{Command, Reply};
use super::shop::{START, Shop};
use crate::base::units::{MAX_DATA_BYTES, MAX_QUANTITY};
use crate::calls::work::{CLAIM_MAX, Claim, Pick, YIELD_MAX};
use crate::store::Store;
use crate::terms::effects::{Effects, Event};
use crate::terms::settings::Field;
use crate::terms::states::OrderState;

/// A shop where orders `o0`, `o1` … wait.
fn waiting(count: usize) -> Shop {
    let mut shop = Shop::with(&[("tea", 1_000)]);
    for i in 0..count {
        shop.ok(place(&format!("o{i}"), "ann", &[("tea", 1)]));
    }
    shop
}

#[test]
fn a_worker_gets_the_first_order_under_a_lease_and_a_token() {
    let mut shop = waiting(2);
    shop.now += 5;
    let token = (START + 5) * 1024;
    assert_eq!(shop.changes(claim("w", 1)), Reply::Claimed(vec![(b"o0".to_vec(), token)]));
    assert_eq!(shop.events(), [Event::OrderClaimed]);
    assert_eq!(shop.published(), []);
    let order = shop.order("o0");
    assert_eq!((order.state, order.worker, order.token), (OrderState::Claimed, &b"w"[..], token));
    assert_eq!((order.due, order.attempts), (START + 5 + 30_000, 0));
    assert_eq!(shop.story("o0"), ["claimed by w for attempt 1"]);
    let info = shop.store.info(shop.now);
    assert_eq!((info.orders[..2].to_vec(), info.workers, info.counters.claimed), (vec![1, 1], 1, 1));
    assert_eq!(info.next_due, START + 5 + 30_000);
    // It holds its units, as before.
    assert_eq!(shop.books("tea"), (1_000, 2, 0));
}

#[test]
fn orders_are_handed_out_first_in_first_out() {
    let mut shop = waiting(5);
    assert_eq!(shop.claims("w", 2), ["o0", "o1"]);
    assert_eq!(shop.claims("v", 1), ["o2"]);
    shop.reload();
    assert_eq!(shop.claims("w", 9), ["o3", "o4"]);
    assert_eq!(shop.repeats(claim("w", 1)), Reply::Claimed(Vec::new()), "nothing is left");
    assert_eq!(shop.repeats(claim("w", 0)), Reply::Claimed(Vec::new()));
}

#[test]
fn what_is_given_back_returns_to_its_old_place() {
    let mut shop = waiting(6);
    assert_eq!(shop.claims("w", 2), ["o0", "o1"]);
    assert_eq!(shop.claims("v", 2), ["o2", "o3"]);
    assert_eq!(shop.changes(yield_all("w")), Reply::Yielded(2));
    assert_eq!(shop.events(), [Event::OrderYielded; 2]);
    assert_eq!(shop.story("o0"), ["claimed by w for attempt 1", "yielded"]);
    assert_eq!(shop.order("o0").attempts, 0, "that was no attempt");
    assert_eq!(shop.repeats(yield_all("w")), Reply::Yielded(0));
    assert_eq!(shop.repeats(yield_all("nobody")), Reply::Yielded(0));
    assert_eq!(shop.claims("x", 3), ["o0", "o1", "o4"]);
    shop.changes(take_back("o1", shop.token("o1")));
    shop.changes(yield_all("v"));
    shop.reload();
    assert_eq!(shop.claims("y", 9), ["o1", "o2", "o3", "o5"]);
}

#[test]
fn an_order_that_is_taken_back_was_never_claimed_as_far_as_anyone_sees() {
    let mut shop = waiting(1);
    shop.claims("gone", 1);
    let token = shop.token("o0");
    assert_eq!(shop.refused(take_back("o0", token + 1)), format!("FENCED current token {token}"));
    assert_eq!(shop.changes(take_back("o0", token)), Reply::Nothing);
    assert_eq!((shop.state("o0"), shop.order("o0").due, shop.store.info(0).workers), (OrderState::Queued, 0, 0));
    assert_eq!(
        shop.refused(take_back("o0", token)),
        "FENCED current token 0, nobody has the order: it is queued",
        "once is enough"
    );
    assert_eq!(shop.refused(take_back("x", token)), "NOORDER no order x in this store");
    shop.claims("w", 1);
    let token = shop.token("o0");
    shop.ok(complete("o0").token(token));
    assert_eq!(shop.refused(take_back("o0", token)), "BADSTATE order is completed");
}

#[test]
fn nothing_is_handed_out_while_the_store_is_paused() {
    let mut shop = waiting(3);
    shop.claims("w", 1);
    shop.ok(configure(&[(Field::Paused, 1)]));
    assert!(!shop.store.has_work());
    assert_eq!(shop.repeats(claim("w", 3)), Reply::Claimed(Vec::new()));
    // Whoever has an order may end it; the next stays where it is.
    let Reply::Next(_, next) = shop.changes(complete_and_claim("o0", "w").token(shop.token("o0"))) else { panic!() };
    assert_eq!(next, None);
    shop.ok(configure(&[(Field::Paused, 0)]));
    assert!(shop.store.has_work());
    assert_eq!(shop.claims("w", 3), ["o1", "o2"]);
}

#[test]
fn tokens_grow_also_where_the_clock_stands_still_or_steps_back() {
    let mut shop = waiting(6);
    shop.claims("w", 3);
    let first = START * 1024;
    assert_eq!(["o0", "o1", "o2"].map(|id| shop.token(id)), [first, first + 1, first + 2]);
    shop.now -= 1_000;
    shop.reload();
    shop.claims("w", 1);
    assert_eq!(shop.token("o3"), first + 3);
    shop.now = START + 1;
    shop.claims("w", 1);
    assert_eq!(shop.token("o4"), first + 1024);
    // More than 1,024 in a millisecond run ahead of the clock, and are never handed out again.
    let last = shop.store.workers.last_token();
    shop.store.workers.set_last_token(last + 5_000);
    shop.now += 1;
    shop.claims("w", 1);
    assert_eq!(shop.token("o5"), first + 1024 + 5_001);
}

#[test]
fn a_token_never_passes_what_every_client_can_hold() {
    let mut shop = waiting(2);
    shop.now = MAX_QUANTITY - 40_000;
    shop.claims("w", 1);
    assert!(shop.token("o0") < MAX_QUANTITY / 2);
    shop.store.workers.set_last_token(MAX_QUANTITY - 5);
    assert!(shop.refused(claim("w", 1)).starts_with("ERR token "));
    assert!(shop.refused(complete_and_claim("o0", "w")).starts_with("ERR token "), "and completes nothing");
    assert_eq!(shop.state("o0"), OrderState::Claimed);
}

#[test]
fn a_lease_past_all_times_is_refused() {
    let mut shop = waiting(2);
    let most = MAX_QUANTITY - shop.now;
    let text = format!("ERR LEASE must add up to at most {MAX_QUANTITY}, got {}", MAX_QUANTITY + 1);
    assert_eq!(shop.refused(claim("w", 1).lease(most + 1)), text);
    assert_eq!(shop.refused(complete_and_claim("o0", "w").lease(most + 1)), text);
    shop.ok(claim("w", 1).lease(most));
    assert_eq!(shop.order("o0").due, MAX_QUANTITY);
    assert_eq!(shop.refused(renew("o0", shop.token("o0")).lease(most + 1)), text);
    shop.ok(configure(&[(Field::LeaseMs, MAX_QUANTITY)]));
    assert!(shop.refused(claim("w", 1)).starts_with("ERR LEASE "));
}

/// A store with so many orders waiting, without the checks after every call.
fn many(orders: usize, data: &str) -> (Store, Effects) {
    let (mut store, mut fx) = (Store::new(1), Effects::default());
    set("tea", 1_000_000).apply(&mut store, START, &mut fx).unwrap();
    for i in 0..orders {
        let place = place(&format!("o{i}"), "ann", &[("tea", 1)]);
        let place = if data.is_empty() { place } else { place.note(data) };
        place.apply(&mut store, START, &mut fx).unwrap();
    }
    (store, Effects::default())
}

#[test]
fn one_claim_hands_out_no_more_than_its_bounds() {
    let all = |worker: &'static [u8]| Claim { worker, count: usize::MAX, pick: Pick::Any, lease_ms: None };
    let (mut store, mut fx) = many(CLAIM_MAX + 1, "");
    assert_eq!(store.claim(START, &all(b"w"), &mut fx).unwrap().len(), CLAIM_MAX);
    assert_eq!(store.claim(START, &all(b"w"), &mut fx).unwrap().len(), 1);
    // Orders of a megabyte: four of them are 4 MiB.
    let (mut store, mut fx) = many(9, &"x".repeat(MAX_DATA_BYTES));
    assert_eq!(store.claim(START, &all(b"w"), &mut fx).unwrap().len(), 4);
    assert_eq!(store.claim(START, &all(b"w"), &mut fx).unwrap().len(), 4);
    assert_eq!(store.claim(START, &all(b"w"), &mut fx).unwrap().len(), 1);
}

#[test]
fn one_yield_gives_back_no_more_than_its_bound_the_first_claimed_first() {
    let (mut store, mut fx) = many(YIELD_MAX + 7, "");
    for _ in 0..=YIELD_MAX / CLAIM_MAX {
        let claim = Claim { worker: b"w", count: CLAIM_MAX, pick: Pick::Any, lease_ms: None };
        store.claim(START, &claim, &mut fx).unwrap();
    }
    assert_eq!(store.yield_all(START, b"w", &mut fx), YIELD_MAX as u64);
    let left = format!("o{YIELD_MAX}");
    assert_eq!(store.order(START, left.as_bytes()).unwrap().state, OrderState::Claimed);
    assert_eq!(store.yield_all(START, b"w", &mut fx), 7);
    assert_eq!(store.yield_all(START, b"w", &mut fx), 0);
}

#[test]
fn completing_hands_out_the_next_order_in_one_call() {
    let mut shop = waiting(3);
    shop.claims("w", 1);
    let ask = complete_and_claim("o0", "w").token(shop.token("o0")).note("{}").lease(77);
    let first = shop.changes(ask.clone());
    assert_eq!(shop.events(), [Event::OrderCompleted, Event::OrderClaimed]);
    let Reply::Next(entry, Some((next, token))) = first.clone() else { panic!("{first:?}") };
    assert_eq!((shop.order("o0").complete, &next[..]), (Some(entry), &b"o1"[..]));
    assert_eq!((shop.order("o1").token, shop.order("o1").due), (token, shop.now + 77));
    // The same call again gives the same next order, also after a load.
    assert_eq!(shop.repeats(ask.clone()), first);
    shop.reload();
    shop.now += 5;
    assert_eq!(shop.repeats(ask.clone()), first);
    // Not to another worker, and not once the order is in other hands.
    let other = Command::CompleteAndClaim {
        order: b"o0".to_vec(),
        token: None,
        result: b"{}".to_vec(),
        worker: b"other".to_vec(),
        lease_ms: None,
    };
    assert_eq!(shop.repeats(other), Reply::Next(entry, None));
    shop.ok(yield_all("w"));
    assert_eq!(shop.repeats(ask.clone()), Reply::Next(entry, None));
    assert_eq!(shop.claims("w", 1), ["o1"]);
    assert_eq!(shop.repeats(ask), Reply::Next(entry, None), "that is another claim");
}

#[test]
fn completing_hands_out_nothing_where_nothing_waits() {
    let mut shop = waiting(1);
    shop.claims("w", 1);
    let ask = complete_and_claim("o0", "w").token(shop.token("o0"));
    let Reply::Next(entry, None) = shop.changes(ask.clone()) else { panic!("nothing waits") };
    shop.ok(place("later", "ann", &[("tea", 1)]));
    assert_eq!(shop.repeats(ask), Reply::Next(entry, None), "the first reply, whatever waits by now");
    assert_eq!(shop.refused(complete_and_claim("o0", "w").note("other")).split(' ').next(), Some("MISMATCH"));
    assert_eq!(shop.refused(complete_and_claim("x", "w")), "NOORDER no order x in this store");
    assert_eq!(shop.state("later"), OrderState::Queued);
}

#[test]
fn a_repeated_completion_is_told_apart_whatever_the_call_did_before() {
    let mut shop = waiting(2);
    let ask = complete_and_claim("o0", "w");
    let first = shop.ok(ask.clone());
    // The caller may have done what was due in the same breath: then something changed, though not by this.
    let mut fx = Effects { changed: true, ..Effects::default() };
    shop.ok(place("o2", "ann", &[("tea", 1)]));
    assert_eq!(ask.apply(&mut shop.store, shop.now, &mut fx), Ok(first));
    assert_eq!(shop.state("o2"), OrderState::Queued);
}

#[test]
fn a_token_fences_the_late_finisher() {
    let mut shop = waiting(1);
    shop.claims("slow", 1);
    let old = shop.token("o0");
    shop.ok(yield_all("slow"));
    let nobody = "FENCED current token 0, nobody has the order: it is queued";
    assert_eq!(shop.refused(complete("o0").token(old)), nobody);
    shop.claims("quick", 1);
    let token = shop.token("o0");
    let fenced = format!("FENCED current token {token}");
    let late = [
        complete("o0").token(old),
        complete_and_claim("o0", "slow").token(old),
        fail("o0").token(old),
        renew("o0", old),
        take_back("o0", old),
        advance("o0", "picked").token(old),
    ];
    for command in &late {
        assert_eq!(shop.refused(command.clone()), fenced, "{command:?}");
    }
    let entry = shop.changes(complete("o0").token(token));
    for command in &late {
        assert_eq!(shop.refused(command.clone()), fenced, "{command:?} after its end");
    }
    assert_eq!(shop.repeats(complete("o0").token(token)), entry, "its own first reply");
    assert_eq!(shop.repeats(complete("o0")), entry);
    for command in [fail("o0").token(token), renew("o0", token), advance("o0", "picked").token(token)] {
        assert_eq!(shop.refused(command), "BADSTATE order is completed");
    }
}

#[test]
fn who_completes_without_a_token_is_trusted_and_fences_the_worker() {
    let mut shop = waiting(2);
    shop.claims("w", 2);
    let [a, b] = ["o0", "o1"].map(|id| shop.token(id));
    shop.changes(complete("o0"));
    assert_eq!(shop.refused(complete("o0").token(a)), "FENCED current token 0, nobody has the order: it is completed");
    shop.changes(cancel("o1"));
    assert_eq!(shop.refused(complete("o1").token(b)), "FENCED current token 0, nobody has the order: it is cancelled");
    assert_eq!((shop.books("tea"), shop.store.info(0).workers), ((999, 0, 1), 0));
}

#[test]
fn consumers_of_the_streams_end_an_order_in_any_state_before_its_end() {
    // Queued, claimed, in backoff, a due retry, a due retry that a worker has.
    let bring: [fn(&mut Shop); 5] = [
        |_| {},
        |shop| drop(shop.claims("w", 1)),
        |shop| drop(shop.ok(fail("o0").after(50))),
        |shop| {
            shop.ok(fail("o0").after(0));
            shop.wait(0);
        },
        |shop| {
            shop.ok(fail("o0").after(0));
            shop.wait(0);
            assert_eq!(shop.claims("w", 1), ["o0"]);
        },
    ];
    for (i, bring) in bring.iter().enumerate() {
        let there = |reload: bool| {
            let mut shop = waiting(1);
            bring(&mut shop);
            if reload {
                shop.reload();
            }
            shop
        };
        for reload in [false, true] {
            let mut shop = there(reload);
            shop.changes(complete("o0"));
            assert_eq!((shop.state("o0"), shop.books("tea")), (OrderState::Completed, (999, 0, 1)), "{i}");
            let mut shop = there(reload);
            assert_eq!(shop.changes(cancel("o0")), Reply::Units(1));
            assert_eq!((shop.state("o0"), shop.books("tea")), (OrderState::Cancelled, (1_000, 0, 0)), "{i}");
            let mut shop = there(reload);
            shop.changes(fail("o0").note("other").after(5));
            assert_eq!((shop.state("o0"), shop.order("o0").due), (OrderState::Retrying, shop.now + 5), "{i}");
            assert_eq!((shop.order("o0").token, shop.order("o0").worker, shop.order("o0").side), (0, &b""[..], None));
        }
    }
}
