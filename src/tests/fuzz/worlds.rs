//! The worlds of the simulation, out of bytes instead of one seed.

use std::cell::OnceCell;

use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::tests::simulation::action::Action;
use crate::tests::simulation::{generate, run as simulation};

/// Bytes of a step: the seed that it is generated with. What libFuzzer cuts out, repeats and puts together are so steps
/// of worlds that reached something. (Bytes cannot be the generators' random numbers themselves: proptest gives every
/// alternative that is not taken half of them, and then draws zeros for ever.)
const STEP_BYTES: usize = 4;

/// Steps of a world.
const STEPS_MAX: usize = 200;

thread_local! {
    static ACTION: OnceCell<BoxedStrategy<Action>> = const { OnceCell::new() };
}

/// What happens in the world of an input.
fn actions(input: &[u8]) -> Vec<Action> {
    ACTION.with(|action| {
        let action = action.get_or_init(|| generate::action().boxed());
        let drawn = |bytes: &[u8]| {
            let mut seed = [0; 32];
            seed[..bytes.len()].copy_from_slice(bytes);
            let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
            let mut runner = TestRunner::new_with_rng(Config::default(), rng);
            action.new_tree(&mut runner).ok().map(|tree| tree.current())
        };
        input.chunks(STEP_BYTES).take(STEPS_MAX).filter_map(drawn).collect()
    })
}

/// Prints what happened in a world that fails, for a test that replays it.
struct Told(Vec<Action>);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay(&{:?})", self.0);
        }
    }
}

/// Lets it happen, and then everything end.
pub fn run(input: &[u8]) {
    let told = Told(actions(input));
    simulation::replay(&told.0);
}
