//! Images from anyone: refused, or a store like any other. Never a panic, never memory on the word of a count.

use proptest::prelude::*;
use proptest::sample::Index;

use super::forge::{body, live_on, rich, sealed};
use super::generate::{Step, cases, steps};
use super::shop::{START, loaded, saved};
use crate::base::packed::{put, put_bytes};
use crate::base::units::MAX_QUANTITY;
use crate::record::order::{Extra, ReturnEvent, Returns};
use crate::store::Store;
use crate::terms::effects::Effects;
use crate::terms::states::HoldState;
use crate::terms::states::OrderState;
use crate::terms::streams::EntryId;

/// Loads pieces; what loads has to live on. Says whether it loaded.
fn tried(pieces: &[Vec<u8>], why: &str) -> bool {
    match loaded(pieces, 77) {
        Ok(store) => {
            live_on(store, why);
            true
        }
        Err(_) => false,
    }
}

#[test]
fn an_image_that_is_cut_anywhere_is_refused() {
    let pieces = saved(&rich().store);
    for (i, piece) in pieces.iter().enumerate() {
        for cut in 0..piece.len() {
            let mut short = pieces[..i].to_vec();
            short.push(piece[..cut].to_vec());
            assert!(!tried(&short, "cut at the end"), "piece {i} at {cut}");
            short.extend_from_slice(&pieces[i + 1..]);
            assert!(!tried(&short, "cut within"), "piece {i} at {cut}");
        }
    }
}

#[test]
fn an_image_that_is_cut_and_sealed_anew_is_refused_or_lives() {
    let pieces = body(&rich().store);
    for (i, piece) in pieces.iter().enumerate() {
        for cut in 0..piece.len() {
            let mut short = pieces.clone();
            short[i].truncate(cut);
            tried(&sealed(short), &format!("piece {i} cut at {cut}"));
        }
    }
}

#[test]
fn an_image_with_any_bit_flipped_is_refused_or_lives() {
    let pieces = body(&rich().store);
    let (mut all, mut loads) = (0, 0);
    for (i, piece) in pieces.iter().enumerate() {
        // Two or three bits of every byte.
        for bit in (0..piece.len() * 8).step_by(3) {
            let mut broken = pieces.clone();
            broken[i][bit / 8] ^= 1 << (bit % 8);
            all += 1;
            loads += usize::from(tried(&sealed(broken), &format!("bit {bit} of piece {i}")));
        }
    }
    // Some flips only change a count or a text: they have to reach the commands behind the loader.
    assert!(all > 5_000 && loads > all / 10 && loads < all, "{loads} of {all} loaded");
}

#[test]
fn pieces_that_are_doubled_left_out_or_swapped_are_refused_or_live() {
    let pieces = body(&rich().store);
    for i in 0..pieces.len() {
        let mut doubled = pieces.clone();
        doubled.insert(i, pieces[i].clone());
        assert!(!tried(&sealed(doubled), "doubled"), "piece {i} twice");
        let mut without = pieces.clone();
        without.remove(i);
        tried(&sealed(without), &format!("without piece {i}"));
        for j in 0..i {
            let mut swapped = pieces.clone();
            swapped.swap(i, j);
            assert!(!tried(&sealed(swapped), "swapped"), "pieces {j} and {i} swapped");
        }
    }
    let mut behind = sealed(pieces.clone());
    behind.push(pieces[0].clone());
    assert!(!tried(&behind, "behind the end"));
    assert!(!tried(&sealed(Vec::new()), "nothing but an end"));
}

