//! The audit: silent while the books balance, whatever goes on meanwhile, and never silent when they do not.

use proptest::prelude::*;

use super::super::customer::Change;
use super::super::effects::Effects;
use super::super::hold::HoldState;
use super::super::order::OrderState;
use super::super::settings::Field;
use super::super::store::Store;
use super::super::types::NIL;
use super::build::*;
use super::command::Command;
use super::forge::rich;
use super::generate::{cases, steps, Step};
use super::shop::{audited, loaded, saved, Shop, START};

/// Does a slice of the audit that is on its way, or starts one. Says whether one was done.
fn audit_on(store: &mut Store, slice: u32) -> bool {
    if !store.auditing() {
        store.audit_start();
    }
    match store.audit_slice(slice) {
        None => false,
        Some(differences) => {
            assert_eq!(differences, []);
            true
        }
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn an_audit_between_any_commands_finds_nothing(
        steps in steps(300),
        slices in proptest::collection::vec(1u32..4, 300),
    ) {
        let (mut store, mut now, mut calls) = (Box::new(Store::new(1)), START, Vec::<Command>::new());
        let short = configure(&[(Field::KeepMs, 100), (Field::HoldMs, 60)]);
        short.apply(&mut store, now, &mut Effects::default()).unwrap();
        for (step, slice) in steps.iter().zip(slices) {
            let (ms, command) = match step {
                Step::Call(ms, command) => (*ms, command.clone()),
                Step::Again(ms, _) if calls.is_empty() => (*ms, sweep(2)),
                Step::Again(ms, back) => (*ms, calls[calls.len().saturating_sub(*back)].clone()),
                Step::Reload => {
                    store = loaded(&saved(&store), 2).unwrap();
                    continue;
                }
            };
            now = now.saturating_add_signed(ms);
            let _ = command.apply(&mut store, now, &mut Effects::default());
            calls.push(command);
            audit_on(&mut store, slice);
        }
        while !audit_on(&mut store, 2) {}
    }
}

#[test]
fn an_audit_comes_to_its_end_while_orders_come_and_go() {
    let mut shop = Shop::with(&[("tea", 1_000_000)]);
    shop.ok(configure(&[(Field::KeepMs, 20)]));
    for i in 0..60 {
        shop.ok(place(&format!("first-{i}"), "ann", &[("tea", 1)]));
    }
    let (mut fx, mut done) = (Effects::default(), 0);
    shop.store.audit_start();
    for i in 0..2_000u64 {
        shop.now += 1;
        let id = format!("o{i}");
        place(&id, &format!("c{}", i % 50), &[("tea", 1)]).apply(&mut shop.store, shop.now, &mut fx).unwrap();
        reserve(&id, &[("tea", 1)]).ttl(3).apply(&mut shop.store, shop.now, &mut fx).unwrap();
        complete(&id).apply(&mut shop.store, shop.now, &mut fx).unwrap();
        sweep(100).apply(&mut shop.store, shop.now, &mut fx).unwrap();
        done += u32::from(audit_on(&mut shop.store, 2));
    }
    assert!(done > 5, "{done} audits were done");
}

#[test]
fn an_audit_starts_anew_when_it_is_asked_to() {
    let mut shop = rich();
    shop.store.audit_start();
    assert!(shop.store.audit_slice(1).is_none());
    assert_eq!(audited(&mut shop.store, u32::MAX), []);
    assert!(shop.store.audit_slice(1).is_none() && !shop.store.auditing(), "nothing is on its way any more");
}

/// What an audit finds in a store that was broken on purpose.
#[track_caller]
fn found(breaking: impl FnOnce(&mut Store)) -> Vec<String> {
    let mut shop = rich();
    breaking(&mut shop.store);
    let whole = audited(&mut shop.store, 1_000);
    assert_eq!(audited(&mut shop.store, 1), whole, "slices of one find the same");
    assert!(!whole.is_empty(), "nobody saw it");
    let name = |id: &[u8]| String::from_utf8_lossy(id).into_owned();
    whole.iter().map(|d| format!("{} {} {}/{}", d.what, name(&d.id), d.books, d.recount)).collect()
}

#[test]
fn numbers_of_a_sku_that_are_wrong_are_found() {
    let before = rich().sku("tea");
    let (held, sold, on_hand) = (before.held as i64, before.sold as i64, before.on_hand as i64);
    assert_eq!(found(|store| store.skus.at_mut(0).held += 1), [format!("held tea {}/{held}", held + 1)]);
    assert_eq!(found(|store| store.skus.at_mut(0).sold -= 1), [format!("sold tea {}/{sold}", sold - 1)]);
    assert_eq!(found(|store| store.skus.at_mut(0).on_hand += 3), [format!("on_hand tea {}/{on_hand}", on_hand + 3)]);
    assert_eq!(found(|store| store.skus.at_mut(0).received -= 3), [format!("on_hand tea {on_hand}/{}", on_hand - 3)]);
    assert!(found(|store| store.skus.at_mut(0).past += 1)[0].starts_with("sold tea "));
    // One SKU's units counted for another.
    let both = found(|store| (store.skus.at_mut(0).held, store.skus.at_mut(1).held) = (0, 18 + 3));
    assert_eq!(both.len(), 2, "{both:?}");
}

#[test]
fn holds_that_are_wrong_are_found() {
    let slot = |store: &Store, id: &[u8]| store.find_hold(id).unwrap();
    let left = found(|store| {
        let slot = slot(store, b"live");
        store.holds.at_mut(slot).items[0].left -= 1;
    });
    assert!(left[0].starts_with("held tea ") && left[1].starts_with("customer cyd "), "{left:?}");
    let committed = found(|store| {
        let slot = slot(store, b"sold");
        store.holds.at_mut(slot).items[0].committed += 1;
    });
    assert!(committed[0].starts_with("sold milk "), "{committed:?}");
    found(|store| {
        let slot = slot(store, b"free");
        store.holds.at_mut(slot).state = HoldState::Released;
    });
    assert_eq!(found(|store| store.live_holds += 1), ["holds live 3/2"]);
}

#[test]
fn orders_that_are_wrong_are_found() {
    let slot = |store: &Store, id: &[u8]| store.find_order(id).unwrap();
    for state in [OrderState::Cancelled, OrderState::Completed, OrderState::Dead] {
        let wrong = found(|store| {
            let slot = slot(store, b"waits");
            store.orders.at_mut(slot).set_state(state);
        });
        assert!(wrong.iter().any(|text| text.starts_with("held tea ")), "{wrong:?}");
        assert!(wrong.iter().any(|text| text.starts_with("orders queued 2/1")), "{wrong:?}");
    }
    found(|store| {
        let slot = slot(store, b"done");
        store.extra_mut(slot).returned[0] += 1;
    });
    assert_eq!(found(|store| store.by_state[OrderState::Dead as usize] += 1)[0], "orders dead 1/0");
}

#[test]
fn customers_that_are_wrong_are_found() {
    let (tea, milk) = (0, 1);
    let change = |units: &'static [(u32, i64, i64)]| {
        move |store: &mut Store| {
            let slot = store.find_customer(b"ann").unwrap();
            store.change_customer(slot, &Change { refs: 0, units });
        }
    };
    assert!(found(change(&[(0, 1, 0)]))[0].starts_with("customer ann "));
    assert!(found(change(&[(1, -1, 0)]))[0].starts_with("customer ann "));
    assert!(found(change(&[(0, 0, 1)]))[0].starts_with("customer ann "));
    assert!(found(change(&[(0, 1, 0), (1, -1, 0)]))[0].starts_with("customer by SKU ann "), "{tea} and {milk}");
    let gone = found(|store| {
        let slot = store.find_customer(b"ann").unwrap();
        store.customers.remove(slot);
    });
    assert!(gone.iter().any(|text| text.starts_with("customer of-hold 0/1")), "{gone:?}");
    let lent = found(|store| {
        let (bob, slot) = (store.find_customer(b"bob").unwrap(), store.find_order(b"of-hold").unwrap());
        store.orders.at_mut(slot).customer = bob;
    });
    assert_eq!(lent.len(), 2, "{lent:?}");
}

