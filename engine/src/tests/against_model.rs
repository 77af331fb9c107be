//! The engine against the model: the same replies or refusals, the same effects, the same books after every call.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::command::{Command, code};
use super::compare::Compared;
use super::generate::{Step, cases, opening, steps};
use super::model::Model;
use super::published::{Published, published};
use super::shop::{START, loaded, saved};
use crate::record::order::{self as record, Extra};
use crate::store::Store;
use crate::terms::effects::Effects;
use crate::terms::states::OrderState;

/// A store and what it should be.
struct Pair {
    store: Box<Store>,
    model: Model,
    now: u64,
    calls: Vec<Command>,
}

impl Pair {
    fn new() -> Pair {
        let mut pair = Pair { store: Box::new(Store::new(1)), model: Model::default(), now: START, calls: Vec::new() };
        opening().into_iter().for_each(|command| pair.call(command));
        pair
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Call(ms, command) => {
                self.now = self.now.saturating_add_signed(*ms);
                self.call(command.clone().aimed(&self.store));
            }
            Step::Again(ms, back) => {
                self.now = self.now.saturating_add_signed(*ms);
                let command = self.calls[self.calls.len().saturating_sub(*back)].clone();
                self.call(command);
            }
            Step::Reload => {
                let digest = self.store.digest();
                self.store = loaded(&saved(&self.store), self.calls.len() as u64).expect("a saved store loads");
                assert_eq!(self.store.digest(), digest, "a loaded store is the one that was saved");
                self.compare();
            }
        }
    }

    fn call(&mut self, command: Command) {
        let before = self.store.digest();
        let mut fx = Effects::default();
        let reply = command.apply(&mut self.store, self.now, &mut fx);
        self.model.replied = reply.clone().ok();
        let (outcome, published, changed) = self.model.apply(self.now, &command);
        match (&reply, &outcome) {
            (Ok(reply), Ok(wanted)) => assert_eq!(reply, wanted, "the reply of {command:?}"),
            (Err(refusal), Err(codes)) => {
                assert!(codes.contains(&&*code(refusal)), "{command:?}: {refusal}, and not {codes:?}");
            }
            _ => panic!("{command:?}: {reply:?}, and not {outcome:?}"),
        }
        assert_eq!(fx.changed, changed, "whether {command:?} changed anything");
        // A count or a setting that is set to what it is already, in the same millisecond, changes nothing there is to
        // see, and is published all the same; every other change shows.
        let absolute = matches!(
            command,
            Command::Configure(_) | Command::SetStock { .. } | Command::Reentry { .. } | Command::Sample { .. }
        );
        let same = self.store.digest() == before;
        assert!(same != fx.changed || same && absolute, "{command:?}: changed {changed}, digest the same {same}");
        self.compare_published(&fx, &published, &command);
        self.compare();
        self.calls.push(command);
    }

    /// Streams, journal and events: each in order, on its own.
    fn compare_published(&self, fx: &Effects, wanted: &[Published], command: &Command) {
        let published = published(&self.store, fx);
        let kinds: [fn(&&Published) -> bool; 4] = [
            |published| matches!(published, Published::Moved(_)),
            |published| matches!(published, Published::Event(_)),
            |published| matches!(published, Published::Alert(_)),
            |published| !matches!(published, Published::Moved(_) | Published::Event(_) | Published::Alert(_)),
        ];
        for kind in kinds {
            let (published, wanted) = (published.iter().filter(kind), wanted.iter().filter(kind));
            assert_eq!(published.collect::<Vec<_>>(), wanted.collect::<Vec<_>>(), "what {command:?} publishes");
        }
    }

    fn compare(&mut self) {
        Compared { store: &mut self.store, model: &self.model, now: self.now }.check();
    }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn the_engine_does_what_the_model_does(steps in steps(160)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.step(step);
        }
    }
}

#[test]
fn random_commands_reach_every_outcome() {
    // A generator that only ever bores the engine would prove nothing: over a few hundred runs it has to see every
    // refusal there is, every state of a hold and an order, every place an order can stand at, and every event.
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut codes, mut states, mut events) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut past, mut parts) = (false, BTreeSet::new());
    for _ in 0..400 {
        let list = steps(160).new_tree(&mut runner).unwrap().current();
        let (mut store, mut now) = (Store::new(1), START);
        let list = opening().into_iter().map(|command| Step::Call(0, command)).chain(list);
        for step in list {
            let Step::Call(ms, command) = step else { continue };
            now = now.saturating_add_signed(ms);
            let mut fx = Effects::default();
            let command = command.aimed(&store);
            let reply = command.apply(&mut store, now, &mut fx);
            past |= reply.is_ok() && matches!(&command, Command::Return { order, .. } if order == b"gone");
            codes.extend(reply.err().map(|refusal| code(&refusal)));
            states.extend(store.orders.records().iter().map(|(_, order)| order.state().name().to_string()));
            states.extend(store.orders.records().iter().map(|(_, order)| format!("{:?}", order.position)));
            let is_part = |order: &record::Order| {
                store.orders.extra(order).and_then(Extra::changed).is_some_and(|c| c.split_off != 0)
            };
            parts.extend(
                store
                    .orders
                    .records()
                    .iter()
                    .filter(|(_, order)| is_part(order))
                    .map(|(_, order)| order.state().name()),
            );
            states.extend(store.holds.records().iter().map(|(_, hold)| hold.state.name().to_string()));
            events.extend(published(&store, &fx).into_iter().filter_map(|published| match published {
                Published::Event(event) => event.name().to_str().ok(),
                _ => None,
            }));
        }
    }
    let joined = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(" ");
    let all = "BADSTATE CLOSED ERR EXPIRED FENCED GAP LIMIT MISMATCH NOGATE NOHOLD NOORDER NOSKU NOTOPEN OUTOFSTOCK";
    assert_eq!(joined(codes), all);
    let seats = "Ended Fifo InGroup Lane None Ready Retry";
    let all = "cancelled claimed committed completed dead expired live ordered pending queued released retrying \
               waitlisted";
    assert_eq!(joined(states), format!("{seats} {all}"));
    assert_eq!(events.len(), 28, "{events:?}");
    assert_eq!(parts.len(), OrderState::COUNT, "parts of orders: {parts:?}");
    assert!(past, "no unit of a forgotten order came back");
}
