//! The audit: silent while the books balance, whatever goes on meanwhile, and never silent when they do not.

use proptest::prelude::*;

use crate::record::customer::{UnitChange, UnitChanges};
use crate::record::due::DueKey;
use crate::record::group::OrderList;
use crate::record::order::{Claimed, Position, Stage};
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
use crate::store::Store;
use crate::store::queue::Turn;
use crate::store::waitlist::Came;
use crate::terms::streams::EntryId;

/// A place in a line that no order has.
fn came(seq: u64) -> Came {
    Came { seq, kept_free: EntryId::default() }
}

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
    assert_eq!(found(|store| store.shelf.break_sku(0).held += 1), [format!("held tea {}/{held}", held + 1)]);
    assert_eq!(found(|store| store.shelf.break_sku(0).sold -= 1), [format!("sold tea {}/{sold}", sold - 1)]);
    assert_eq!(
        found(|store| store.shelf.break_sku(0).on_hand += 3),
        [format!("on-hand tea {}/{on_hand}", on_hand + 3)]
    );
    assert_eq!(
        found(|store| store.shelf.break_sku(0).received -= 3),
        [format!("on-hand tea {on_hand}/{}", on_hand - 3)]
    );
    assert!(found(|store| store.shelf.break_sku(0).past += 1)[0].starts_with("sold tea "));
    // One SKU's units counted for another.
    let both = found(|store| {
        let all = store.shelf.at(0).held + store.shelf.at(1).held;
        (store.shelf.break_sku(0).held, store.shelf.break_sku(1).held) = (0, all);
    });
    assert_eq!(both.len(), 2, "{both:?}");
}

#[test]
fn a_waitlist_that_is_wrong_is_found() {
    let rare = |store: &Store| store.shelf.find(b"rare").unwrap();
    let waiting = found(|store| store.shelf.break_sku(rare(store)).waiting += 1);
    assert_eq!(waiting, ["waiting rare 4/3"]);
    let aside = found(|store| store.shelf.break_sku(rare(store)).aside += 1);
    assert_eq!(aside, ["held rare 3/4", "waiting rare 3/2", "waitlist rare 0/1"]);
    let available = found(|store| {
        let slot = rare(store);
        let sku = store.shelf.break_sku(slot);
        (sku.on_hand, sku.received) = (sku.on_hand + 1, sku.received + 1);
    });
    assert_eq!(available, ["waitlist rare 0/1"], "somebody waits for what is available");
    let missing = found(|store| {
        let slot = store.orders.find(b"lacks").unwrap();
        let Stage::Waitlisted(waitlisted) = &mut store.orders.break_order(slot).1.stage else { panic!("it waits") };
        waitlisted.missing[0].qty += 1;
    });
    assert_eq!(missing, ["held rare 3/2", "waiting rare 3/4"]);
    assert_eq!(found(|store| *store.orders.broken().unlisted += 1), ["stream orders 7/6"]);
    let lost = found(|store| store.waitlist.broken().clear());
    assert_eq!(
        lost,
        ["lacks", "lacks-2", "big", "big-too", " 0/4"].map(|id| match id {
            " 0/4" => "waitlist  0/4".to_string(),
            id => format!("waitlist {id} 0/1"),
        })
    );
    let stray = found(|store| assert_eq!(store.waitlist.broken().insert((0, came(1)), 0), None));
    assert_eq!(stray, ["waitlist  5/4"]);
    let turn = found(|store| assert!(store.waitlist.broken_turns().insert((came(1), 0))));
    assert!(turn.contains(&"waitlist  0/1".to_string()), "{turn:?}");
}

#[test]
fn holds_that_are_wrong_are_found() {
    let slot = |store: &Store, id: &[u8]| store.holds.find(id).unwrap();
    let left = found(|store| {
        let slot = slot(store, b"live");
        store.holds.broken().0.at_mut(slot).items[0].left -= 1;
    });
    assert!(left[0].starts_with("held tea ") && left[1].starts_with("customer cyd "), "{left:?}");
    let committed = found(|store| {
        let slot = slot(store, b"sold");
        store.holds.broken().0.at_mut(slot).items[0].committed += 1;
    });
    assert!(committed[0].starts_with("sold milk "), "{committed:?}");
    found(|store| {
        let slot = slot(store, b"free");
        store.holds.broken().0.at_mut(slot).state = HoldState::Released;
    });
    assert_eq!(found(|store| *store.holds.broken().1 += 1), ["holds live 3/2"]);
}

