//! Random commands over so few ids that they keep running into each other.

use proptest::collection::vec;
use proptest::option::{self, weighted};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::build::set;
use super::command::{Command, Id, Lines, Picked, Source};
use super::shop::START;
use crate::base::units::MAX_QUANTITY;
use crate::terms::refusal::Code;
use crate::terms::settings::{FIELDS, Field};

/// One step of a test.
#[derive(Clone, Debug)]
pub enum Step {
    /// The clock moves by so many milliseconds, also back, and a call is made.
    Call(i64, Command),
    /// The clock moves, and the call made so many calls ago is made again.
    Again(i64, usize),
    /// The store is saved, and the loaded one goes on.
    Reload,
}

/// How many cases a property is tried on: `PROPTEST_CASES`, or what keeps a default run short.
pub fn cases(default: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = default;
    }
    // A case that fails is printed, and becomes a test with a name.
    config.failure_persistence = None;
    if std::env::var_os("PROPTEST_MAX_SHRINK_ITERS").is_none() {
        config.max_shrink_iters = 20_000;
    }
    config
}

pub fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (clock(), command()).prop_map(|(ms, command)| Step::Call(ms, command)),
        3 => (clock(), 1usize..6).prop_map(|(ms, back)| Step::Again(ms, back)),
        1 => Just(Step::Reload),
    ];
    vec(step, 1..count)
}

/// What a run starts with: some stock, and settings so small that it sees many of each deadline, and orders that run
/// out of attempts.
pub fn opening() -> Vec<Command> {
    let times = [(Field::KeepMs, 200), (Field::HoldMs, 60), (Field::LeaseMs, 40), (Field::SlaMs, 90)];
    let others = [(Field::Journal, 9), (Field::Attempts, 3), (Field::BackoffMs, 5)];
    vec![set("tea", 40), set("milk", 9), set("jam", 3), Command::Configure([&times[..], &others[..]].concat())]
}

fn clock() -> impl Strategy<Value = i64> {
    prop_oneof![8 => Just(0i64), 8 => 1i64..20, 2 => 20i64..500, 1 => -300i64..0]
}

/// Distinct ids, and one that is no text.
fn id(names: &'static [&'static [u8]]) -> impl Strategy<Value = Id> {
    select(names).prop_map(<[u8]>::to_vec)
}

pub fn sku() -> impl Strategy<Value = Id> {
    id(&[b"tea", b"milk", b"jam", b"\xff\0"])
}

fn hold() -> impl Strategy<Value = Id> {
    id(&[b"h1", b"h2", b"h3", b"h4"])
}

fn order() -> impl Strategy<Value = Id> {
    id(&[b"o1", b"o2", b"o3", b"o4", b"o5", b"o6", b"o7", b"o8"])
}

fn customer() -> impl Strategy<Value = Id> {
    id(&[b"ann", b"bob", b"cyd"])
}

fn reference() -> impl Strategy<Value = Option<Id>> {
    weighted(0.4, id(&[b"r1", b"r2", b"r3"]))
}

fn note() -> impl Strategy<Value = Id> {
    id(&[b"", b"", b"{}", b"why"])
}

fn qty() -> impl Strategy<Value = u64> {
    prop_oneof![30 => 1u64..5, 2 => 5u64..15, 1 => MAX_QUANTITY - 3..=MAX_QUANTITY]
}

fn on_hand() -> impl Strategy<Value = u64> {
    prop_oneof![12 => 0u64..4, 10 => 0u64..16, 9 => 20u64..60, 1 => MAX_QUANTITY - 3..=MAX_QUANTITY]
}

/// SKUs of long carts: more than the engine compares with each other, and than it keeps packed for a customer.
const WIDE: [&[u8]; 24] = [
    b"w0", b"w1", b"w2", b"w3", b"w4", b"w5", b"w6", b"w7", b"w8", b"w9", b"w10", b"w11", b"w12", b"w13", b"w14",
    b"w15", b"w16", b"w17", b"w18", b"w19", b"w20", b"w21", b"w22", b"w23",
];

