//! Images from anyone: refused, or a store like any other. Never a panic, never memory on the word of a count.

use std::borrow::Cow;

use proptest::prelude::*;
use proptest::sample::Index;

use super::forge::{body, live_on, rich, sealed};
use super::generate::{Step, cases, steps};
use super::shop::{START, loaded, saved};
use crate::base::packed::{put, put_bytes};
use crate::base::units::MAX_QUANTITY;
use crate::books::image::flat::Flat;
use crate::record::due::DueKey;
use crate::record::gate::{Gate, GateState};
use crate::record::returns::{EarlierReturns, ReturnEvent, Returns};
use crate::store::Store;
use crate::terms::effects::Effects;
use crate::terms::items::Units;
use crate::terms::states::HoldState;
use crate::terms::states::OrderState;
use crate::terms::streams::{EntryId, LastIds};

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
    assert_eq!(u64::from(store.customers.records().end()), store.info(0).customers);
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
    let slot = |store: &Store, id: &[u8]| store.holds.find(id).unwrap();
    refused("a live hold that has nothing left", |store| {
        let slot = slot(store, b"free");
        store.holds.broken().0.at_mut(slot).items[0].left = 0;
    });
    refused("an item of no units", |store| {
        let slot = slot(store, b"live");
        let item = &mut store.holds.broken().0.at_mut(slot).items[1];
        (item.qty, item.left) = (0, 0);
    });
    refused("more left than reserved", |store| {
        let slot = slot(store, b"live");
        store.holds.broken().0.at_mut(slot).items[1].left += 1;
    });
    refused("an ended hold with units left", |store| {
        let slot = slot(store, b"left");
        store.holds.broken().0.at_mut(slot).items[0].left = 1;
    });
    refused("another's place", |store| {
        let (from, to) = (slot(store, b"live"), slot(store, b"free"));
        let seq = store.holds.at(from).due.seq;
        store.holds.broken().0.at_mut(to).due.seq = seq;
    });
    refused("no items", |store| {
        let slot = slot(store, b"live");
        store.holds.broken().0.at_mut(slot).items.clear();
    });
    refused("an order's state without an order's end", |store| {
        let slot = slot(store, b"sold");
        store.holds.broken().0.at_mut(slot).state = HoldState::Live;
    });
}

/// An image of a store that has everything, in which an order has what no order can have, must not load. `edit` changes
/// what few orders have, as the image of this order says it.
#[track_caller]
fn refused_order(what: &str, id: &str, edit: impl Fn(&Known, &mut Flat<'_>)) {
    let store = rich().store;
    let known = Known::of(&store);
    let mut pieces = Vec::new();
    let only = |order: &[u8], flat: &mut Flat<'_>| {
        if order == id.as_bytes() {
            edit(&known, flat);
        }
    };
    store.save_edited(&mut |piece| pieces.push(piece.to_vec()), &only);
    assert_ne!(pieces, saved(&store), "{what}: nothing was changed");
    if let Ok(store) = loaded(&pieces, 1) {
        live_on(store, what);
        panic!("{what}: loads");
    }
}

/// What an image that cannot be takes from elsewhere in the store.
struct Known {
    last: LastIds,
    last_seq: u64,
    last_token: u64,
    /// The number of a hold's deadline.
    of_hold: u64,
    /// The token and the lease of a claimed order.
    worked: (u64, DueKey),
    /// When a retry is due.
    backs: DueKey,
    /// The entry of an order that waits.
    waits: EntryId,
}

impl Known {
    fn of(store: &Store) -> Known {
        let stage = |id: &[u8]| &store.orders.extra_at(store.orders.find(id).unwrap()).unwrap().stage;
        let worked = stage(b"worked").claimed().unwrap();
        Known {
            last: store.last,
            last_seq: store.agenda.last_seq(),
            last_token: store.workers.last_token(),
            of_hold: store.holds.at(store.holds.find(b"live").unwrap()).due.seq,
            worked: (worked.token, worked.lease),
            backs: stage(b"backs").due().unwrap(),
            waits: store.orders.at(store.orders.find(b"waits").unwrap()).entry(),
        }
    }
}

