//! Commands of a shop that does good business: most of them find what they name, so that orders get far.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use holdfast_engine::base::units::{MAX_ID_BYTES, MAX_QUANTITY};
use holdfast_engine::oracle::command::{Command, Id, Lines, Picked, Source};

/// An order that stands for any in the state that a command is meant for ([`Command::aimed`]).
fn any_order() -> impl Strategy<Value = Id> {
    select(vec![b"o5".to_vec(), b"o6".to_vec(), b"o7".to_vec(), b"o8".to_vec()])
}

/// The last claim's.
const LAST: Option<u64> = Some(0);

fn id(prefix: &'static str, count: u32) -> impl Strategy<Value = Id> {
    (0..count).prop_map(move |n| match n {
        // As long as an id may be.
        0 => [prefix.as_bytes(), &vec![b'x'; MAX_ID_BYTES - prefix.len()]].concat(),
        _ => format!("{prefix}{n}").into_bytes(),
    })
}

fn customer() -> impl Strategy<Value = Id> {
    id("customer-", 6)
}

fn name(names: &'static [&'static str]) -> impl Strategy<Value = Id> {
    select(names).prop_map(|name| name.as_bytes().to_vec())
}

/// As long as an id may be, binary.
pub fn longest() -> Id {
    [&b"\0\r\n\xff"[..], &[b'y'; MAX_ID_BYTES - 4]].concat()
}

/// One of the names, now and then the longest there can be.
fn named(names: &'static [&'static str]) -> impl Strategy<Value = Id> {
    prop_oneof![12 => name(names), 1 => Just(longest())]
}

fn sku() -> impl Strategy<Value = Id> {
    named(&["tea", "milk", "jam"])
}

fn worker() -> impl Strategy<Value = Id> {
    named(&["w1", "w2"])
}

fn gate() -> impl Strategy<Value = Id> {
    named(&["pay", "fraud"])
}

fn items() -> impl Strategy<Value = Lines> {
    vec((sku(), 1u64..4), 1..3)
}

fn placed() -> impl Strategy<Value = Command> {
    let group = weighted(0.3, named(&["g1", "g2"]));
    let lane = named(&["", "", "express", "counter"]);
    let gates = vec((gate(), select(vec![0u64, 60, 200])), 0..2);
    let gates = prop_oneof![3 => Just(Lines::new()), 1 => gates];
    let wait_ms = weighted(0.7, select(vec![0u64, 0, 0, 100]));
    let take = prop_oneof![4 => items().prop_map(Source::Items), 1 => id("hold-", 12).prop_map(Source::Hold)];
    let ids = (id("order-", 60), customer());
    (ids, group, lane, gates, wait_ms, take).prop_map(|((order, customer), group, lane, gates, wait_ms, take)| {
        Command::Place { order, customer, group, lane, data: b"{}".to_vec(), gates, wait_ms, take }
    })
}

/// A claim of whatever comes, or of some lanes.
pub fn claim() -> impl Strategy<Value = Command> {
    let lanes = vec(named(&["", "express", "counter"]), 1..3).prop_map(Picked::Lanes);
    let pick = prop_oneof![2 => Just(Picked::Any), 1 => lanes];
    (worker(), 1usize..3, pick, weighted(0.5, Just(500u64)))
        .prop_map(|(worker, count, pick, lease_ms)| Command::Claim { worker, count, pick, lease_ms })
}

