//! What is gone is not answered as if it were there.

use super::build::*;
use super::command::Command;
use super::shop::Shop;
use crate::terms::settings::Field;

#[test]
fn a_hold_that_ended_is_not_reserved_again() {
    let mut shop = Shop::with(&[("tea", 50)]);
    let ask = |id: &str| reserve(id, &[("tea", 2)]).by("ann").ttl(60_000);
    let ends: [(&str, Command, &str); 4] = [
        ("a", commit("a"), "BADSTATE hold is committed"),
        ("b", release("b"), "BADSTATE hold is released"),
        ("c", place_hold("o", "ann", "c"), "BADSTATE hold is ordered"),
        ("d", release("d").of(&[("tea", 2)]), "BADSTATE hold is released"),
    ];
    for (id, end, text) in ends {
        let first = shop.ok(ask(id));
        assert_eq!(shop.repeats(ask(id)), first);
        shop.ok(end);
        let before = shop.books("tea");
        for reload in [false, true] {
            assert_eq!(shop.refused(ask(id)), text);
            // However it is asked for: how it ended is what matters.
            assert_eq!(shop.refused(reserve(id, &[("tea", 1)])), text);
            if reload {
                shop.reload();
            }
        }
        assert_eq!(shop.books("tea"), before);
    }
}

#[test]
fn a_hold_whose_deadline_passed_is_expired_swept_or_not() {
    let mut shop = Shop::with(&[("tea", 50)]);
    let ask = reserve("h", &[("tea", 2)]).ttl(60_000);
    shop.ok(ask.clone());
    shop.now += 59_999;
    shop.repeats(ask.clone());
    shop.now += 1;
    let text = format!("EXPIRED hold h expired at {}", shop.now);
    assert_eq!(shop.refused(ask.clone()), text);
    shop.wait(0);
    assert_eq!(shop.refused(ask.clone()), text);
    // An extended hold lives, and is answered with its first deadline.
    shop.ok(configure(&[(Field::KeepMs, 1)]));
    shop.ok(reserve("long", &[("tea", 2)]).ttl(10));
    shop.ok(extend("long", 1_000));
    shop.wait(500);
    shop.repeats(reserve("long", &[("tea", 2)]).ttl(10));
}

#[test]
fn a_cancelled_order_is_not_placed_again() {
    let mut shop = Shop::with(&[("tea", 50)]);
    let ask = place("o", "ann", &[("tea", 2)]).note("{}");
    shop.ok(ask.clone());
    shop.ok(cancel("o").note("no"));
    for again in [ask.clone(), place("o", "bob", &[("tea", 9)])] {
        assert_eq!(shop.refused(again), "BADSTATE order is cancelled");
    }
    shop.reload();
    assert_eq!(shop.refused(ask), "BADSTATE order is cancelled");
    assert_eq!(shop.books("tea"), (50, 0, 0));
    // The cancel itself is answered as before.
    shop.repeats(cancel("o").note("no"));
    // One that was made of a hold.
    shop.ok(reserve("h", &[("tea", 2)]));
    shop.ok(place_hold("o2", "ann", "h"));
    shop.ok(cancel("o2"));
    assert_eq!(shop.refused(place_hold("o2", "ann", "h")), "BADSTATE order is cancelled");
}

#[test]
fn an_order_that_was_placed_and_is_dead_or_done_is_answered_as_placed() {
    let mut shop = Shop::with(&[("tea", 50)]);
    for (id, end) in [("dead", fail("dead").fatal()), ("done", complete("done"))] {
        let first = shop.ok(place(id, "ann", &[("tea", 2)]));
        shop.ok(end);
        assert_eq!(shop.repeats(place(id, "ann", &[("tea", 2)])), first);
    }
}

#[test]
fn a_cancelled_order_is_neither_retried_nor_redriven_nor_at_its_step() {
    let mut shop = Shop::with(&[("tea", 50)]);
    for id in ["failed", "redriven", "stepped"] {
        shop.ok(place(id, "ann", &[("tea", 1)]));
    }
    shop.claims("w", 1);
    let token = shop.token("failed");
    let failed = fail("failed").token(token).after(5_000);
    shop.ok(failed.clone());
    shop.repeats(failed.clone());
    shop.ok(fail("redriven").fatal());
    shop.ok(redrive("redriven"));
    shop.repeats(redrive("redriven"));
    shop.ok(advance("stepped", "picked"));
    shop.repeats(advance("stepped", "picked"));
    for id in ["failed", "redriven", "stepped"] {
        shop.ok(cancel(id));
    }
    assert_eq!(shop.refused(failed), "FENCED current token 0, nobody has the order: it is cancelled");
    assert_eq!(shop.refused(redrive("redriven")), "BADSTATE order is cancelled");
    assert_eq!(shop.refused(advance("stepped", "picked")), "BADSTATE order is cancelled");
}

#[test]
fn the_step_of_an_order_that_died_is_not_answered_and_that_of_a_completed_one_is() {
    let mut shop = Shop::with(&[("tea", 50)]);
    for (id, end) in [("dead", fail("dead").fatal()), ("done", complete("done"))] {
        shop.ok(place(id, "ann", &[("tea", 1)]));
        shop.ok(advance(id, "picked"));
        shop.ok(end);
    }
    assert_eq!(shop.refused(advance("dead", "picked")), "BADSTATE order is dead");
    shop.repeats(advance("done", "picked"));
}
