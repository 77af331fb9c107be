//! What calls tell, with orders named by id: slots differ between stores that are equal.

use super::command::Id;
use crate::store::Store;
use crate::terms::effects::{Effect, Effects, Event};
use crate::terms::journal::Movement;
use crate::terms::metrics::Sample;
use crate::terms::streams::{EntryId, StreamKind};

/// Something a call wants done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Queued(Id, EntryId),
    Left(StreamKind, EntryId),
    Retry(Id, EntryId),
    Died(Id, EntryId),
    Completed(Id, EntryId),
    Moved(Movement),
    Sampled(EntryId, Box<Sample>),
    Event(Event),
}

/// What the last call of a store tells.
pub fn told(store: &Store, fx: &Effects) -> Vec<Told> {
    let id = |slot: u32| store.order_view(0, slot).id.to_vec();
    let told = |effect: &Effect| match effect {
        Effect::Queued { order, id: entry } => Told::Queued(id(*order), *entry),
        Effect::Left { kind, id } => Told::Left(*kind, *id),
        Effect::Retry { order, id: entry } => Told::Retry(id(*order), *entry),
        Effect::Died { order, id: entry } => Told::Died(id(*order), *entry),
        Effect::Completed { order, id: entry } => Told::Completed(id(*order), *entry),
        Effect::Moved(movement) => Told::Moved((**movement).clone()),
        Effect::Sampled { id, sample } => Told::Sampled(*id, sample.clone()),
        Effect::Event(event) => Told::Event(*event),
    };
    fx.list.iter().map(told).collect()
}