#[test]
fn orders_that_are_wrong_are_found() {
    let slot = |store: &Store, id: &[u8]| store.orders.find(id).unwrap();
    for state in [OrderState::Cancelled, OrderState::Completed, OrderState::Dead] {
        let wrong = found(|store| {
            let slot = slot(store, b"waits");
            store.orders.break_order(slot).0.set_state(state);
        });
        assert!(wrong.iter().any(|text| text.starts_with("held tea ")), "{wrong:?}");
        assert!(wrong.iter().any(|text| text.starts_with("orders queued ")), "{wrong:?}");
    }
    found(|store| {
        let slot = slot(store, b"done");
        store.orders.break_order(slot).1.seldom_mut().returns.as_mut().unwrap().units[0] += 1;
    });
    assert_eq!(found(|store| store.orders.broken().by_state[OrderState::Dead as usize] += 1)[0], "orders dead 2/1");
}

#[test]
fn customers_that_are_wrong_are_found() {
    let (tea, milk) = (0, 1);
    let change = |units: &'static [(u32, i64, i64)]| {
        move |store: &mut Store| {
            let slot = store.customers.find(b"ann").unwrap();
            let changes: UnitChanges =
                units.iter().map(|(sku, units, past)| UnitChange { sku: *sku, units: *units, past: *past }).collect();
            store.customers.change(slot, 0, &changes);
        }
    };
    assert!(found(change(&[(0, 1, 0)]))[0].starts_with("customer ann "));
    assert!(found(change(&[(1, -1, 0)]))[0].starts_with("customer ann "));
    assert!(found(change(&[(0, 0, 1)]))[0].starts_with("customer ann "));
    assert!(found(change(&[(0, 1, 0), (1, -1, 0)]))[0].starts_with("customer by SKU ann "), "{tea} and {milk}");
    let gone = found(|store| {
        let slot = store.customers.find(b"ann").unwrap();
        store.customers.lose(slot);
    });
    assert!(gone.iter().any(|text| text.starts_with("customer of-hold 0/1")), "{gone:?}");
    let lent = found(|store| {
        let (bob, slot) = (store.customers.find(b"bob").unwrap(), store.orders.find(b"of-hold").unwrap());
        store.orders.break_order(slot).0.customer = bob;
    });
    assert_eq!(lent.len(), 2, "{lent:?}");
}

/// A way to break a store.
type Break = Box<dyn Fn(&mut Store)>;

