//! Inputs to begin with, made by what the tests have: `HOLDFAST_WRITE_SEEDS=<directory> cargo test --lib seeds`. The
//! corpus was begun with them; anew, they are needed for a new target only.

use std::path::Path;

use super::image;
use super::script::line;
use crate::host::simulated::{Bytes, Sent};
use crate::tests::simulation::action::Action;
use crate::tests::simulation::generate::actions;
use crate::tests::simulation::node::Node;
use crate::tests::simulation::words::words;
use holdfast_engine::calls::locks::Lock;
use holdfast_engine::oracle::command::Command;
use holdfast_engine::oracle::forge::{body, rich};
use holdfast_engine::oracle::generate::opening;
use holdfast_engine::oracle::shop::{START, saved};

/// Worlds of which commands are taken.
const WORLDS: u64 = 12;

#[test]
fn seeds() {
    let Some(directory) = std::env::var_os("HOLDFAST_WRITE_SEEDS") else { return };
    let write = |name: String, input: Bytes| {
        let path = Path::new(&directory).join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, input).expect("a seed is written");
    };
    for seed in 1..=WORLDS {
        let (commands, replicated) = of_world(seed);
        write(format!("commands/world-{seed}"), commands);
        write(format!("replicated/world-{seed}"), replicated);
        write(format!("worlds/random-{seed}"), random(seed));
    }
    write("image/rich".into(), image::input(&body(&rich().store)));
    write("image/empty".into(), image::input(&body(&holdfast_engine::store::Store::new(1))));
    let mut lock = Lock::new(5);
    let _ = lock.acquire(START, b"owner", 1_000);
    write("image/lock".into(), image::lock_input(&lock));
    let pieces = saved(&rich().store);
    let loads: Vec<_> = pieces.iter().map(|piece| line([&b"0"[..], b"LOAD", piece])).collect();
    write("replicated/load".into(), loads.join(&b'\n'));
}

/// What clients say in the world of a seed, and what is replicated of it.
fn of_world(seed: u64) -> (Bytes, Bytes) {
    let (mut commands, mut replicated) = (Vec::new(), Vec::new());
    let mut node = Node::new(1_000, START, 1);
    node.server.primary.set(true);
    for action in opening().into_iter().map(Action::Call).chain(actions(seed)).take(150) {
        match action {
            Action::Call(command) => {
                let Some((name, rest)) = words(&aimed(&node, command)) else { continue };
                commands.push(line([name.to_bytes()].into_iter().chain(rest.iter().map(Vec::as_slice))));
                let _ = node.command(name, &rest);
            }
            Action::Pass(ms) => {
                commands.push(format!("+{ms}").into_bytes());
                node.pass(ms);
                node.tick();
            }
            _ => {}
        }
        replicated.extend(node.server.sent.take().iter().map(sent));
    }
    (commands.join(&b'\n'), replicated.join(&b'\n'))
}

fn aimed(node: &Node, command: Command) -> Command {
    node.store(|value| command.clone().aimed(&value.store)).unwrap_or(command)
}

fn sent(sent: &Sent) -> Bytes {
    let stamp = sent.stamp.map_or_else(|| b"-".to_vec(), |stamp| stamp.to_string().into_bytes());
    line([&stamp[..], &sent.name].into_iter().chain(sent.rest.iter().map(Vec::as_slice)))
}

/// Bytes for a world of a hundred steps.
fn random(seed: u64) -> Bytes {
    let mut random = super::Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..400).map(|_| random.below(256) as u8).collect()
}
