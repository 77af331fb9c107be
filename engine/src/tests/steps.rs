//! Steps of fulfilment: ORDER.ADVANCE.

use super::build::*;
use super::command::Reply::Version;
use super::shop::{START, Shop};
use crate::record::history::HistoryEvent;
use crate::terms::effects::Event;

fn shop() -> Shop {
    let mut shop = Shop::with(&[("tea", 10)]);
    shop.ok(place("o", "ann", &[("tea", 3)]));
    shop
}

#[test]
fn every_step_is_counted_and_stamped_with_its_time() {
    let mut shop = shop();
    for (i, step) in ["accepted", "picked", "packed"].into_iter().enumerate() {
        shop.now += 10;
        let version = i as u64 + 1;
        assert_eq!(shop.changes(advance("o", step)), Version(version));
        assert_eq!(shop.events(), [Event::OrderAdvanced]);
        let order = shop.order("o");
        assert_eq!((order.step, order.version), (step.as_bytes(), version));
        let at = START + 10 * version;
        assert_eq!(order.history.last(), Some(&HistoryEvent::Step { at, step: step.as_bytes(), version }));
    }
    shop.reload();
    assert_eq!((shop.order("o").step, shop.order("o").version), (&b"packed"[..], 3));
}

#[test]
fn a_step_that_is_repeated_is_taken_once() {
    let mut shop = shop();
    assert_eq!(shop.changes(advance("o", "picked")), Version(1));
    assert_eq!(shop.repeats(advance("o", "picked")), Version(1));
    shop.reload();
    assert_eq!(shop.repeats(advance("o", "picked")), Version(1));
    assert_eq!(shop.changes(advance("o", "packed").from("picked")), Version(2));
    assert_eq!(shop.repeats(advance("o", "packed").from("picked")), Version(2));
    // A step back, and there again, are steps.
    assert_eq!(shop.changes(advance("o", "picked")), Version(3));
    assert_eq!(shop.changes(advance("o", "packed").from("picked")), Version(4));
    // Also once the order ended.
    shop.ok(complete("o"));
    assert_eq!(shop.repeats(advance("o", "packed").from("picked")), Version(4));
    assert_eq!(shop.refused(advance("o", "sent")), "BADSTATE order is completed");
}

#[test]
fn a_late_or_doubled_update_from_another_system_is_refused() {
    let mut shop = shop();
    assert_eq!(shop.refused(advance("o", "packed").from("picked")), "BADSTATE order is at no step, not picked");
    shop.ok(advance("o", "picked"));
    shop.ok(advance("o", "packed").from("picked"));
    shop.ok(advance("o", "sent").from("packed"));
    assert_eq!(shop.refused(advance("o", "packed").from("picked")), "BADSTATE order is at step sent, not picked");
    assert_eq!(
        shop.refused(advance("o", "picked").from("accepted\n")),
        "BADSTATE order is at step sent, not accepted\\n"
    );
    assert_eq!(shop.refused(advance("x", "picked")), "NOORDER no order x in this store");
}

#[test]
fn a_step_under_a_token_is_that_of_the_worker_who_has_the_order() {
    let mut shop = shop();
    shop.claims("w", 1);
    let token = shop.token("o");
    shop.ok(advance("o", "picked").token(token));
    assert_eq!(shop.refused(advance("o", "packed").token(token - 1)), format!("FENCED current token {token}"));
    shop.ok(yield_all("w"));
    let nobody = "FENCED current token 0, nobody has the order: it is queued";
    assert_eq!(shop.refused(advance("o", "packed").token(token)), nobody);
    assert_eq!(shop.repeats(advance("o", "picked").token(token)), Version(1), "its first reply");
    // Without one, whoever reads the stream is trusted.
    shop.ok(advance("o", "packed"));
}

#[test]
fn a_step_lasts_through_failures_death_and_redriving() {
    let mut shop = shop();
    shop.ok(advance("o", "picked"));
    shop.ok(fail("o").after(0));
    shop.wait(0);
    shop.ok(fail("o").fatal());
    assert_eq!(shop.refused(advance("o", "packed")), "BADSTATE order is dead");
    shop.ok(redrive("o"));
    shop.reload();
    assert_eq!((shop.order("o").step, shop.order("o").version), (&b"picked"[..], 1));
    assert_eq!(shop.ok(advance("o", "packed").from("picked")), Version(2));
}
