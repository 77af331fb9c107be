//! What clients send, word by word.

use std::ffi::CStr;
use std::rc::Rc;

use super::script::{Step, steps};
use crate::commands::TABLE;
use crate::commands::tests::any_host;
use crate::host::Stop;
use crate::host::simulated::{Bytes, Part, Sent};
use crate::store::slices::{Job, Outcome, Task};
use crate::tests::simulation::history::Item;
use crate::tests::simulation::node::Node;
use holdfast_engine::oracle::shop::{START, audited};

/// The command of a name, in any case, if the simulated server runs it.
pub fn known(name: &[u8]) -> Option<&'static CStr> {
    let names = TABLE.iter().map(|command| command.about.name);
    let is_store = |name: &[u8]| !name.starts_with(b"LOCK.") && !name.starts_with(b"HOLDFAST.");
    names.into_iter().find(|known| known.to_bytes().eq_ignore_ascii_case(name) && is_store(known.to_bytes()))
}

/// A primary and its replica.
struct Pair {
    primary: Node,
    replica: Node,
}

/// Runs the lines of an input. Lines are `+ms`, `!full` or `!reload`, or a command without its key: there is one store.
///
/// After each the books balance; one that is refused has changed nothing; a reply is whole; and the replica, which gets
/// what was replicated, is the same.
pub fn run(input: &[u8]) {
    let mut pair = Pair { primary: Node::new(1_000, START, 1), replica: Node::new(50, START + 2_000, 2) };
    pair.primary.server.primary.set(true);
    for step in steps(input) {
        match step {
            Step::Pass(ms) => pair.pass(ms),
            Step::Server(word) => pair.server(&word),
            Step::Command(words) => pair.command(&words),
        }
    }
    pair.reload();
}

impl Pair {
    fn pass(&mut self, ms: u64) {
        self.primary.pass(ms);
        self.replica.pass(ms);
        self.primary.tick();
        self.deliver();
    }

    fn server(&mut self, word: &[u8]) {
        match word {
            b"full" => self.primary.server.memory_full.set(!self.primary.server.memory_full.get()),
            b"cluster" => self.primary.server.cluster.set(true),
            _ => self.reload(),
        }
    }

    fn command(&mut self, words: &[Bytes]) {
        let Some((name, rest)) = words.split_first() else { return };
        let Some(name) = known(name) else { return };
        // What is due by now is no change of the command.
        self.pass(0);
        let digest = self.primary.digest();
        let done = self.primary.command(name, rest);
        let is_refused = done.is_err();
        match done {
            Ok(None) => assert!(is_whole(&self.primary.server.replies.take()), "a reply that is not whole"),
            Ok(Some(task)) => self.work(task),
            Err(Stop::Replied | Stop::Refused(_) | Stop::Server(_)) => {}
        }
        let is_same = digest == self.primary.digest();
        assert!(!is_refused || is_same, "what is refused changes nothing");
        let has_sent = !self.primary.server.sent.borrow().is_empty();
        assert!(is_same || has_sent, "what changes something is replicated");
        self.audit();
        self.deliver();
    }

    /// Does long work to its end.
    fn work(&self, task: Task) {
        let Ok(mut job) = self.primary.call(c"", &[], None, |call| Job::new(call, task)) else { return };
        loop {
            match job.slice(&self.primary.server) {
                None => {}
                Some(Outcome::Differences(found)) => return assert_eq!(found, [], "an audit"),
                Some(_) => return,
            }
        }
    }

    fn audit(&self) {
        let found = self.primary.open(|value| audited(&mut value.store, 1_000));
        assert_eq!(found.unwrap_or_default(), [], "the books balance");
    }

    /// The replica gets what was replicated.
    fn deliver(&mut self) {
        let sent: Vec<Sent> = self.primary.server.sent.take();
        if sent.is_empty() {
            return;
        }
        sent.into_iter().for_each(|sent| self.replica.receive(&Item::Sent(sent)));
        assert_eq!(self.replica.digest(), self.primary.digest(), "the replica's store");
    }

    /// The primary is saved and loaded.
    fn reload(&mut self) {
        assert_eq!(self.replica.streams(), self.primary.streams(), "the replica's streams");
        let digest = self.primary.digest();
        self.primary.save(false);
        let disk = Rc::clone(&self.primary.disk);
        self.primary.start(&disk, &[]);
        assert_eq!(self.primary.digest(), digest, "what is loaded is what was saved");
        self.audit();
        self.pass(0);
    }
}

/// Whether the parts are one reply, with as many elements as its arrays and maps say.
fn is_whole(parts: &[Part]) -> bool {
    let mut wanted = 1;
    for part in parts {
        if wanted == 0 {
            return false;
        }
        wanted -= 1;
        wanted += match part {
            Part::Array(len) => *len,
            Part::Map(len) => 2 * len,
            _ => 0,
        };
    }
    wanted == 0
}

/// A command with its words, as a client of the store `p` sends it.
pub fn said(server: &Node, words: &[&[u8]]) -> Result<Vec<Part>, Stop> {
    let name = known(words[0]).expect("a command");
    let rest: Vec<Bytes> = words[1..].iter().map(|word| word.to_vec()).collect();
    server.command(name, &rest).map(|_| server.server.replies.take())
}

#[test]
fn the_simulated_server_runs_every_command_of_a_store() {
    let node = Node::new(1_000, START, 1);
    for command in TABLE.iter().filter_map(|command| known(command.about.name.to_bytes())) {
        let done = node.call(command, &[], None, |call| any_host::run(call, command.to_bytes()).is_some());
        assert!(done, "{}", command.to_string_lossy());
    }
}

#[test]
fn a_whole_reply_has_what_it_says() {
    let whole = [Part::Array(2), Part::Map(1), Part::Int(1), Part::Nil, Part::Int(2)];
    assert!(is_whole(&whole));
    assert!(!is_whole(&whole[..4]) && !is_whole(&[Part::Nil, Part::Nil]) && !is_whole(&[]));
}
