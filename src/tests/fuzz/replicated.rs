//! What a replica gets from its primary, and a server from its log. A primary sends only what it did itself, but a log
//! is a file, and what is sent was perhaps made by another version.

use super::commands::known;
use super::script::{Step, steps};
use crate::commands::tests::any_host;
use crate::host::simulated::Bytes;
use crate::store::{apply, saved};
use crate::tests::simulation::node::Node;
use holdfast_engine::base::units::Ms;
use holdfast_engine::oracle::shop::{START, audited};

/// Runs the lines of an input: a stamp, or `-` for none, a name and words. Whatever comes, the books balance.
pub fn run(input: &[u8]) {
    let mut node = Node::new(50, START, 1);
    for step in steps(input) {
        match step {
            Step::Pass(ms) => node.pass(ms),
            Step::Server(word) => node.server.loading.set(word == b"loading"),
            Step::Command(words) => receive(&node, &words),
        }
    }
    saved::forget_pieces();
}

fn receive(node: &Node, words: &[Bytes]) {
    let [stamp, name, rest @ ..] = words else { return };
    let stamp: Option<Ms> = std::str::from_utf8(stamp).ok().and_then(|text| text.parse().ok());
    // HOLDFAST.APPLY reads the stamp as a signed integer, which is no negative one.
    let stamp = stamp.filter(|stamp| i64::try_from(*stamp).is_ok());
    match known(name) {
        Some(name) => {
            let replayed = stamp.map_or(name, |_| c"HOLDFAST.APPLY");
            *node.server.command.borrow_mut() = Some((name, b"p".to_vec(), rest.to_vec()));
            let _ = node.call(replayed, rest, stamp, |call| any_host::run(call, name.to_bytes()));
        }
        None => {
            let stamp = Some(stamp.unwrap_or(START));
            let _ = node.call(c"HOLDFAST.APPLY", rest, stamp, |call| apply::apply(call, name));
        }
    }
    node.server.replies.take();
    assert!(node.server.sent.take().is_empty(), "who receives replicates nothing");
    let found = node.open(|value| audited(&mut value.store, 1_000));
    assert_eq!(found.unwrap_or_default(), [], "the books balance");
}