fn wide(least: usize, units: std::ops::Range<u64>) -> impl Strategy<Value = Lines> {
    let names = subsequence(WIDE.to_vec(), least..=WIDE.len());
    (names, units).prop_map(|(names, units)| names.into_iter().map(|name| (name.to_vec(), units)).collect())
}

fn lines() -> BoxedStrategy<Lines> {
    prop_oneof![12 => vec((sku(), qty()), 1..4), 1 => wide(1, 1..3)].boxed()
}

fn setting() -> impl Strategy<Value = (Field, u64)> {
    let field = |name: &'static str| Field::by_name(name.as_bytes()).unwrap();
    prop_oneof![
        4 => (Just(field("limit")), select(vec![0, 0, 0, 6, 20, MAX_QUANTITY])),
        3 => (Just(field("opens")), prop_oneof![2 => Just(0), 1 => START..START + 1_000]),
        2 => (Just(field("closes")), prop_oneof![4 => Just(0), 1 => START..START + 3_000]),
        2 => (Just(field("hold-ms")), 1u64..200),
        2 => (Just(field("hold-max-ms")), select(vec![0, 30, 150])),
        1 => (Just(field("hold-max-units")), select(vec![0, 0, 9])),
        2 => (Just(field("keep-ms")), 1u64..400),
        3 => (Just(field("journal")), select(vec![0, 0, 1, 100])),
        3 => (Just(field("sla-ms")), 0u64..60),
        2 => (Just(field("lease-ms")), 1u64..60),
        2 => (Just(field("attempts")), 1u64..5),
        2 => (Just(field("backoff-ms")), 1u64..20),
        2 => (Just(field("backoff-cap-ms")), 1u64..40),
        2 => (Just(field("paused")), select(vec![0, 0, 0, 1])),
        1 => (Just(field("alerts")), select(vec![0, 1, 10_000])),
        1 => (Just(field("metrics")), select(vec![0, 1, 7_200])),
        1 => (select(FIELDS), select(vec![0, 1, 2, MAX_QUANTITY, MAX_QUANTITY + 1])),
    ]
}

fn count() -> BoxedStrategy<Command> {
    let backlog = weighted(0.2, prop_oneof![2 => 0u64..7, 2 => Just(MAX_QUANTITY)]);
    let marks = (option::of(0u64..6), option::of(0u64..6), option::of(0u64..9), backlog);
    let delta = prop_oneof![9 => -8i64..12, 1 => select(vec![MAX_QUANTITY as i64, -(MAX_QUANTITY as i64)])];
    let delta = delta.prop_map(|delta| if delta == 0 { 1 } else { delta });
    prop_oneof![
        4 => (sku(), on_hand(), marks).prop_map(|(sku, on_hand, (safety, low, limit, backlog))| {
            Command::SetStock { sku, on_hand, safety, low, limit, backlog }
        }),
        3 => (sku(), delta, note(), reference()).prop_map(|(sku, delta, reason, reference)| {
            Command::Adjust { sku, delta, reason, reference }
        }),
        1 => (1u64..9, wide(24, 10..40)).prop_map(|(seq, counts)| {
            Command::Sync { source: b"wide".to_vec(), seq, counts }
        }),
        2 => (id(&[b"erp", b"wms"]), 1u64..7, vec((sku(), on_hand()), 1..3)).prop_map(|(source, seq, counts)| {
            Command::Sync { source, seq, counts }
        }),
    ]
    .boxed()
}