fn of_work() -> impl Strategy<Value = Command> {
    let claim = (worker(), 1usize..4, weighted(0.5, Just(500u64)));
    let complete = (any_order(), weighted(0.4, worker()));
    prop_oneof![
        5 => claim.prop_map(|(worker, count, lease_ms)| {
            Command::Claim { worker, count, pick: Picked::Any, lease_ms }
        }),
        1 => (worker(), vec(named(&["", "express", "counter"]), 1..3)).prop_map(|(worker, lanes)| {
            Command::Claim { worker, count: 1, pick: Picked::Lanes(lanes), lease_ms: None }
        }),
        4 => complete.prop_map(|(order, next)| match next {
            Some(worker) => {
                Command::CompleteAndClaim { order, token: LAST, result: Vec::new(), worker, lease_ms: None }
            }
            None => Command::Complete { order, token: LAST, result: b"{}".to_vec() },
        }),
        2 => (any_order(), weighted(0.5, 0u64..60), prop::bool::weighted(0.3)).prop_map(|(order, after_ms, fatal)| {
            Command::Fail { order, token: LAST, reason: b"no".to_vec(), after_ms, fatal }
        }),
        1 => any_order().prop_map(|order| Command::Redrive { order }),
        1 => (any_order(), named(&["picked", "packed"])).prop_map(|(order, step)| {
            Command::Advance { order, step, from: None, token: LAST }
        }),
        1 => any_order().prop_map(|order| Command::Renew { order, token: 0, lease_ms: Some(900) }),
    ]
}

fn of_change() -> impl Strategy<Value = Command> {
    let pick = (worker(), any_order());
    prop_oneof![
        3 => (any_order(), gate()).prop_map(|(order, gate)| Command::Pass { order, gate }),
        1 => (any_order(), gate(), select(vec![0u64, 50])).prop_map(|(order, gate, ms)| {
            Command::Gate { order, gate, ms }
        }),
        1 => pick.prop_map(|(worker, order)| {
            Command::Claim { worker, count: 1, pick: Picked::Order(order), lease_ms: None }
        }),
        2 => (any_order(), items(), prop::bool::weighted(0.4)).prop_map(|(order, items, lost)| {
            Command::Edit { order, token: LAST, reference: None, lost, items }
        }),
        2 => (id("order-", 60), items()).prop_map(|(order, items)| {
            Command::Edit { order, token: None, reference: None, lost: false, items }
        }),
        3 => (any_order(), id("part-", 40), sku()).prop_map(|(order, new_order, sku)| {
            Command::Split { order, new_order, token: LAST, lane: None, items: vec![(sku, 1)] }
        }),
        1 => (id("order-", 60), id("part-", 40), name(&["tea", "milk"])).prop_map(|(order, new_order, sku)| {
            Command::Split { order, new_order, token: None, lane: Some(b"express".to_vec()), items: vec![(sku, 1)] }
        }),
        1 => id("order-", 60).prop_map(|order| Command::Cancel { order, reason: b"why".to_vec() }),
        3 => (any_order(), sku(), prop::bool::ANY).prop_map(|(order, sku, scrap)| {
            Command::Return { order, customer: None, reference: None, scrap, items: vec![(sku, 1)] }
        }),
    ]
}

/// Counts, up to the largest there can be.
fn on_hand() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0u64..9, 1 => MAX_QUANTITY - 2..=MAX_QUANTITY]
}

fn of_stock() -> impl Strategy<Value = Command> {
    let units = vec((sku(), 1u64..3), 1..3);
    let reserve = (id("hold-", 12), weighted(0.5, customer()), prop::bool::weighted(0.4), units);
    prop_oneof![
        4 => (sku(), 1i64..4).prop_map(|(sku, delta)| {
            Command::Adjust { sku, delta, reason: Vec::new(), reference: None }
        }),
        2 => (sku(), on_hand()).prop_map(|(sku, on_hand)| {
            Command::SetStock { sku, on_hand, safety: None, low: Some(2), limit: None, backlog: None }
        }),
        4 => reserve.prop_map(|(hold, customer, replace, items)| {
            Command::Reserve { hold, customer, ttl_ms: None, replace, items }
        }),
        1 => id("hold-", 12).prop_map(|hold| Command::Extend { hold, ms: 3_000 }),
        4 => (id("hold-", 12), any::<bool>()).prop_map(|(hold, commit)| {
            Command::Close { hold, commit, reference: None, items: None }
        }),
    ]
}

pub fn command() -> impl Strategy<Value = Command> {
    prop_oneof![10 => placed().boxed(), 10 => of_work().boxed(), 7 => of_change().boxed(), 7 => of_stock().boxed()]
}
