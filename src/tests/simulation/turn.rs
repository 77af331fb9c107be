//! One turn of the primary: what it did is done by the model too, and has to be the same.

use std::collections::BTreeSet;
use std::ffi::CStr;

use super::history::Item;
use super::words::{failure, is_reply};
use super::world::World;
use crate::host::simulated::{Bytes, Part, Sent};
use crate::host::{OwnStr, Stop};
use crate::store::fields::kind_name;
use crate::store::repair::Comparison;
use holdfast_engine::base::units::Ms;
use holdfast_engine::oracle::command::{Command, Id, Reply, code};
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
}

/// What a client said, and what it got.
pub struct Said {
    pub command: Command,
    pub name: &'static CStr,
    pub rest: Vec<Bytes>,
    pub done: Result<Vec<Part>, Stop>,
}

impl Said {
    /// A claim in the name of a caller who waited.
    pub fn handed_out(command: Command, tokens: &[(Id, u64)]) -> Said {
        let part = |(order, token): &(Id, u64)| {
            [Part::Map(9), Part::Nil, Part::Bulk(order.clone()), Part::Nil, Part::Int(*token as i64)]
        };
        Said { command, name: c"ORDER.CLAIM", rest: Vec::new(), done: Ok(tokens.iter().flat_map(part).collect()) }
    }

    /// Whether this is how it was replicated.
    fn is(&self, sent: &Sent) -> bool {
        self.name.to_bytes() == sent.name && (self.rest.is_empty() || self.rest == sent.rest)
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
        Turn { time: node.time(), digest: node.digest(), keys: node.server.names() }
    }

    /// The model does what was done.
    pub fn end_turn(&mut self, turn: Turn, said: Option<Said>) {
        let sent = self.primary().server.sent.take();
        let mut said = said.filter(|said| !self.is_refused_by_the_server(said));
        let mut known = None;
        let mut moved = Vec::new();
        for sent in &sent {
            match said.take_if(|said| said.is(sent)) {
                Some(said) => {
                    assert!(sent.stamp.is_none_or(|stamp| stamp == turn.time), "{sent:?} at {}", turn.time);
                    let (outcome, changed) = self.do_as_said(turn.time, &said);
                    assert!(changed, "{:?} changes nothing, and is replicated", said.command);
                    known = Some((said, outcome));
                }
                None => self.follow(sent, &mut moved),
            }
        }
        if let Some(said) = said {
            let (outcome, changed) = self.do_as_said(turn.time, &said);
            assert!(!changed, "{:?} changes something, and is not replicated", said.command);
            known = Some((said, outcome));
        }
        known.iter().for_each(|(said, outcome)| check_reply(said, outcome, &moved));
        self.check_turn(&turn, !sent.is_empty());
        self.replicated(sent.into_iter().map(Item::Sent).collect());
    }

    /// What the server itself refuses is let in later.
    fn is_refused_by_the_server(&self, said: &Said) -> bool {
        let server = &self.primary().server;
        let Err(Stop::Server(text)) = &said.done else {
            let new =
                matches!(&said.command, Command::Place { order, .. } if !self.truth.model.orders.contains_key(order));
            assert!(!(new && server.memory_full.get() && said.done.is_ok()), "{:?} is let in", said.command);
            return false;
        };
        match text.split(' ').next() {
            Some("OOM") => {
                assert!(server.memory_full.get(), "memory is not full");
                let takes_in = matches!(
                    said.command,
                    Command::Place { .. }
                        | Command::Reserve { .. }
                        | Command::SetStock { .. }
                        | Command::Sync { .. }
                        | Command::Configure(_)
                );
                assert!(takes_in, "{:?} takes nothing in", said.command);
            }
            Some("TRYAGAIN") => assert!(self.is_moving(), "{text}, and nothing moves"),
            _ => panic!("{:?}: {text}", said.command),
        }
        true
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
        if !self.truth.exists && outcome.is_ok() {
            (self.truth.model, self.truth.exists) = (new, true);
        }
        (outcome, changed)
    }

    /// What was done without a client's word, or for somebody who waits.
    fn follow(&mut self, sent: &Sent, moved: &mut Vec<Moved>) {
        let number = |at: usize| -> u64 { text(&sent.rest[at]).parse().expect("a number") };
        let command = match &sent.name[..] {
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
                self.truth = super::history::Truth::default();
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
        if self.is_moving() {
            let made = node.server.names().difference(&turn.keys).next().cloned();
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