#[test]
fn a_queue_that_is_broken_is_found() {
    let first = |store: &Store| store.queue.fifo().head;
    let second = |store: &Store| store.orders.at(store.queue.fifo().head).next;
    let breaks: Vec<Break> = vec![
        Box::new(|store| store.queue.broken().fifo.head = store.queue.fifo().tail),
        Box::new(|store| store.queue.broken().fifo.tail = store.queue.fifo().head),
        Box::new(|store| store.queue.broken().fifo.head = NIL),
        Box::new(|store| store.queue.broken().fifo.tail = NIL),
        Box::new(move |store| {
            let slot = first(store);
            store.orders.break_order(slot).0.next = NIL;
        }),
        Box::new(move |store| {
            let slot = second(store);
            store.orders.break_order(slot).0.prev = NIL;
        }),
        Box::new(move |store| {
            let slot = second(store);
            store.orders.break_order(slot).0.next = slot;
        }),
        // Taken out of the queue, and nowhere else.
        Box::new(move |store| {
            let s = second(store);
            store.queue.withdraw(&mut store.orders, s)
        }),
        // The right orders in the wrong order.
        Box::new(move |store| {
            let slot = first(store);
            store.queue.withdraw(&mut store.orders, slot);
            store.queue.enqueue(&mut store.orders, slot);
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
    let slot = shop.store.orders.find(b"o").unwrap();
    *shop.store.queue.broken().fifo = OrderList { head: slot, tail: slot };
    assert_eq!(audited(&mut shop.store, 10).len(), 2);
}

#[test]
fn what_will_never_be_due_is_found() {
    for at in 0..rich().store.agenda.broken().len() {
        let lost = found(|store| {
            let due = store.agenda.broken();
            let key = *due.keys().nth(at).unwrap();
            due.remove(&key);
        });
        assert!(lost.iter().all(|text| text.starts_with("due ")), "{lost:?}");
        let moved = found(|store| {
            let all = store.agenda.broken();
            let key = *all.keys().nth(at).unwrap();
            let due = all.remove(&key).unwrap();
            all.insert(DueKey { at: key.at + 1, seq: key.seq }, due);
        });
        assert!(moved.iter().all(|text| text.starts_with("due ")), "{moved:?}");
    }
}

#[test]
fn an_ended_order_that_will_never_be_forgotten_is_found() {
    let wrong = found(|store| {
        let slot = store.orders.find(b"done").unwrap();
        let ended = store.orders.break_order(slot).0;
        assert_eq!(ended.position, Position::Ended);
        (ended.prev, ended.next) = (slot, slot);
    });
    assert!(wrong.iter().any(|text| text.starts_with("due ")), "{wrong:?}");
}

#[test]
fn what_cannot_be_found_by_its_id_is_found() {
    let order = found(|store| {
        let slot = store.orders.find(b"waits").unwrap();
        store.orders.broken().table.lose(slot);
    });
    assert_eq!(order, ["index waits 0/1"]);
    let hold = found(|store| {
        let slot = store.holds.find(b"live").unwrap();
        store.holds.broken().0.lose(slot);
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
    store.orders.find(id.as_bytes()).unwrap()
}

#[test]
fn ready_orders_that_are_wrong_are_found() {
    all_found(
        &["queue"],
        vec![
            Box::new(|store| {
                store.queue.broken().ready.pop_first();
            }),
            Box::new(|store| store.queue.broken().ready.clear()),
            // One at another's place, one at two places, one that a worker has, one that is not the first of its group.
            Box::new(|store| {
                let (place, slot) = store.queue.broken().ready.pop_first().unwrap();
                store.queue.broken().ready.insert(place.next(0), slot);
            }),
            Box::new(|store| {
                let (place, slot) =
                    store.queue.broken().ready.last_key_value().map(|(place, slot)| (*place, *slot)).unwrap();
                store.queue.broken().ready.insert(place.next(0), slot);
                store.orders.break_order(slot).0.position = Position::None;
            }),
            Box::new(|store| {
                let slot = of(store, "back");
                store.queue.broken().ready.insert(EntryId { ms: 1, seq: 1 }, slot);
            }),
            Box::new(|store| {
                let slot = of(store, "taken");
                store.queue.broken().ready.insert(EntryId { ms: 1, seq: 1 }, slot);
            }),
            Box::new(|store| {
                let slot = of(store, "g2");
                store.queue.broken().ready.insert(EntryId { ms: 1, seq: 1 }, slot);
            }),
            Box::new(|store| {
                let slot = of(store, "taken");
                store.queue.offer(&mut store.orders, slot);
            }),
            Box::new(|store| store.orders.break_order(of(store, "g2")).0.position = Position::Ready),
            Box::new(|store| store.orders.break_order(of(store, "back")).0.position = Position::InGroup),
            Box::new(|store| {
                let slot = of(store, "h1");
                store.queue.withdraw(&mut store.orders, slot);
            }),
        ],
    );
}

#[test]
fn lanes_that_are_wrong_are_found() {
    let lane = |store: &Store, id: &[u8]| store.orders.lanes().find(id).unwrap();
    all_found(
        &["queue", "lane"],
        vec![
            Box::new(|store| store.queue.broken().turns.broken().clear()),
            Box::new(|store| {
                let turns = store.queue.broken().turns;
                let (turn, lane) = turns.broken().pop_back().unwrap();
                let Turn::Queued(id) = turn else { panic!("the last lane has no due retry") };
                turns.insert(Turn::Queued(id.next(0)), lane);
            }),
            Box::new(|store| {
                store.queue.broken().turns.insert(Turn::Queued(EntryId { ms: 1, seq: 1 }), 99);
            }),
            Box::new(|store| drop(store.queue.broken().lanes.pop_first())),
            Box::new(|store| {
                let line = store.queue.broken().lanes.pop_first().unwrap().1;
                store.queue.broken().lanes.insert(99, line);
            }),
            // In the list of another lane, in no list, at two places.
            Box::new(move |store| {
                let to = lane(store, b"slow");
                store.orders.break_order(of(store, "fast-1")).1.break_lane(Some(to));
            }),
            Box::new(|store| store.orders.break_order(of(store, "fast-1")).1.break_lane(None)),
            Box::new(|store| store.orders.break_order(of(store, "fast-1")).0.position = Position::Fifo),
            Box::new(|store| {
                let slot = of(store, "slow-2");
                store.queue.withdraw(&mut store.orders, slot);
            }),
            Box::new(|store| {
                let slot = of(store, "slow-2");
                store.queue.offer(&mut store.orders, slot);
            }),
            // What is counted.
            Box::new(move |store| {
                let slot = lane(store, b"fast");
                store.orders.broken().lanes.broken().0.at_mut(slot).by_state[0] += 1;
            }),
            Box::new(|store| {
                store.orders.broken().lanes.broken().1.insert(77);
            }),
        ],
    );
    all_found(
        &["index"],
        vec![
            Box::new(move |store| {
                let slot = lane(store, b"fast");
                store.orders.broken().lanes.broken().0.lose(slot);
            }),
            Box::new(|store| store.orders.broken().lanes.broken().1.clear()),
        ],
    );
}

#[test]
fn due_retries_that_are_wrong_are_found() {
    all_found(
        &["queue"],
        vec![
            Box::new(|store| store.queue.broken().retries.clear()),
            Box::new(|store| {
                let (since, slot) = store.queue.broken().retries.pop_first().unwrap();
                store.queue.broken().retries.insert(DueKey { at: since.at + 1, seq: since.seq }, slot);
            }),
            Box::new(|store| {
                let slot = of(store, "due");
                store.queue.broken().retries.insert(DueKey { at: 1, seq: 1 }, slot);
            }),
            Box::new(|store| {
                let slot = of(store, "backs");
                store.queue.broken().retries.insert(DueKey { at: 1, seq: 1 }, slot);
            }),
            Box::new(|store| {
                let slot = of(store, "worked");
                store.queue.broken().retries.insert(DueKey { at: 1, seq: 1 }, slot);
            }),
            Box::new(|store| {
                let slot = of(store, "due");
                store.queue.withdraw(&mut store.orders, slot);
            }),
        ],
    );
    all_found(
        &["stream"],
        vec![
            Box::new(|store| *store.orders.broken().retry_entries += 1),
            Box::new(|store| *store.orders.broken().retry_entries = 0),
            Box::new(|store| *store.orders.broken().unlisted += 1),
            Box::new(|store| *store.orders.broken().unlisted = 0),
        ],
    );
    all_found(
        &["due", "state", "queue"],
        vec![Box::new(|store| {
            let slot = of(store, "checked");
            store.orders.break_order(slot).1.stage = Stage::Queued;
        })],
    );
    all_found(
        &["due", "queue"],
        vec![Box::new(|store| {
            let slot = of(store, "due");
            store.orders.break_order(slot).1.stage = Stage::Queued;
        })],
    );
}

#[test]
fn what_would_never_be_late_is_found() {
    // Everything that stands beside the line was late in there: one that was not is `g4`.
    all_found(
        &["late"],
        vec![
            Box::new(|store| store.queue.broken().aging.clear()),
            Box::new(|store| {
                let ((at, place), slot) = store.queue.broken().aging.pop_first().unwrap();
                store.queue.broken().aging.insert((at + 1, place), slot);
            }),
            Box::new(|store| store.orders.break_order(of(store, "g1")).0.late = false),
            Box::new(|store| store.orders.break_order(of(store, "g4")).0.late = true),
            Box::new(|store| {
                let slot = of(store, "g1");
                store.queue.broken().aging.insert((1, EntryId::default()), slot);
            }),
            Box::new(|store| {
                let slot = of(store, "g4");
                store.queue.broken().aging.insert((1, EntryId::default()), slot);
            }),
            Box::new(|store| {
                let slot = of(store, "dies");
                store.queue.broken().aging.insert((1, EntryId::default()), slot);
            }),
        ],
    );
}

#[test]
fn dead_orders_that_are_wrong_are_found() {
    all_found(
        &["due", "orders"],
        vec![
            Box::new(|store| store.orders.broken().dead.clear()),
            Box::new(|store| {
                let (place, slot) = store.orders.broken().dead.pop_first().unwrap();
                store.orders.broken().dead.insert(place + 1, slot);
            }),
            Box::new(|store| {
                let slot = of(store, "waits");
                store.orders.broken().dead.insert(1, slot);
            }),
            Box::new(|store| {
                let slot = of(store, "dies");
                store.orders.broken().dead.insert(1, slot);
            }),
        ],
    );
}

/// The claim of an order, to be broken.
fn claimed(store: &mut Store, slot: u32) -> &mut Claimed {
    match &mut store.orders.break_order(slot).1.stage {
        Stage::Claimed(claimed) => claimed,
        other => panic!("it is {other:?}"),
    }
}

fn in_hand(store: &mut Store, worker: u32, order: u32) {
    store.workers.broken().at_mut(worker).claims.insert(5, order);
}

#[test]
fn workers_that_are_wrong_are_found() {
    let worker = |store: &Store, id: &str| store.workers.find(id.as_bytes()).unwrap();
    all_found(
        &["worker"],
        vec![
            Box::new(move |store| {
                let slot = worker(store, "w2");
                store.workers.broken().at_mut(slot).claims.pop_first();
            }),
            Box::new(move |store| in_hand(store, worker(store, "w2"), of(store, "waits"))),
            Box::new(move |store| in_hand(store, worker(store, "w4"), of(store, "taken"))),
            // Another's order, another's token.
            Box::new(move |store| {
                let slot = of(store, "taken");
                let w4 = worker(store, "w4");
                claimed(store, slot).worker = w4;
            }),
            Box::new(|store| {
                let slot = of(store, "taken");
                claimed(store, slot).token += 100;
            }),
        ],
    );
    let lost = |store: &mut Store| {
        let slot = store.workers.find(b"w2").unwrap();
        store.workers.broken().lose(slot);
    };
    assert_eq!(found(lost), ["index w2 0/1"]);
    let idle = found(|store| {
        store.workers.find_or_add(b"idle");
    });
    assert_eq!(idle, ["index idle 0/1"]);
}

#[test]
fn groups_that_are_wrong_are_found() {
    let group = |store: &Store| store.queue.find_group(b"g").unwrap();
    all_found(
        &["group", "queue"],
        vec![
            Box::new(move |store| {
                let (group, slot) = (group(store), of(store, "g2"));
                store.queue.broken().groups.at_mut(group).orders.head = slot;
            }),
            Box::new(move |store| {
                let (group, slot) = (group(store), of(store, "g2"));
                store.queue.broken().groups.at_mut(group).orders.tail = slot;
            }),
            Box::new(move |store| {
                let group = group(store);
                store.queue.broken().groups.at_mut(group).orders = OrderList::EMPTY;
            }),
            Box::new(|store| store.orders.break_order(of(store, "g2")).0.next = NIL),
            Box::new(|store| store.orders.break_order(of(store, "g3")).0.prev = of(store, "g1")),
            Box::new(|store| {
                // The right orders in the wrong order.
                let [g2, g3] = ["g2", "g3"].map(|id| store.orders.at(of(store, id)).entry());
                store.orders.break_order(of(store, "g2")).0.set_entry(g3);
                store.orders.break_order(of(store, "g3")).0.set_entry(g2);
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
    let lost = store.orders.find(b"o1500").unwrap();
    claimed(&mut store, lost).token += 1;
    let names: Vec<_> = audited(&mut store, 100).into_iter().map(|d| (d.what, d.id)).collect();
    assert_eq!(names, vec![("worker", Box::from(&b"o1500"[..])); 2], "by its own word, and by the worker's");
}