#[test]
fn an_image_with_any_number_made_huge_is_refused_or_lives() {
    // Wherever a number is, it is taken for a count, a length, a slot, a time or a quantity.
    let pieces = body(&rich().store);
    for (huge, parity) in [(u64::MAX, 0), (u64::from(u32::MAX), 0), (1 << 40, 1), (MAX_QUANTITY, 1)] {
        let mut number = Vec::new();
        put(&mut number, huge);
        for (i, piece) in pieces.iter().enumerate() {
            // Every place sees two of them.
            for at in (1..piece.len()).filter(|at| at % 2 == parity) {
                let mut broken = pieces.clone();
                broken[i].splice(at..=at, number.iter().copied());
                tried(&sealed(broken), &format!("{huge} at {at} of piece {i}"));
            }
        }
    }
}

#[test]
fn slots_that_are_named_and_vacant_take_no_memory() {
    let mut pieces = body(&rich().store);
    let customers = pieces.iter_mut().find(|piece| piece[0] == 3).expect("customers are section 3");
    customers.extend_from_slice(&vec![0; 1 << 20]);
    let store = loaded(&sealed(pieces), 1).expect("vacant slots are nothing bad");
    assert_eq!(u64::from(store.customers.end()), store.info(0).customers);
    live_on(store, "a million vacant slots");
}

proptest! {
    #![proptest_config(cases(400))]

    /// Bytes changed, cut out, doubled and moved within the records; what loads goes on with random commands.
    #[test]
    fn an_image_that_is_cut_up_and_put_together_is_refused_or_lives(
        edits in proptest::collection::vec((any::<Index>(), any::<Index>(), 0usize..12, 0u8..5, any::<u8>()), 1..4),
        steps in steps(30),
    ) {
        let mut pieces = body(&rich().store);
        for (piece, at, len, kind, byte) in edits {
            let piece = piece.index(pieces.len());
            edit(&mut pieces[piece], at, len, kind, byte);
        }
        if let Ok(mut store) = loaded(&sealed(pieces), 5) {
            let mut now = START;
            for step in &steps {
                if let Step::Call(ms, command) = step {
                    now = now.saturating_add_signed(*ms);
                    let _ = command.clone().aimed(&store).apply(&mut store, now, &mut Effects::default());
                }
            }
            live_on(store, "edited");
        }
    }
}

fn edit(piece: &mut Vec<u8>, at: Index, len: usize, kind: u8, byte: u8) {
    if piece.len() < 2 {
        return;
    }
    let at = 1 + at.index(piece.len() - 1);
    let to = (at + len).min(piece.len());
    let part = piece[at..to].to_vec();
    match kind {
        0 => piece[at] = byte,
        1 => piece[at] = piece[at].wrapping_add(1),
        2 => drop(piece.drain(at..to)),
        3 => drop(piece.splice(at..at, part)),
        _ => piece.extend_from_slice(&part),
    }
}

/// A store that has everything, broken on purpose and saved.
fn broken(breaking: impl FnOnce(&mut Store)) -> Vec<Vec<u8>> {
    let mut shop = rich();
    breaking(&mut shop.store);
    saved(&shop.store)
}

/// The image must not load.
#[track_caller]
fn refused(what: &str, breaking: impl FnOnce(&mut Store)) {
    if let Ok(store) = loaded(&broken(breaking), 1) {
        live_on(store, what);
        panic!("{what}: loads");
    }
}

#[test]
fn a_hold_that_cannot_be_is_refused() {
    let slot = |store: &Store, id: &[u8]| store.find_hold(id).unwrap();
    refused("a live hold that has nothing left", |store| {
        let slot = slot(store, b"free");
        store.holds.at_mut(slot).items[0].left = 0;
    });
    refused("an item of no units", |store| {
        let slot = slot(store, b"live");
        let item = &mut store.holds.at_mut(slot).items[1];
        (item.qty, item.left) = (0, 0);
    });
    refused("more left than reserved", |store| {
        let slot = slot(store, b"live");
        store.holds.at_mut(slot).items[1].left += 1;
    });
    refused("an ended hold with units left", |store| {
        let slot = slot(store, b"left");
        store.holds.at_mut(slot).items[0].left = 1;
    });
    refused("another's place", |store| {
        let (from, to) = (slot(store, b"live"), slot(store, b"free"));
        store.holds.at_mut(to).place = store.holds.at(from).place;
    });
    refused("no items", |store| {
        let slot = slot(store, b"live");
        store.holds.at_mut(slot).items.clear();
    });
    refused("an order's state without an order's end", |store| {
        let slot = slot(store, b"sold");
        store.holds.at_mut(slot).state = HoldState::Live;
    });
}

