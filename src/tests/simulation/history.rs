//! What was replicated: what replicas get, and what a log has.

use std::rc::Rc;

use super::action::Meddling;
use super::locks::LockTruth;
use crate::host::simulated::{Sent, Stream};
use holdfast_engine::base::units::Ms;
use holdfast_engine::oracle::model::Model;
use holdfast_engine::terms::streams::StreamKind;

/// Something that was replicated.
#[derive(Clone, Debug)]
pub enum Item {
    /// By the module.
    Sent(Sent),
    /// By the server: somebody else changed a stream.
    Stream(StreamKind, Change),
}

/// What somebody else does to a stream.
#[derive(Clone, Debug)]
pub enum Change {
    /// Adds an entry that is nobody's.
    Add((u64, u64)),
    Remove((u64, u64)),
    /// Takes the stream away.
    Take,
    /// Puts one there.
    Give(Stream),
}

/// What is to be true.
#[derive(Clone, Default)]
pub struct Truth {
    pub model: Model,
    /// Whether there is a store.
    pub exists: bool,
    /// Whether outsiders changed the lists of orders since they were repaired.
    pub is_meddled: bool,
    pub lock: LockTruth,
}

/// What one command, or one turn of what is done without a command, replicated: all of it or nothing gets through. A
/// server puts MULTI and EXEC around it.
pub struct Group {
    pub items: Vec<Item>,
    /// What the primary had after it.
    pub digest: Option<u128>,
    pub streams: u64,
    pub truth: Rc<Truth>,
}

impl Meddling {
    /// What an outsider changes in a stream, by what it has and the time.
    pub fn changes(self, stream: &Stream, now: Ms) -> Vec<Change> {
        let ids = || stream.entries.keys().copied();
        let ahead = |id: (u64, u64)| Some(Change::Add(id)).filter(|_| id > stream.last).into_iter().collect();
        match self {
            Meddling::Push(ms) => ahead((now + ms, 5)),
            Meddling::Fill => ahead((u64::MAX, u64::MAX)),
            Meddling::Remove(at) => {
                ids().nth(at % stream.entries.len().max(1)).map(Change::Remove).into_iter().collect()
            }
            Meddling::Trim(keep) => ids().take(stream.entries.len().saturating_sub(keep)).map(Change::Remove).collect(),
            Meddling::Delete => vec![Change::Take],
            Meddling::Expire => Vec::new(),
        }
    }
}