fn returns(units: Vec<u64>) -> Option<Cow<'static, Returns>> {
    Some(Cow::Owned(Returns::new(units, EarlierReturns::default())))
}

#[test]
fn an_order_that_cannot_be_is_refused() {
    refused_order("returns of an order that waits", "waits", |_, flat| flat.returns = returns(vec![1, 0]));
    refused_order("returns of an order that was cancelled", "no", |_, flat| {
        let mut back = Returns::default();
        back.push(ReturnEvent { at: 1, units: 1, scrap: false });
        flat.returns = Some(Cow::Owned(back));
    });
    refused_order("more returned than was sold", "done", |_, flat| flat.returns = returns(vec![4, 0]));
    refused_order("queued as another", "of-hold", |known, flat| flat.queued_as = known.waits);
    refused("an entry behind the stream's last", |store| {
        let slot = store.orders.find(b"waits").unwrap();
        let entry = store.last.orders.next(0);
        store.orders.break_order(slot).0.set_entry(entry);
    });
    refused_order("queued as one to come", "waits", |known, flat| flat.queued_as = known.last.orders.next(0));
    refused_order("an entry of its end to come", "done", |known, flat| flat.complete = known.last.complete.next(0));
    refused_order("the number of a hold", "done", |known, flat| flat.due.seq = known.of_hold);
    refused_order("a number that nothing has had yet", "done", |known, flat| flat.due.seq = known.last_seq + 1);
    refused_order("number 0", "done", |_, flat| flat.due.seq = 0);
    refused_order("the end of an order that waits", "waits", |_, flat| flat.ended_at = 5);
    refused_order("completed without an end", "waits", |_, flat| flat.state = OrderState::Completed);
}

#[test]
fn an_order_whose_work_cannot_be_is_refused() {
    let retry = DueKey { at: 1, seq: 1 };
    refused_order("waits, and under a token", "back", |_, flat| flat.token = 1);
    refused_order("waits, and has a deadline", "back", |_, flat| flat.due.at = 1);
    refused_order("waits, and has a deadline's number", "back", |_, flat| flat.due.seq = 1);
    refused_order("waits, and is a retry", "back", |_, flat| flat.retry = retry);
    refused_order("waits, and a worker has it", "back", |_, flat| flat.worker = b"w2");
    refused_order("claimed by nobody", "taken", |_, flat| flat.worker = b"");
    refused_order("claimed under no token", "taken", |_, flat| flat.token = 0);
    refused_order("claimed for ever", "taken", |_, flat| flat.due.at = 0);
    refused_order("claimed under another's token", "taken", |known, flat| flat.token = known.worked.0);
    refused_order("claimed under a token to come", "taken", |known, flat| flat.token = known.last_token + 1);
    refused_order("completed under a token to come", "done", |known, flat| flat.token = known.last_token + 1);
    refused_order("completed with a token to come", "swift", |known, flat| flat.next_token = known.last_token + 1);
    refused_order("failed under a token to come", "backs", |known, flat| {
        flat.failed.as_mut().unwrap().token = known.last_token + 1;
    });
    refused_order("claimed with another's number", "taken", |known, flat| flat.due.seq = known.worked.1.seq);
    refused_order("claimed, a retry, and no entry of it", "worked", |_, flat| flat.side = EntryId::default());
    refused_order("claimed, no retry, and an entry of one", "worked", |_, flat| flat.retry = DueKey::default());
    refused_order("claimed and ended", "taken", |_, flat| flat.ended_at = 1);
    refused_order("in backoff under a token", "backs", |_, flat| flat.token = 1);
    refused_order("in backoff for ever", "backs", |_, flat| flat.due.at = 0);
    refused_order("in backoff without a number", "backs", |_, flat| flat.due.seq = 0);
    refused_order("in backoff and due", "backs", |known, flat| {
        (flat.retry, flat.side) = (retry, known.last.retry);
    });
    refused_order("due, and in backoff", "due", |_, flat| flat.due.at = 1);
    refused_order("due with another's number", "due", |known, flat| flat.retry.seq = known.backs.seq);
    refused_order("due without a number", "due", |_, flat| flat.retry = DueKey { at: 1, seq: 0 });
    refused_order("due with a number to come", "due", |known, flat| flat.retry.seq = known.last_seq + 1);
    refused_order("due, and its entry to come", "due", |known, flat| flat.side = known.last.retry.next(0));
    refused_order("retrying and neither due nor not", "due", |_, flat| {
        (flat.retry, flat.side) = (DueKey::default(), EntryId::default());
    });
}

