//! Input that nobody thought of. A target takes any bytes and fails where they break a promise:
//! - [`commands`]: what clients send. Each line is a command with its words, on a primary with a replica
//! - [`replicated`]: what a replica or a log gets: stamped and internal commands, with what a primary would not send
//! - [`image`]: a store's image, and a lock's; the checksum is made right
//! - [`json`]: DATA and RESULT, and ids that are written as JSON
//! - [`worlds`]: the worlds of [`super::simulation`], against the model
//!
//! `make fuzz` lets libFuzzer look for it ([`driver`]): it changes inputs, and keeps those that reach code which no
//! other has reached. `tests/fuzz/<target>` has what it kept, made small, and every input that ever failed: `cargo
//! test` replays them. An input that fails from now on belongs there too, under a name that says what it found.
//! Commands are text, so that an input can be read and written by hand ([`script`]).
//!
//! The targets are unit tests and not programs of cargo-fuzz: the module is a library that only a server can load, and
//! its tests have the simulated server.

mod commands;
#[cfg(feature = "fuzz")]
mod driver;
mod image;
mod json;
mod replicated;
mod script;
mod seeds;
mod worlds;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Takes an input; panics if it breaks a promise.
type Target = fn(&[u8]);

/// The targets by name.
const TARGETS: [(&str, Target); 5] = [
    ("commands", commands::run),
    ("replicated", replicated::run),
    ("image", image::run),
    ("json", json::run),
    ("worlds", worlds::run),
];

/// What the inputs of a target may take in the repository, all together.
const CORPUS_BYTES_MAX: u64 = 100 * 1024;

/// Where the inputs of a target are.
fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(target)
}

/// The inputs of a target, by name.
fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = corpus(target);
    let files = std::fs::read_dir(&directory).unwrap_or_else(|problem| panic!("{}: {problem}", directory.display()));
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("an input"))).collect()
}

/// Replays the inputs of a target. The name of the one that fails is printed.
fn replay(target: &str) {
    let (_, run) = TARGETS.into_iter().find(|(name, _)| *name == target).expect("a target");
    let inputs = inputs(target);
    let bytes: usize = inputs.iter().map(|(_, input)| input.len()).sum();
    assert!(inputs.len() > 5, "{target} has inputs");
    assert!(bytes as u64 <= CORPUS_BYTES_MAX, "the inputs of {target} must be at most {CORPUS_BYTES_MAX} bytes");
    for (path, input) in inputs {
        println!("{}", path.display());
        run(&input);
    }
}

#[test]
fn commands_of_the_corpus() {
    replay("commands");
}

#[test]
fn replicated_commands_of_the_corpus() {
    replay("replicated");
}

#[test]
fn images_of_the_corpus() {
    replay("image");
}

#[test]
fn json_of_the_corpus() {
    replay("json");
}

#[test]
fn worlds_of_the_corpus() {
    replay("worlds");
}

/// How long inputs are changed at random in a usual run, without an eye on what they reach.
const RANDOM: Duration = Duration::from_secs(3);

/// Inputs of the corpus, cut up and put together at random: all targets in turn. The seed of what fails is printed.
#[test]
fn inputs_changed_at_random() {
    let until = Instant::now() + RANDOM;
    let all: Vec<_> = TARGETS.into_iter().map(|(name, run)| (name, run, inputs(name))).collect();
    for seed in 1u64.. {
        let (name, run, inputs) = &all[seed as usize % all.len()];
        let input = changed(inputs, &mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        println!("{name} {seed}");
        run(&input);
        if Instant::now() > until {
            return;
        }
    }
}

/// Numbers that look random (xorshift).
struct Random(u64);

impl Random {
    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// An input with parts of another, and some bytes replaced.
fn changed(inputs: &[(PathBuf, Vec<u8>)], random: &mut Random) -> Vec<u8> {
    let mut input = inputs[random.below(inputs.len())].1.clone();
    for _ in 0..1 + random.below(4) {
        let other = &inputs[random.below(inputs.len())].1;
        let from = random.below(other.len() + 1);
        let to = (from + random.below(64)).min(other.len());
        let at = random.below(input.len() + 1);
        let end = (at + random.below(16)).min(input.len());
        match random.below(3) {
            0 => drop(input.splice(at..end, other[from..to].iter().copied())),
            1 => drop(input.splice(at..at, other[from..to].iter().copied())),
            _ => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
        }
    }
    input
}