#[test]
fn an_order_that_cannot_be_is_refused() {
    let slot = |store: &Store, id: &[u8]| store.find_order(id).unwrap();
    refused("returns of an order that waits", |store| {
        let slot = slot(store, b"waits");
        store.extra_mut(slot).returns = Some(Box::new(Returns::new(vec![1, 0], (0, 0))));
    });
    refused("returns of an order that was cancelled", |store| {
        let slot = slot(store, b"no");
        let returns = store.extra_mut(slot).returns.get_or_insert_default();
        returns.push(ReturnEvent { at: 1, units: 1, scrap: false });
    });
    refused("more returned than was sold", |store| {
        let slot = slot(store, b"done");
        store.extra_mut(slot).returns.as_mut().unwrap().units[0] = 4;
    });
    refused("another's place in the queue", |store| {
        let entry = store.orders.at(slot(store, b"waits")).entry();
        let slot = slot(store, b"of-hold");
        store.extra_mut(slot).queued_as = Some(entry);
    });
    refused("an entry behind the stream's last", |store| {
        let slot = slot(store, b"waits");
        let entry = store.last.orders.next(0);
        store.orders.at_mut(slot).set_entry(entry);
    });
    refused("a place in the queue behind the stream's last", |store| {
        let slot = slot(store, b"waits");
        store.extra_mut(slot).queued_as = Some(store.last.orders.next(0));
    });
    refused("an entry of its end behind the stream's last", |store| {
        let slot = slot(store, b"done");
        store.extra_mut(slot).complete = store.last.complete.next(0);
    });
    refused("the place of a hold", |store| {
        let place = store.holds.at(store.find_hold(b"live").unwrap()).place;
        let slot = slot(store, b"done");
        store.extra_mut(slot).due_place = place;
    });
    refused("a place that nothing has had yet", |store| {
        let slot = slot(store, b"done");
        store.extra_mut(slot).due_place = store.places + 1;
    });
    refused("place 0", |store| {
        let slot = slot(store, b"done");
        store.extra_mut(slot).due_place = 0;
    });
    refused("the end of an order that waits", |store| {
        let slot = slot(store, b"waits");
        store.extra_mut(slot).ended_at = 5;
    });
    refused("completed without an end", |store| {
        let slot = slot(store, b"waits");
        store.orders.at_mut(slot).set_state(OrderState::Completed);
    });
}

/// What few orders have, of the order of an id.
fn extra<'a>(store: &'a mut Store, id: &str) -> &'a mut Extra {
    let slot = store.find_order(id.as_bytes()).unwrap();
    store.extra_mut(slot)
}

fn state(store: &mut Store, id: &str, state: OrderState) {
    let slot = store.find_order(id.as_bytes()).unwrap();
    store.orders.at_mut(slot).set_state(state);
}