#[test]
fn an_order_whose_end_cannot_be_is_refused() {
    let retry = DueKey { at: 1, seq: 1 };
    refused_order("dead under a token", "dies", |_, flat| flat.token = 1);
    refused_order("dead and due", "dies", |_, flat| flat.due.at = 1);
    refused_order("dead and a retry", "dies", |_, flat| flat.retry = retry);
    refused_order("dead without a number", "dies", |_, flat| flat.due.seq = 0);
    refused_order("dead with a number to come", "dies", |known, flat| flat.due.seq = known.last_seq + 1);
    refused_order("dead without an entry", "dies", |_, flat| flat.side = EntryId::default());
    refused_order("dead, and its entry to come", "dies", |known, flat| flat.side = known.last.dead.next(0));
    refused_order("dead and ended", "dies", |_, flat| flat.ended_at = 1);
    refused_order("dead and something came back", "dies", |_, flat| flat.returns = returns(vec![1]));
    refused_order("dead before it was completed", "done", |_, flat| flat.was_dead = true);
    refused_order("dead before it was dead", "dies", |_, flat| flat.was_dead = true);
    refused_order("completed and a retry", "done", |_, flat| flat.retry = retry);
    refused_order("completed and an entry beside", "done", |known, flat| flat.side = known.last.retry);
    refused_order("completed and never forgotten", "done", |_, flat| flat.due.at = 0);
    refused_order("cancelled under a token", "no", |_, flat| flat.token = 1);
    refused_order("cancelled and never forgotten", "never", |_, flat| flat.due.at = 0);
    refused_order("cancelled and an entry beside", "never", |known, flat| flat.side = known.last.dead);
    refused_order("placed at a time past all times", "dies", |_, flat| flat.placed_at = 2 * MAX_QUANTITY + 1);
    refused_order("first placed with an entry to come", "again", |known, flat| {
        flat.first_entry = known.last.orders.next(0);
    });
    refused_order("a step without a name", "waits", |_, flat| flat.step.as_mut().unwrap().name = Box::default());
    for id in ["waits", "taken", "dies", "backs", "due", "pays", "checked", "unpaid", "paid"] {
        for other in OrderState::ALL.into_iter().filter(|state| *state != rich().state(id)) {
            refused_order("of another state than what it has", id, |_, flat| flat.state = other);
        }
    }
}

