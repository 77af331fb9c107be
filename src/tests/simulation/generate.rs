//! A world out of a seed: a list of what happens.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::action::{Action, Long, Meddling, NODES};
use super::locks::LockCall;
use super::shopping;
use super::words::words;
use holdfast_engine::base::units::MAX_QUANTITY;
use holdfast_engine::oracle::command::Command;
use holdfast_engine::oracle::{build, generate};
use holdfast_engine::terms::settings::Field;
use holdfast_engine::terms::streams::StreamKind;

/// Steps of a world, at most.
const STEPS: usize = 400;

/// What happens in the world of a seed.
pub fn actions(seed: u64) -> Vec<Action> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let list = vec(action(), STEPS / 2..STEPS).new_tree(&mut runner).expect("a list").current();
    let cluster = seed.is_multiple_of(3).then_some(Action::Cluster);
    // In every other world, ended orders are remembered for long, so that units come back.
    let keeps = Action::Call(build::configure(&[(Field::KeepMs, 5_000), (Field::HoldMs, 900)]));
    cluster.into_iter().chain(Some(keeps).filter(|_| seed.is_multiple_of(2))).chain(list).collect()
}

/// A client's command; what no client can say happens in another way.
fn call() -> impl Strategy<Value = Action> {
    generate::command().prop_map(|command| match command {
        Command::Sweep { .. } => Action::Tick,
        Command::TakeBack { .. } => Action::Slice,
        command if words(&command).is_some() => Action::Call(command),
        _ => Action::Tick,
    })
}

fn node() -> impl Strategy<Value = usize> {
    0..NODES
}

fn kind() -> impl Strategy<Value = StreamKind> {
    select(StreamKind::ALL.to_vec())
}

fn meddling() -> impl Strategy<Value = Meddling> {
    prop_oneof![
        4 => (0u64..5_000).prop_map(Meddling::Push),
        2 => (0usize..9).prop_map(Meddling::Remove),
        1 => (0usize..4).prop_map(Meddling::Trim),
        2 => Just(Meddling::Delete),
        2 => Just(Meddling::Expire),
        1 => Just(Meddling::Fill),
    ]
}

/// What goes wrong, but for what outsiders do.
fn fault() -> impl Strategy<Value = Action> {
    prop_oneof![
        2 => Just(Action::Reload),
        2 => prop_oneof![1 => Just(0usize), 3 => 1usize..1_500].prop_map(Action::Crash),
        2 => node().prop_map(Action::Restart),
        2 => node().prop_map(Action::Promote),
        2 => (node(), -5_000i64..5_000).prop_map(|(node, ms)| Action::Wall(node, ms)),
        1 => (node(), select(vec![-3_600_000i64, 3_600_000])).prop_map(|(node, ms)| Action::Wall(node, ms)),
        1 => (node(), select(vec![500u64, 900, 1_000, 1_100, 2_000])).prop_map(|(node, pace)| Action::Pace(node, pace)),
        1 => (node(), select(vec![1i64, 2, 7, 500])).prop_map(|(node, records)| Action::Slices(node, records)),
        2 => prop::bool::weighted(0.4).prop_map(Action::Pause),
        2 => prop::bool::weighted(0.4).prop_map(Action::Full),
    ]
}

/// What is done with the lock.
fn lock() -> impl Strategy<Value = LockCall> {
    let owner = || select(vec![b"ann".to_vec(), b"bob".to_vec(), b"cyd".to_vec(), shopping::longest()]);
    let ttl_ms = || prop_oneof![12 => 10u64..400, 1 => Just(MAX_QUANTITY)];
    let wait_ms = prop::option::weighted(0.6, select(vec![0u64, 30, 200]));
    prop_oneof![
        6 => (owner(), ttl_ms(), wait_ms).prop_map(|(owner, ttl_ms, wait_ms)| {
            LockCall::Acquire { owner, ttl_ms, wait_ms }
        }),
        1 => (0usize..2, ttl_ms()).prop_map(|(back, ttl_ms)| LockCall::Renew { back, ttl_ms }),
        3 => prop_oneof![5 => Just(0usize), 1 => Just(1usize)].prop_map(|back| LockCall::Release { back }),
    ]
}

/// Callers who wait, and what becomes of them.
fn callers() -> impl Strategy<Value = Action> {
    let block_ms = select(vec![0u64, 0, 20, 60, 500]);
    prop_oneof![
        8 => (shopping::claim(), block_ms).prop_map(|(claim, ms)| Action::Block(claim, ms)),
        2 => (0usize..9).prop_map(Action::HangUp),
        2 => (0usize..9).prop_map(Action::MissReply),
        1 => (0usize..9).prop_map(Action::Unblock),
        1 => (node(), select(vec![1u32, 2, 100])).prop_map(|(node, pieces)| Action::Pieces(node, pieces)),
        1 => prop::bool::weighted(0.3).prop_map(Action::Multi),
    ]
}

fn moving() -> impl Strategy<Value = Action> {
    prop_oneof![5 => kind().prop_map(Action::SendStream), 2 => Just(Action::SendStore), 2 => Just(Action::Arrive)]
}

/// A step of a world.
pub fn action() -> impl Strategy<Value = Action> {
    let long = select(vec![Long::Audit, Long::Repair, Long::RedriveAll, Long::Purge]);
    prop_oneof![
        30 => call(),
        60 => shopping::command().prop_map(Action::Call),
        10 => prop_oneof![1 => Just(1usize), 1 => 2usize..9].prop_map(Action::Again),
        20 => prop_oneof![60 => 1u64..20, 10 => 20u64..120, 2 => 120u64..7_000].prop_map(Action::Pass),
        8 => Just(Action::Tick),
        14 => (node(), 1usize..40).prop_map(|(node, groups)| Action::Deliver(node, groups)),
        2 => node().prop_map(Action::Snapshot),
        1 => node().prop_map(Action::Rewrite),
        2 => long.prop_map(Action::Begin),
        6 => Just(Action::Slice),
        9 => callers(),
        9 => lock().prop_map(Action::Lock),
        3 => (kind(), meddling()).prop_map(|(kind, meddling)| Action::Meddle(kind, meddling)),
        3 => moving(),
        6 => fault(),
        1 => prop_oneof![9 => Just(Action::Tick), 1 => Just(Action::Drop)],
    ]
}
