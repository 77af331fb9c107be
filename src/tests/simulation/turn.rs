//! One turn of the primary: what it did is done by the model too, and has to be the same.

use std::collections::BTreeSet;
use std::ffi::CStr;

use super::history::{Item, Truth};
use super::node::{LOCK, stream_key};
use super::words::{failure, is_reply};
use super::world::World;
use crate::host::simulated::{Bytes, Part, Sent};
use crate::host::{OwnStr, Stop};
use crate::store::fields::kind_name;
use crate::store::repair::Comparison;
use holdfast_engine::base::units::Ms;
use holdfast_engine::oracle::command::{Command, Reply, code};
use holdfast_engine::oracle::compare::Compared;
use holdfast_engine::oracle::model::{Model, Outcome};
use holdfast_engine::terms::refusal::Code;
use holdfast_engine::terms::states::OrderState;
use holdfast_engine::terms::streams::{EntryId, StreamKind};

/// How it was before a turn.
pub struct Turn {
    time: Ms,
    digest: Option<u128>,
    keys: BTreeSet<Bytes>,
    /// Streams that are on the other node while the slot moves.
    pub missing: Vec<StreamKind>,
    /// Streams that the store has written to.
    pub made: Vec<StreamKind>,
}

/// What a client said, and what it got.
pub struct Said {
    pub command: Command,
    pub name: &'static CStr,
    pub rest: Vec<Bytes>,
    pub done: Result<Vec<Part>, Stop>,
    /// Whether it has done without its claim, as others wait before its caller.
    pub is_shortened: bool,
}

impl Said {
    /// Whether this is how it was replicated.
    fn is(&self, sent: &Sent) -> bool {
        self.name.to_bytes() == sent.name && (self.rest == sent.rest || self.alone() == Some(&sent.rest))
    }

    /// What a completion says that is to claim, without that.
    fn alone(&self) -> Option<&[Bytes]> {
        let at = self.rest.iter().position(|word| word == b"CLAIM")?;
        Some(&self.rest[..at]).filter(|_| matches!(self.command, Command::CompleteAndClaim { .. }))
    }

    /// A completion that was replicated without its claim claims nothing.
    fn shorten(&mut self, sent: &Sent) {
        if self.rest != sent.rest
            && let Command::CompleteAndClaim { order, token, result, .. } = &self.command
        {
            self.command = Command::Complete { order: order.clone(), token: *token, result: result.clone() };
            self.is_shortened = true;
        }
    }
}

/// An entry that its stream put elsewhere.
struct Moved {
    kind: StreamKind,
    from: EntryId,
    to: EntryId,
}

impl World {
    pub fn begin_turn(&self) -> Turn {
        let node = self.primary();
        let (keys, expired) = (node.server.names(), node.server.expired.borrow().clone());
        let is_here = |name: &[u8]| keys.contains(name) && !expired.contains(name);
        let is_missing = |kind: &StreamKind| self.is_moving() && !is_here(stream_key(*kind).as_bytes());
        let missing = StreamKind::ALL.into_iter().filter(is_missing).collect();
        let made = |kind: &StreamKind| node.store(|value| value.store.last_entry(*kind)) > Some(EntryId::default());
        let made = StreamKind::ALL.into_iter().filter(made).collect();
        Turn { time: node.time(), digest: node.digest(), missing, made, keys: node.server.names() }
    }

    /// The model does what was done.
    pub fn end_turn(&mut self, turn: Turn, said: Option<Said>) {
        let sent = self.primary().server.sent.take();
        let (mut said, mut known) = (said, None);
        let mut moved = Vec::new();
        for sent in &sent {
            if sent.key == LOCK {
                self.follow_lock(sent);
                continue;
            }
            match said.take_if(|said| !self.is_for_a_caller(sent) && said.is(sent)) {
                Some(mut said) => {
                    said.shorten(sent);
                    assert!(!said.is_shortened || self.is_waited_for(), "{sent:?}, and nobody waits");
                    assert!(sent.stamp.is_none_or(|stamp| stamp == turn.time), "{sent:?} at {}", turn.time);
                    assert!(!self.is_refused_by_the_server(&turn, &said), "{sent:?}, and refused");
                    let (outcome, changed) = self.do_as_said(turn.time, &said);
                    assert!(changed, "{:?} changes nothing, and is replicated", said.command);
                    self.outcomes.count(said.name, &said.done, true);
                    known = Some((said, outcome));
                }
                None => self.follow(sent, &mut moved),
            }
        }
        if let Some(said) = said {
            self.outcomes.count(said.name, &said.done, false);
            if !self.is_refused_by_the_server(&turn, &said) && !self.is_behind(&turn, &said) {
                let (outcome, changed) = self.do_as_said(turn.time, &said);
                assert!(!changed, "{:?} changes something, and is not replicated", said.command);
                known = Some((said, outcome));
            }
        }
        known.iter().for_each(|(said, outcome)| check_reply(said, outcome, &moved));
        self.check_turn(&turn, !sent.is_empty());
        self.replicated(sent.into_iter().map(Item::Sent).collect());
    }

    /// Whether a claim got nothing as others wait before its caller, and the turn had no time for all of them.
    fn is_behind(&self, turn: &Turn, said: &Said) -> bool {
        let is_empty = matches!(&said.done, Ok(parts) if parts[..] == [Part::Array(0)]);
        matches!(said.command, Command::Claim { .. }) && is_empty && self.is_one_to_serve(turn.time)
    }