#[test]
fn an_order_whose_work_cannot_be_is_refused() {
    refused("waits, and under a token", |store| extra(store, "back").token = 1);
    refused("waits, and has a deadline", |store| extra(store, "back").due_at = 1);
    refused("waits, and has a deadline's place", |store| extra(store, "back").due_place = 1);
    refused("waits, and is a retry", |store| extra(store, "back").retry = Some((1, 1)));
    refused("waits, and is in a worker's hands", |store| {
        let worker = store.find_worker(b"w2");
        extra(store, "back").worker = worker;
    });
    refused("claimed by nobody", |store| extra(store, "taken").worker = None);
    refused("claimed under no token", |store| extra(store, "taken").token = 0);
    refused("claimed for ever", |store| extra(store, "taken").due_at = 0);
    refused("claimed under another's token", |store| {
        let token = extra(store, "worked").token;
        extra(store, "taken").token = token;
    });
    refused("claimed under a token to come", |store| extra(store, "taken").token = store.last_token + 1);
    refused("completed under a token to come", |store| extra(store, "done").token = store.last_token + 1);
    refused("completed with a token to come", |store| extra(store, "swift").next_token = store.last_token + 1);
    refused("failed under a token to come", |store| {
        let token = store.last_token + 1;
        extra(store, "backs").failed.as_mut().unwrap().token = token;
    });
    refused("claimed at another's deadline", |store| {
        let place = extra(store, "worked").due_place;
        extra(store, "taken").due_place = place;
    });
    refused("claimed, a retry, and no entry of it", |store| extra(store, "worked").side = EntryId::default());
    refused("claimed, no retry, and an entry of one", |store| extra(store, "worked").retry = None);
    refused("claimed and ended", |store| extra(store, "taken").ended_at = 1);
    refused("in backoff under a token", |store| extra(store, "backs").token = 1);
    refused("in backoff for ever", |store| extra(store, "backs").due_at = 0);
    refused("in backoff at no place", |store| extra(store, "backs").due_place = 0);
    refused("in backoff and due", |store| {
        let side = store.last.retry;
        let backs = extra(store, "backs");
        (backs.retry, backs.side) = (Some((1, 1)), side);
    });
    refused("due, and in backoff", |store| extra(store, "due").due_at = 1);
    refused("due at another's place", |store| {
        let place = extra(store, "backs").due_place;
        extra(store, "due").retry = Some((1, place));
    });
    refused("due at no place", |store| extra(store, "due").retry = Some((1, 0)));
    refused("due at a place to come", |store| extra(store, "due").retry = Some((1, store.places + 1)));
    refused("due, and its entry to come", |store| extra(store, "due").side = store.last.retry.next(0));
    refused("retrying and neither due nor not", |store| {
        let due = extra(store, "due");
        (due.retry, due.side) = (None, EntryId::default());
    });
}

#[test]
fn an_order_whose_end_cannot_be_is_refused() {
    refused("dead under a token", |store| extra(store, "dies").token = 1);
    refused("dead and due", |store| extra(store, "dies").due_at = 1);
    refused("dead and a retry", |store| extra(store, "dies").retry = Some((1, 1)));
    refused("dead at no place", |store| extra(store, "dies").due_place = 0);
    refused("dead at a place to come", |store| extra(store, "dies").due_place = store.places + 1);
    refused("dead without an entry", |store| extra(store, "dies").side = EntryId::default());
    refused("dead, and its entry to come", |store| extra(store, "dies").side = store.last.dead.next(0));
    refused("dead and ended", |store| extra(store, "dies").ended_at = 1);
    refused("dead and something came back", |store| {
        extra(store, "dies").returns = Some(Box::new(Returns::new(vec![1], (0, 0))));
    });
    refused("dead before it was completed", |store| extra(store, "done").was_dead = true);
    refused("dead before it was dead", |store| extra(store, "dies").was_dead = true);
    refused("completed and a retry", |store| extra(store, "done").retry = Some((1, 1)));
    refused("completed and an entry beside", |store| extra(store, "done").side = store.last.retry);
    refused("completed and never forgotten", |store| extra(store, "done").due_at = 0);
    refused("cancelled under a token", |store| extra(store, "no").token = 1);
    refused("cancelled and never forgotten", |store| extra(store, "never").due_at = 0);
    refused("cancelled and an entry beside", |store| extra(store, "never").side = store.last.dead);
    refused("placed at a time past all times", |store| extra(store, "dies").placed_at = Some(2 * MAX_QUANTITY + 1));
    refused("first placed with an entry to come", |store| {
        extra(store, "again").first_entry = Some(store.last.orders.next(0));
    });
    refused("a step without a name", |store| extra(store, "waits").step.as_mut().unwrap().name = Box::default());
    for other in OrderState::ALL.into_iter().filter(|state| !matches!(state, OrderState::Queued)) {
        refused("of another state than what it has", |store| state(store, "waits", other));
    }
    for other in OrderState::ALL.into_iter().filter(|state| !matches!(state, OrderState::Claimed)) {
        refused("of another state than what it has", |store| state(store, "taken", other));
    }
    for other in OrderState::ALL.into_iter().filter(|state| !matches!(state, OrderState::Dead)) {
        refused("of another state than what it has", |store| state(store, "dies", other));
    }
    for other in OrderState::ALL.into_iter().filter(|state| !matches!(state, OrderState::Retrying)) {
        refused("of another state than what it has", |store| state(store, "backs", other));
        refused("of another state than what it has", |store| state(store, "due", other));
    }
}

