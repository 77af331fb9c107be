//! Properties over random values: the same in every run, others where `HOLDFAST_SEED` is another number.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// The variable that asks for the smallest failing case. By default the first is shown: making it smaller runs the
/// property hundreds of times, each of which tells of its failure.
const SHRINK: &str = "PROPTEST_MAX_SHRINK_ITERS";

/// The seed of all random values: `HOLDFAST_SEED`, 0 by default.
fn seed() -> [u8; 32] {
    let number: u64 = std::env::var("HOLDFAST_SEED").map_or(0, |text| text.parse().expect("HOLDFAST_SEED is a number"));
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    seed
}

/// Runs a property over so many cases; panics with one that fails.
#[track_caller]
pub fn check<S: Strategy>(cases: u32, strategy: &S, property: impl Fn(S::Value)) {
    let shrinks = std::env::var(SHRINK).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: shrinks, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed()));
    let outcome = runner.run(strategy, |value| {
        property(value);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