    fn do_as_said(&mut self, time: Ms, said: &Said) -> (Outcome, bool) {
        let parts = said.done.as_deref().unwrap_or_default();
        let replied = failure(parts).filter(|_| matches!(said.command, Command::Fail { .. })).map(Reply::Failed);
        let mut new = Model::default();
        let model = if self.truth.exists { &mut self.truth.model } else { &mut new };
        let makes = matches!(said.command, Command::Configure(_) | Command::SetStock { .. } | Command::Sync { .. });
        if !self.truth.exists && !makes {
            return (Err(vec!["NOSTORE"]), false);
        }
        model.replied = replied;
        let (outcome, _, changed) = model.apply(time, &said.command);
        let outcome = match outcome {
            Ok(Reply::Entry(id)) if said.is_shortened => Ok(Reply::Next(id, None)),
            outcome => outcome,
        };
        if !self.truth.exists && outcome.is_ok() {
            (self.truth.model, self.truth.exists) = (new, true);
        }
        match &outcome {
            Ok(Reply::Claimed(orders)) => self.check_overtaken(orders),
            Ok(Reply::Next(_, Some(order))) if changed => self.check_overtaken(std::slice::from_ref(order)),
            _ => {}
        }
        (outcome, changed)
    }

    /// What was done without a client's word, or for somebody who waits.
    fn follow(&mut self, sent: &Sent, moved: &mut Vec<Moved>) {
        let number = |at: usize| -> u64 { text(&sent.rest[at]).parse().expect("a number") };
        let command = match &sent.name[..] {
            b"ORDER.CLAIM" => return self.follow_caller(sent),
            b"SWEEP" => Command::Sweep { budget: number(0) },
            b"SAMPLE" => Command::Sample { refused: sent.rest.chunks(2).map(refusals).collect() },
            b"TAKEBACK" => Command::TakeBack { order: sent.rest[0].clone(), token: number(1) },
            b"ORDER.REDRIVE" => Command::Redrive { order: sent.rest[0].clone() },
            b"ORDER.CANCEL" => Command::Cancel { order: sent.rest[0].clone(), reason: Vec::new() },
            b"REENTRY" => {
                let kind = StreamKind::ALL.into_iter().find(|kind| kind_name(*kind).to_bytes() == sent.rest[0]);
                let id = EntryId { ms: number(2), seq: number(3) as u32 };
                let kind = kind.expect("a stream");
                let from = self.truth.model.entered(kind, &sent.rest[1], id);
                moved.extend(from.map(|from| Moved { kind, from, to: id }));
                return;
            }
            b"STORE.DROP" => {
                self.truth = Truth { lock: std::mem::take(&mut self.truth.lock), ..Truth::default() };
                return;
            }
            b"REMOVED" | b"DEL" => return,
            _ => panic!("{sent:?} is replicated, and nobody said it"),
        };
        let stamp = sent.stamp.expect("a stamp");
        let (outcome, _, changed) = self.truth.model.apply(stamp, &command);
        assert!(outcome.is_ok() && changed, "{sent:?} does nothing: {outcome:?}");
    }

    /// What holds after every turn.
    fn check_turn(&mut self, turn: &Turn, has_changed: bool) {
        let node = self.primary();
        let digest = node.digest();
        assert!(has_changed || digest == turn.digest, "something changed, and was not replicated");
        assert_eq!(digest.is_some(), self.truth.exists, "whether there is a store");
        self.check_lock();
        if self.is_moving() {
            let made = node.server.names().difference(&turn.keys).find(|name| **name != LOCK).cloned();
            assert_eq!(made, None, "made while its slot moves");
        }
        if has_changed && self.truth.exists {
            let (now, truth) = (node.time(), &self.truth);
            node.open(|value| Compared { store: &mut value.store, model: &truth.model, now }.check());
            self.check_ends();
            self.check_streams();
        }
    }

    /// Nobody waits for what is available, and nobody is counted twice.
    fn check_ends(&self) {
        for order in self.truth.model.orders.values() {
            let is_over = matches!(order.state, OrderState::Completed | OrderState::Cancelled);
            assert_eq!(is_over, order.ended_at > 0, "{order:?}");
        }
    }

    /// The lists of orders are what the books say, unless an outsider changed them since they were repaired.
    pub fn check_streams(&self) {
        if self.truth.is_meddled || self.is_moving() {
            return;
        }
        let (key, mut comparison) = (OwnStr::new(super::node::KEY), Comparison::default());
        let server = &self.primary().server;
        let differences = self.primary().store(|value| {
            std::iter::repeat_with(|| comparison.slice(server, key.get(), &value.store).expect("streams"))
                .find_map(|done| done)
        });
        assert_eq!(differences.flatten().unwrap_or_default(), [], "the streams are not what the books say");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A counter of refusals, as a sample has it.
fn refusals(pair: &[Bytes]) -> (&'static str, u64) {
    let code = Code::ALL.iter().find(|code| code.metric().as_bytes() == pair[0]).expect("a counter");
    (code.metric(), text(&pair[1]).parse().expect("a number"))
}

fn check_reply(said: &Said, outcome: &Outcome, moved: &[Moved]) {
    let command = &said.command;
    let kind = if said.name == c"ORDER.COMPLETE" { StreamKind::Complete } else { StreamKind::Orders };
    let entry_of = |id: EntryId| moved.iter().find(|moved| (moved.kind, moved.from) == (kind, id)).map_or(id, |m| m.to);
    match (&said.done, outcome) {
        (Ok(parts), Ok(wanted)) => {
            assert!(is_reply(parts, wanted, entry_of), "{command:?}: {parts:?}, and not {wanted:?}");
        }
        // Arguments are read first.
        (Err(Stop::Refused(refusal)), Err(codes)) => {
            let code = code(refusal);
            assert!(code == "ERR" || codes.contains(&&*code), "{command:?}: {refusal}, and not {codes:?}");
        }
        (done, wanted) => panic!("{command:?}: {done:?}, and not {wanted:?}"),
    }
}