#[test]
fn gates_that_cannot_be_are_refused() {
    let set = |at: usize, state: GateState| move |_: &Known, flat: &mut Flat<'_>| gates(flat)[at].state = state;
    refused_order("pending without gates", "pays", |_, flat| flat.gates = None);
    refused_order("pending with no gates", "pays", |_, flat| gates(flat).clear());
    refused_order("pending, and all are passed", "pays", set(0, GateState::Passed(0)));
    refused_order("pending, and one waits for units", "pays", set(1, GateState::Waits(5)));
    refused_order("passed as more were open than there can be", "pays", set(1, GateState::Passed(8)));
    refused_order("pending, and due at another time", "pays", |_, flat| flat.due.at += 1);
    refused_order("pending, and never due", "pays", |_, flat| flat.due = DueKey::default());
    refused_order("pending, and due without a number", "checked", |_, flat| flat.due.seq = 0);
    refused_order("a gate without a name", "pays", |_, flat| gates(flat)[0].name = Box::default());
    refused_order("a gate twice", "pays", |_, flat| gates(flat)[0].name = gates(flat)[1].name.clone());
    refused_order("more gates than there can be", "pays", |_, flat| {
        let gate = |i: u8| Gate { name: [i].into(), placed_ms: None, state: GateState::Passed(0) };
        gates(flat).extend((0..7).map(gate));
    });
    refused_order("an end past all times", "pays", set(0, GateState::Open(MAX_QUANTITY + 1)));
    refused_order("queued, and one is to be passed", "paid", set(0, GateState::Open(0)));
    refused_order("queued, and it never was", "paid", |_, flat| flat.unlisted = true);
    refused_order("pending under a token", "pays", |_, flat| flat.token = 1);
    refused_order("pending and a retry", "checked", |_, flat| flat.retry = DueKey { at: 1, seq: 1 });
    refused_order("pending with the number of a hold", "checked", |known, flat| flat.due.seq = known.of_hold);
}

fn gates<'a>(flat: &'a mut Flat<'_>) -> &'a mut Vec<Gate> {
    &mut flat.gates.as_mut().expect("it has gates").to_mut().0
}

#[test]
fn an_order_that_waits_for_stock_and_cannot_be_is_refused() {
    refused_order("it waits, and lacks nothing", "lacks", |_, flat| flat.lacks = Cow::default());
    refused_order("it waits for more than it wants", "lacks", |_, flat| flat.lacks.to_mut()[0].qty = 5);
    refused_order("it waits for what is available", "lacks", |_, flat| {
        flat.lacks.to_mut().push(Units { sku: 0, qty: 1 });
    });
    refused_order("it waits without a number", "lacks", |_, flat| flat.came = 0);
    refused_order("it waits with the number of a hold", "lacks", |known, flat| flat.came = known.of_hold);
    refused_order("it waits with a number to come", "lacks", |known, flat| flat.came = known.last_seq + 1);
    refused_order("it waits, and had an entry", "lacks", |_, flat| flat.unlisted = false);
    refused_order("it waits, and did not wait", "lacks", |_, flat| flat.waited = false);
    refused_order("it is queued, and has no entry", "served", |_, flat| flat.unlisted = true);
    refused_order("it waits until a time without a number", "lacks-2", |_, flat| flat.due.seq = 0);
    refused_order("it waits, and ended", "lacks", |_, flat| flat.ended_at = 1);
    refused_order("it waits under a token", "lacks", |_, flat| flat.token = 1);
    refused_order("it is queued, and has a number among those who wait", "served", |_, flat| flat.came = 1);
    refused_order("it is queued, and lacks units", "served", |_, flat| flat.missing = 1);
    refused_order("cancelled, and lacked more than it wanted", "called-off", |_, flat| flat.missing = 3);
    refused_order("cancelled, lacked units, and had an entry", "called-off", |_, flat| flat.unlisted = false);
    for other in OrderState::ALL.into_iter().filter(|state| *state != OrderState::Waitlisted) {
        refused_order("it waits, in another state", "lacks", |_, flat| flat.state = other);
    }
    refused("more is set aside than anybody waits for", |store| {
        let rare = store.shelf.find(b"rare").unwrap();
        store.shelf.break_sku(rare).aside = 4;
    });
}

#[test]
fn a_head_that_cannot_be_is_refused() {
    refused("such high numbers that the next ones would not load", |store| store.agenda.set_last_seq(MAX_QUANTITY));
    refused("a token past all tokens", |store| store.workers.set_last_token(MAX_QUANTITY + 1));
    refused("no token so far, and some were handed out", |store| store.workers.set_last_token(0));
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
    refused("more sold than all that ever came", |store| store.shelf.break_sku(0).past = MAX_QUANTITY);
    refused("a count past the largest", |store| store.shelf.break_sku(0).on_hand = MAX_QUANTITY + 1);
    refused("a SKU's on_hand and sold", |store| {
        let sku = store.shelf.break_sku(0);
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
