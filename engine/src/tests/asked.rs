//! What the module asks a store before or after a call, held against what the call then does.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::command::{Command, code, lines};
use super::forge::rich;
use super::generate::{Step, cases, opening, steps};
use super::shop::{START, loaded, saved};
use crate::base::table::Keyed;
use crate::base::units::Ms;
use crate::books::image::load::Loader;
use crate::calls::stock::SyncCounts;
use crate::store::Store;
use crate::terms::effects::{Effect, Effects};
use crate::terms::metrics::Refused;
use crate::terms::refusal::Code;
use crate::terms::states::OrderState;
use crate::terms::streams::StreamKind;

/// The streams that orders are in while they are open, or are written to when they end.
const OF_ORDERS: [StreamKind; 4] = [StreamKind::Orders, StreamKind::Retry, StreamKind::Dead, StreamKind::Complete];

/// Whether a call is going to make SKUs, as the store says before it; none for calls about which it is not asked.
fn foretold_skus(store: &Store, command: &Command) -> Option<bool> {
    match command {
        Command::SetStock { sku, .. } => Some(!store.has_sku(sku)),
        Command::Sync { source, seq, counts } => {
            Some(store.sync_makes_skus(&SyncCounts { source, seq: *seq, counts: &lines(counts) }))
        }
        _ => None,
    }
}

fn call(store: &mut Store, now: Ms, command: &Command, refused: &mut Refused) {
    let (skus, makes) = (store.shelf.skus().len(), foretold_skus(store, command));
    let mut fx = Effects::default();
    let reply = command.apply(store, now, &mut fx);
    let made = store.shelf.skus().len() > skus;
    match (&reply, makes) {
        (Ok(_), Some(makes)) => assert_eq!(made, makes, "whether {command:?} makes SKUs"),
        (Ok(_), None) => {}
        (Err(refusal), _) => {
            let code = Code::of(refusal).filter(|of| of.word() == code(refusal)).expect("a code as the text has it");
            refused.count(code);
            assert!(!refused.is_empty());
        }
    }
    compare_streams(&fx);
    compare_holds(store);
    compare_orders(store);
    compare_claims(store, now);
    compare_due(store);
}

/// The streams that are written are those of the effects, each once.
fn compare_streams(fx: &Effects) {
    let kind = |effect: &Effect| match effect {
        Effect::Queued { .. } => Some(StreamKind::Orders),
        Effect::Left { kind, .. } => Some(*kind),
        Effect::Retry { .. } => Some(StreamKind::Retry),
        Effect::Died { .. } => Some(StreamKind::Dead),
        Effect::Completed { .. } => Some(StreamKind::Complete),
        Effect::Moved(_) => Some(StreamKind::Journal),
        Effect::Alert(_) => Some(StreamKind::Alerts),
        Effect::Sampled { .. } => Some(StreamKind::Metrics),
        Effect::Event(_) => None,
    };
    let names = |kinds: &[StreamKind]| kinds.iter().map(|kind| kind.suffix()).collect::<Vec<_>>();
    let wanted: Vec<_> = fx.list.iter().filter_map(kind).collect();
    let (told, wanted) = (names(&fx.streams()), names(&wanted));
    let set: BTreeSet<_> = told.iter().collect();
    assert_eq!(set.len(), told.len(), "{told:?}: each once");
    assert_eq!(set, wanted.iter().collect());
}

fn compare_holds(store: &Store) {
    assert_eq!(store.hold_len(b"a hold of nobody"), None);
    for (_, hold) in store.holds.records().iter() {
        assert_eq!(store.hold_len(hold.id()), store.hold(hold.id()).map(|hold| hold.items.len()));
    }
}

/// Orders that wait for stock, and items that are the same or not.
fn compare_orders(store: &Store) {
    let waits = |state| matches!(state, OrderState::Waitlisted);
    let waiting = store.orders.records().iter().any(|(_, order)| waits(order.state()));
    assert_eq!(store.is_waited_for(), waiting, "whether orders wait for stock");
    let items: Vec<_> = store
        .orders
        .records()
        .iter()
        .map(|(slot, _)| {
            let mut json = Vec::new();
            let packed = store.items_json(slot, &mut json).to_vec();
            (slot, json, packed)
        })
        .collect();
    for (_, json, packed) in &items {
        for (slot, other, _) in &items {
            assert_eq!(store.has_items(*slot, packed), json == other, "whether {slot} has these items");
        }
    }
}

/// An order as its worker sees it is the order as anybody sees it.
fn compare_claims(store: &Store, now: Ms) {
    for (slot, order) in store.orders.records().iter() {
        if order.state() != OrderState::Claimed {
            continue;
        }
        let (claim, view) = (store.claimed(slot), store.order_view(now, slot));
        let told = (claim.order, claim.token, claim.attempt, claim.customer, claim.lane, claim.data);
        let attempt = u64::from(view.attempts) + 1;
        assert_eq!(told, (view.id, view.token, attempt, view.customer, view.lane, view.data));
        assert_eq!((claim.placed_at, claim.deadline), (view.placed_at, view.due));
        let told: Vec<_> = claim.items.iter().map(|item| (item.sku, item.qty)).collect();
        assert_eq!(told, view.items.iter().map(|item| (item.sku, item.qty)).collect::<Vec<_>>());
    }
}

/// What is due first leaves the streams of orders alone, if the store says so.
fn compare_due(store: &Store) {
    let leaves = store.next_due_leaves_orders();
    if !store.orders.records().iter().any(|(_, order)| order.state().is_open()) {
        assert!(leaves, "there is no order that could be written about");
    }
    let Some((due, _)) = store.agenda.first() else { return };
    if leaves {
        let mut copy = loaded(&saved(store), 1).expect("a saved store loads");
        let mut fx = Effects::default();
        copy.sweep(due.at, 1, &mut fx);
        assert!(!fx.streams().iter().any(|kind| OF_ORDERS.contains(kind)), "{:?} at {}", fx.list, due.at);
    }
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn what_the_module_asks_a_store_is_what_then_happens(steps in steps(120)) {
        let (mut store, mut now, mut refused) = (Store::new(1), START, Refused::default());
        assert!(refused.is_empty());
        opening().iter().for_each(|command| call(&mut store, now, command, &mut refused));
        for step in &steps {
            let Step::Call(ms, command) = step else { continue };
            now = now.saturating_add_signed(*ms);
            let command = command.clone().aimed(&store);
            call(&mut store, now, &command, &mut refused);
        }
    }
}

#[test]
fn an_image_begins_with_its_first_piece() {
    let pieces = saved(&rich().store);
    let heads: Vec<_> = pieces.iter().map(|piece| Loader::is_head(piece)).collect();
    assert!(heads.len() > 2 && heads[0] && !heads[1..].contains(&true), "{heads:?}");
    assert!(!Loader::is_head(&[]));
}

#[test]
fn streams_have_the_names_of_the_contract() {
    let mut names = StreamKind::ALL.map(StreamKind::suffix);
    names.sort_unstable();
    assert_eq!(names, [":alerts", ":complete", ":dead", ":journal", ":metrics", ":orders", ":retry"]);
}

#[test]
fn a_store_knows_that_another_had_its_streams_first() {
    let mut store = Store::new(1);
    assert!(!store.came_second());
    store.set_second(true);
    assert!(store.came_second());
    store.set_second(false);
    assert!(!store.came_second());
}
