//! The audit: silent while the books balance, whatever goes on meanwhile, and never silent when they do not.

use proptest::prelude::*;

use crate::record::customer::Change;
use crate::record::order::Seat;
use crate::terms::effects::Effects;
use crate::terms::settings::Field;
use crate::terms::states::HoldState;
use crate::terms::states::OrderState;

use super::build::*;
use super::command::Command;
use super::forge::rich;
use super::generate::{Step, cases, opening, steps};
use super::shop::{START, Shop, audited, loaded, saved};
use crate::base::units::NIL;
use crate::store::{Queue, Store};
use crate::terms::streams::EntryId;

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
        for command in opening() {
            command.apply(&mut store, now, &mut Effects::default()).unwrap();
        }
        for (step, slice) in steps.iter().zip(slices) {
            let (ms, command) = match step {
                Step::Call(ms, command) => (*ms, command.clone().aimed(&store)),
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
    assert_eq!(found(|store| store.skus.at_mut(0).on_hand += 3), [format!("on-hand tea {}/{on_hand}", on_hand + 3)]);
    assert_eq!(found(|store| store.skus.at_mut(0).received -= 3), [format!("on-hand tea {on_hand}/{}", on_hand - 3)]);
    assert!(found(|store| store.skus.at_mut(0).past += 1)[0].starts_with("sold tea "));
    // One SKU's units counted for another.
    let both = found(|store| {
        let all = store.skus.at(0).held + store.skus.at(1).held;
        (store.skus.at_mut(0).held, store.skus.at_mut(1).held) = (0, all);
    });
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
        assert!(wrong.iter().any(|text| text.starts_with("orders queued 8/7")), "{wrong:?}");
    }
    found(|store| {
        let slot = slot(store, b"done");
        store.extra_mut(slot).returns.as_mut().unwrap().units[0] += 1;
    });
    assert_eq!(found(|store| store.by_state[OrderState::Dead as usize] += 1)[0], "orders dead 2/1");
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

/// Every way to break something has to be found, as one of `what`.
#[track_caller]
fn all_found(what: &[&str], breaks: Vec<Break>) {
    for (i, breaking) in breaks.iter().enumerate() {
        let wrong = found(breaking);
        let named = |text: &String| what.iter().any(|what| text.starts_with(&format!("{what} ")));
        assert!(wrong.iter().any(named), "{i}: {wrong:?}");
    }
}

fn of(store: &Store, id: &str) -> u32 {
    store.find_order(id.as_bytes()).unwrap()
}

#[test]
fn ready_orders_that_are_wrong_are_found() {
    all_found(
        &["queue"],
        vec![
            Box::new(|store| {
                store.ready.pop_first();
            }),
            Box::new(|store| store.ready.clear()),
            // One at another's place, one at two places, one that a worker has, one that is not the first of its group.
            Box::new(|store| {
                let (place, slot) = store.ready.pop_first().unwrap();
                store.ready.insert(place.next(0), slot);
            }),
            Box::new(|store| {
                let (place, slot) = store.ready.last_key_value().map(|(place, slot)| (*place, *slot)).unwrap();
                store.ready.insert(place.next(0), slot);
                store.orders.at_mut(slot).seat = Seat::Away;
            }),
            Box::new(|store| {
                store.ready.insert(EntryId { ms: 1, seq: 1 }, of(store, "back"));
            }),
            Box::new(|store| {
                store.ready.insert(EntryId { ms: 1, seq: 1 }, of(store, "taken"));
            }),
            Box::new(|store| {
                store.ready.insert(EntryId { ms: 1, seq: 1 }, of(store, "g2"));
            }),
            Box::new(|store| store.offer(of(store, "taken"))),
            Box::new(|store| store.orders.at_mut(of(store, "g2")).seat = Seat::Ready),
            Box::new(|store| store.orders.at_mut(of(store, "back")).seat = Seat::Behind),
            Box::new(|store| store.unseat(of(store, "h1"))),
        ],
    );
}

#[test]
fn due_retries_that_are_wrong_are_found() {
    all_found(
        &["queue"],
        vec![
            Box::new(|store| store.retries.clear()),
            Box::new(|store| {
                let ((at, place), slot) = store.retries.pop_first().unwrap();
                store.retries.insert((at + 1, place), slot);
            }),
            Box::new(|store| {
                store.retries.insert((1, 1), of(store, "due"));
            }),
            Box::new(|store| {
                store.retries.insert((1, 1), of(store, "backs"));
            }),
            Box::new(|store| {
                store.retries.insert((1, 1), of(store, "worked"));
            }),
            Box::new(|store| store.unseat(of(store, "due"))),
        ],
    );
    all_found(&["stream"], vec![Box::new(|store| store.retry_entries += 1), Box::new(|store| store.retry_entries = 0)]);
    all_found(
        &["due", "queue"],
        vec![Box::new(|store| {
            let slot = of(store, "due");
            store.extra_mut(slot).retry = None;
        })],
    );
}

#[test]
fn what_would_never_be_late_is_found() {
    // Everything that stands beside the line was late in there: one that was not is `g4`.
    all_found(
        &["late"],
        vec![
            Box::new(|store| store.aging.clear()),
            Box::new(|store| {
                let ((at, place), slot) = store.aging.pop_first().unwrap();
                store.aging.insert((at + 1, place), slot);
            }),
            Box::new(|store| store.orders.at_mut(of(store, "g1")).late = false),
            Box::new(|store| store.orders.at_mut(of(store, "g4")).late = true),
            Box::new(|store| {
                store.aging.insert((1, EntryId::default()), of(store, "g1"));
            }),
            Box::new(|store| {
                store.aging.insert((1, EntryId::default()), of(store, "g4"));
            }),
            Box::new(|store| {
                store.aging.insert((1, EntryId::default()), of(store, "dies"));
            }),
        ],
    );
}

#[test]
fn dead_orders_that_are_wrong_are_found() {
    all_found(
        &["due", "orders"],
        vec![
            Box::new(|store| store.dead.clear()),
            Box::new(|store| {
                let (place, slot) = store.dead.pop_first().unwrap();
                store.dead.insert(place + 1, slot);
            }),
            Box::new(|store| {
                store.dead.insert(1, of(store, "waits"));
            }),
            Box::new(|store| {
                store.dead.insert(1, of(store, "dies"));
            }),
        ],
    );
}

fn in_hand(store: &mut Store, worker: u32, order: u32) {
    store.workers.at_mut(worker).claims.insert(5, order);
}

#[test]
fn workers_that_are_wrong_are_found() {
    let worker = |store: &Store, id: &str| store.find_worker(id.as_bytes()).unwrap();
    all_found(
        &["worker"],
        vec![
            Box::new(move |store| {
                store.workers.at_mut(worker(store, "w2")).claims.pop_first();
            }),
            Box::new(move |store| in_hand(store, worker(store, "w2"), of(store, "waits"))),
            Box::new(move |store| in_hand(store, worker(store, "w4"), of(store, "taken"))),
            // Another's order, another's token.
            Box::new(move |store| {
                let slot = of(store, "taken");
                store.extra_mut(slot).worker = Some(worker(store, "w4"));
            }),
            Box::new(|store| {
                let slot = of(store, "taken");
                store.extra_mut(slot).token += 100;
            }),
            Box::new(|store| {
                let slot = of(store, "taken");
                store.extra_mut(slot).worker = None;
            }),
        ],
    );
    let lost = |store: &mut Store| {
        let hash = store.hash(b"w2");
        store.worker_index.remove(hash, store.find_worker(b"w2").unwrap());
    };
    assert_eq!(found(lost), ["index w2 0/1"]);
    let idle = found(|store| {
        store.worker_or_new(b"idle");
    });
    assert_eq!(idle, ["index idle 0/1"]);
}

#[test]
fn groups_that_are_wrong_are_found() {
    let group = |store: &Store| store.find_group(b"g").unwrap();
    all_found(
        &["group", "queue"],
        vec![
            Box::new(move |store| store.groups.at_mut(group(store)).queue.head = of(store, "g2")),
            Box::new(move |store| store.groups.at_mut(group(store)).queue.tail = of(store, "g2")),
            Box::new(move |store| store.groups.at_mut(group(store)).queue = Queue::EMPTY),
            Box::new(|store| store.orders.at_mut(of(store, "g2")).next = NIL),
            Box::new(|store| store.orders.at_mut(of(store, "g3")).prev = of(store, "g1")),
            Box::new(|store| {
                // The right orders in the wrong order.
                let [g2, g3] = ["g2", "g3"].map(|id| store.orders.at(of(store, id)).entry());
                store.orders.at_mut(of(store, "g2")).set_entry(g3);
                store.orders.at_mut(of(store, "g3")).set_entry(g2);
            }),
        ],
    );
}

#[test]
fn work_in_a_slice_of_one_order_is_audited_while_it_goes_on() {
    // Every kind of work on orders that were counted, and on some that were not yet.
    for counted in 0..60 {
        let mut shop = rich();
        shop.store.audit_start();
        for _ in 0..counted {
            shop.store.audit_slice(1);
        }
        let script = [
            claim("w9", 3),
            fail("taken").token(0).note("x"),
            fail("due").note("x").fatal(),
            redrive("dies"),
            cancel("backs"),
            yield_all("w2"),
            advance("back", "picked"),
            sweep(u64::MAX),
        ];
        for command in script {
            let command = command.aimed(&shop.store);
            command.apply(&mut shop.store, shop.now + 500, &mut Effects::default()).unwrap();
        }
        while !audit_on(&mut shop.store, 7) {}
    }
}

#[test]
fn a_worker_with_many_orders_in_hand_is_audited_in_slices_too() {
    let (mut store, mut fx) = (Store::new(1), Effects::default());
    set("tea", 10_000).apply(&mut store, START, &mut fx).unwrap();
    for i in 0..3_000 {
        place(&format!("o{i}"), "ann", &[("tea", 1)]).apply(&mut store, START, &mut fx).unwrap();
    }
    for _ in 0..3 {
        claim("w", 1_000).apply(&mut store, START, &mut fx).unwrap();
    }
    let slices = |store: &mut Store| {
        store.audit_start();
        std::iter::from_fn(|| store.audit_slice(100).is_none().then_some(())).count()
    };
    // The orders themselves, what the worker has, and what gets late: thirty slices each.
    assert!(slices(&mut store) > 90);
    let lost = store.find_order(b"o1500").unwrap();
    store.extra_mut(lost).token += 1;
    let names: Vec<_> = audited(&mut store, 100).into_iter().map(|d| (d.what, d.id)).collect();
    assert_eq!(names, vec![("worker", Box::from(&b"o1500"[..])); 2], "by its own word, and by the worker's");
}
