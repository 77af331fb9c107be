//! What calls tell, with orders named by id: slots differ between stores that are equal.

use super::command::Id;
use crate::store::Store;
use crate::terms::alerts::Alert;
use crate::terms::effects::{Effect, Effects, Event};
use crate::terms::journal::Movement;
use crate::terms::metrics::Sample;
use crate::terms::streams::{EntryId, StreamKind};

/// Something a call wants done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Published {
    Queued(Id, EntryId),
    Left(StreamKind, EntryId),
    Retry(Id, EntryId),
    Died(Id, EntryId),
    Completed(Id, EntryId),
    Moved(Movement),
    Alert(Alert),
    Sampled(EntryId, Box<Sample>),
    Event(Event),
}

/// What the last call of a store tells.
pub fn published(store: &Store, fx: &Effects) -> Vec<Published> {
    let id = |slot: u32| store.order_view(0, slot).id.to_vec();
    let published = |effect: &Effect| match effect {
        Effect::Queued { order, id: entry } => Published::Queued(id(*order), *entry),
        Effect::Left { kind, id } => Published::Left(*kind, *id),
        Effect::Retry { order, id: entry } => Published::Retry(id(*order), *entry),
        Effect::Died { order, id: entry } => Published::Died(id(*order), *entry),
        Effect::Completed { order, id: entry } => Published::Completed(id(*order), *entry),
        Effect::Moved(movement) => Published::Moved((**movement).clone()),
        Effect::Alert(alert) => Published::Alert((**alert).clone()),
        Effect::Sampled { id, sample } => Published::Sampled(*id, sample.clone()),
        Effect::Event(event) => Published::Event(*event),
    };
    fx.list.iter().map(published).collect()
}