#[test]
fn a_head_that_cannot_be_is_refused() {
    refused("so many places that the next ones would not load", |store| store.places = MAX_QUANTITY);
    refused("a token past all tokens", |store| store.last_token = MAX_QUANTITY + 1);
    refused("no token so far, and some were handed out", |store| store.last_token = 0);
    refused("no retry so far, and there is an entry of one", |store| store.last.retry = EntryId::default());
    refused("nothing died so far, and there is an entry of it", |store| store.last.dead = EntryId::default());
    refused("a time past all times", |store| store.now = MAX_QUANTITY + 1);
    refused("a window that closes before it opens", |store| {
        (store.settings.opens, store.settings.closes) = (50, 40);
    });
    refused("a setting out of range", |store| store.settings.keep_ms = 0);
    refused("a switch that is neither on nor off", |store| store.settings.paused = 2);
}

#[test]
fn sums_that_cannot_be_are_refused() {
    refused("more sold than all that ever came", |store| store.skus.at_mut(0).past = MAX_QUANTITY);
    refused("a count past the largest", |store| store.skus.at_mut(0).on_hand = MAX_QUANTITY + 1);
    refused("a SKU's on_hand and sold", |store| {
        let sku = store.skus.at_mut(0);
        sku.on_hand = MAX_QUANTITY - sku.sold + 1;
    });
}

#[test]
fn a_customer_that_nothing_needs_is_refused() {
    let customers = |records: &[(&str, &[(u64, u64)])]| {
        let mut pieces = body(&rich().store);
        let piece = pieces.iter_mut().find(|piece| piece[0] == 3).expect("customers are section 3");
        for (id, past) in records {
            put_bytes(piece, id.as_bytes());
            put(piece, past.len() as u64);
            for (sku, units) in *past {
                put(piece, *sku);
                put(piece, *units);
            }
        }
        sealed(pieces)
    };
    assert!(tried(&customers(&[("new", &[(0, 5)])]), "one of a forgotten sale"));
    assert!(!tried(&customers(&[("new", &[(0, 7)])]), "one of more than the forgotten sales"));
    assert!(!tried(&customers(&[("new", &[(0, 4)]), ("newer", &[(0, 3)])]), "two of more than that"));
    assert!(!tried(&customers(&[("new", &[])]), "one of nothing"));
    assert!(!tried(&customers(&[("new", &[(0, 0)])]), "one of no units"));
    assert!(!tried(&customers(&[("new", &[(0, 0), (1, 5)])]), "one of no units and some"));
    assert!(!tried(&customers(&[("new", &[(0, 1), (0, 1)])]), "one of a SKU twice"));
    assert!(!tried(&customers(&[("new", &[(0, MAX_QUANTITY), (1, 1)])]), "one of too many"));
    assert!(!tried(&customers(&[("new", &[(9, 1)])]), "one of a SKU that is not there"));
    assert!(!tried(&customers(&[("ann", &[(0, 1)])]), "one twice"));
}