/// A way to break a store.
type Break = Box<dyn Fn(&mut Store)>;

#[test]
fn a_queue_that_is_broken_is_found() {
    let first = |store: &Store| store.queue.head;
    let second = |store: &Store| store.orders.at(store.queue.head).next;
    let breaks: Vec<Break> = vec![
        Box::new(|store| store.queue.head = store.queue.tail),
        Box::new(|store| store.queue.tail = store.queue.head),
        Box::new(|store| store.queue.head = NIL),
        Box::new(|store| store.queue.tail = NIL),
        Box::new(move |store| {
            let slot = first(store);
            store.orders.at_mut(slot).next = NIL;
        }),
        Box::new(move |store| {
            let slot = second(store);
            store.orders.at_mut(slot).prev = NIL;
        }),
        Box::new(move |store| {
            let slot = second(store);
            store.orders.at_mut(slot).next = slot;
        }),
        // Taken out of the queue, and nowhere else.
        Box::new(move |store| {
            let s = second(store);
            store.unseat(s)
        }),
        // The right orders in the wrong order.
        Box::new(move |store| {
            let slot = first(store);
            store.unseat(slot);
            store.enqueue(slot);
        }),
    ];
    for (i, breaking) in breaks.iter().enumerate() {
        let wrong = found(breaking);
        assert!(wrong.iter().any(|text| text.starts_with("queue ")), "{i}: {wrong:?}");
    }
}

#[test]
fn an_ended_order_left_at_the_queue_s_ends_is_found() {
    let mut shop = Shop::with(&[("tea", 5)]);
    shop.ok(place("o", "ann", &[("tea", 1)]));
    shop.ok(complete("o"));
    let slot = shop.store.find_order(b"o").unwrap();
    (shop.store.queue.head, shop.store.queue.tail) = (slot, slot);
    assert_eq!(audited(&mut shop.store, 10).len(), 2);
}

#[test]
fn what_will_never_be_due_is_found() {
    for at in 0..rich().store.due.len() {
        let lost = found(|store| {
            let key = *store.due.keys().nth(at).unwrap();
            store.due.remove(&key);
        });
        assert!(lost.iter().all(|text| text.starts_with("due ")), "{lost:?}");
        let moved = found(|store| {
            let key = *store.due.keys().nth(at).unwrap();
            let due = store.due.remove(&key).unwrap();
            store.due.insert((key.0 + 1, key.1), due);
        });
        assert!(moved.iter().all(|text| text.starts_with("due ")), "{moved:?}");
    }
}

#[test]
fn what_cannot_be_found_by_its_id_is_found() {
    let order = found(|store| {
        let slot = store.find_order(b"waits").unwrap();
        let hash = store.hash(b"waits");
        store.order_index.remove(hash, slot);
    });
    assert_eq!(order, ["index waits 0/1"]);
    let hold = found(|store| {
        let slot = store.find_hold(b"live").unwrap();
        let hash = store.hash(b"live");
        store.hold_index.remove(hash, slot);
    });
    assert_eq!(hold, ["index live 0/1"]);
}