fn of_hold() -> BoxedStrategy<Command> {
    let ttl_ms = weighted(0.6, prop_oneof![9 => 1u64..200, 1 => MAX_QUANTITY - 5..=MAX_QUANTITY]);
    prop_oneof![
        7 => (hold(), option::of(customer()), ttl_ms, weighted(0.4, Just(())), lines()).prop_map(
            |(hold, customer, ttl_ms, replace, items)| {
                Command::Reserve { hold, customer, ttl_ms, replace: replace.is_some(), items }
            }
        ),
        2 => (hold(), 1u64..300).prop_map(|(hold, ms)| Command::Extend { hold, ms }),
        4 => (hold(), any::<bool>(), reference(), option::of(lines())).prop_map(|(hold, commit, reference, items)| {
            Command::Close { hold, commit, reference, items }
        }),
    ]
    .boxed()
}

fn few() -> BoxedStrategy<Lines> {
    vec((id(&[b"tea", b"milk", b"jam"]), 1u64..3), 1..3).boxed()
}

fn of_order() -> BoxedStrategy<Command> {
    let take = prop_oneof![
        6 => few().prop_map(Source::Items),
        2 => lines().prop_map(Source::Items),
        2 => hold().prop_map(Source::Hold),
    ];
    let group = weighted(0.5, id(&[b"g1", b"g1", b"g2"]));
    let wait_ms = weighted(0.5, prop_oneof![10 => Just(0), 6 => 1u64..200, 1 => MAX_QUANTITY - 5..=MAX_QUANTITY]);
    prop_oneof![
        12 => (order(), customer(), group, lane(), note(), gates(), wait_ms, take).prop_map(
            |(order, customer, group, lane, data, gates, wait_ms, take)| {
                Command::Place { order, customer, group, lane, data, gates, wait_ms, take }
            }
        ),
        3 => (order(), gate()).prop_map(|(order, (gate, ms))| Command::Gate { order, gate, ms }),
        5 => (order(), gate()).prop_map(|(order, (gate, _))| Command::Pass { order, gate }),
        2 => (order(), token(), note()).prop_map(|(order, token, result)| {
            Command::Complete { order, token, result }
        }),
        2 => (order(), note()).prop_map(|(order, reason)| Command::Cancel { order, reason }),
        9 => came_back(),
        5 => edited(),
        1 => (order(), any::<bool>(), weighted(0.8, 1u64..50)).prop_map(|(order, side, ahead_ms)| {
            Command::Reentry { order, side, ahead_ms }
        }),
    ]
    .boxed()
}

fn gate() -> impl Strategy<Value = (Id, u64)> {
    let ms = prop_oneof![6 => 1u64..80, 3 => Just(0u64), 1 => MAX_QUANTITY - 5..=MAX_QUANTITY];
    (id(&[b"pay", b"pay", b"fraud", b"\xff\0"]), ms)
}

fn gates() -> BoxedStrategy<Lines> {
    prop_oneof![14 => Just(Vec::new()), 5 => vec(gate(), 1..3), 1 => vec(gate(), 9)].boxed()
}

/// Units of an order, and of one that nobody remembers.
fn came_back() -> BoxedStrategy<Command> {
    let gone = (Just(b"gone".to_vec()), customer().prop_map(Some), few());
    let known = (order(), weighted(0.3, customer()), prop_oneof![few(), lines()]);
    let which = prop_oneof![1 => known, 1 => gone];
    (which, reference(), weighted(0.3, Just(())))
        .prop_map(|((order, customer, items), reference, scrap)| Command::Return {
            order,
            customer,
            reference,
            scrap: scrap.is_some(),
            items,
        })
        .boxed()
}

/// Orders that change. What is split off gets an id that other commands do not name, most of the time.
fn edited() -> BoxedStrategy<Command> {
    let new_order = id(&[b"s1", b"s2", b"s3", b"s4", b"o3"]);
    let items = || prop_oneof![6 => few(), 1 => lines()].boxed();
    let lost = weighted(0.3, Just(()));
    let reference = weighted(0.2, id(&[b"r1", b"r2", b"r3"]));
    let edit = (order(), token(), reference, lost, items()).prop_map(|(order, token, reference, lost, items)| {
        Command::Edit { order, token, reference, lost: lost.is_some(), items }
    });
    let split = (order(), new_order, token(), weighted(0.3, lane()), items())
        .prop_map(|(order, new_order, token, lane, items)| Command::Split { order, new_order, token, lane, items });
    prop_oneof![4 => edit.boxed(), 3 => split.boxed()].boxed()
}

/// Mostly the default lane, and others of which there are few.
fn lane() -> impl Strategy<Value = Id> {
    prop_oneof![5 => Just(Vec::new()), 3 => id(&[b"express", b"counter", b"\x00\xff"])]
}

fn pick() -> impl Strategy<Value = Picked> {
    prop_oneof![
        5 => Just(Picked::Any),
        3 => vec(lane(), 1..4).prop_map(Picked::Lanes),
        2 => order().prop_map(Picked::Order),
    ]
}

fn worker() -> impl Strategy<Value = Id> {
    id(&[b"w1", b"w2", b"w3"])
}

/// A token of the last claim of an order, or of one before; see [`Command::aimed`].
fn some_token() -> impl Strategy<Value = u64> {
    prop_oneof![8 => Just(0u64), 1 => Just(1u64), 1 => 2u64..5]
}

fn token() -> impl Strategy<Value = Option<u64>> {
    weighted(0.6, some_token())
}

fn lease_ms() -> impl Strategy<Value = Option<u64>> {
    weighted(0.5, prop_oneof![30 => 1u64..90, 1 => MAX_QUANTITY - 5..=MAX_QUANTITY])
}

fn step() -> impl Strategy<Value = Id> {
    id(&[b"picked", b"packed"])
}

fn of_worker() -> BoxedStrategy<Command> {
    prop_oneof![
        8 => (worker(), 0usize..4, pick(), lease_ms()).prop_map(|(worker, count, pick, lease_ms)| {
            Command::Claim { worker, count, pick, lease_ms }
        }),
        1 => worker().prop_map(|worker| Command::Yield { worker }),
        3 => (order(), token(), note(), worker(), lease_ms()).prop_map(|(order, token, result, worker, lease_ms)| {
            Command::CompleteAndClaim { order, token, result, worker, lease_ms }
        }),
    ]
    .boxed()
}

fn of_work() -> BoxedStrategy<Command> {
    let after_ms = weighted(0.4, prop_oneof![20 => 0u64..40, 1 => MAX_QUANTITY - 5..=MAX_QUANTITY]);
    prop_oneof![
        2 => (order(), some_token(), lease_ms()).prop_map(|(order, token, lease_ms)| {
            Command::Renew { order, token, lease_ms }
        }),
        1 => (order(), some_token()).prop_map(|(order, token)| Command::TakeBack { order, token }),
        8 => (order(), token(), note(), after_ms, weighted(0.2, Just(()))).prop_map(
            |(order, token, reason, after_ms, fatal)| {
                Command::Fail { order, token, reason, after_ms, fatal: fatal.is_some() }
            }
        ),
        4 => order().prop_map(|order| Command::Redrive { order }),
        3 => (order(), step(), option::of(step()), token()).prop_map(|(order, step, from, token)| {
            Command::Advance { order, step, from, token }
        }),
    ]
    .boxed()
}

pub fn command() -> BoxedStrategy<Command> {
    prop_oneof![
        1 => vec(setting(), 1..3).prop_map(Command::Configure),
        3 => count(),
        5 => of_hold(),
        11 => of_order(),
        8 => of_worker(),
        9 => of_work(),
        4 => prop_oneof![0u64..8, Just(u64::MAX)].prop_map(|budget| Command::Sweep { budget }),
        1 => vec((select(Code::ALL).prop_map(Code::metric), 1u64..4), 0..3)
            .prop_map(|refused| Command::Sample { refused }),
    ]
    .boxed()
}
