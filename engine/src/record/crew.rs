//! Groups of orders, and the workers that have orders in hand.

use std::collections::BTreeMap;

use crate::base::slab::Record;
use crate::base::units::Bytes;
use crate::store::Queue;

/// A group: its orders are handed out one at a time, in the order placed.
pub(crate) struct Group {
    pub id: Bytes,
    /// Orders that name it, ended ones that are remembered included.
    pub refs: u64,
    /// Its open orders, first to last.
    pub queue: Queue,
    vacant: Option<u32>,
}

impl Group {
    pub fn new(id: &[u8]) -> Self {
        Group { id: id.into(), refs: 0, queue: Queue::EMPTY, vacant: None }
    }
}

impl Record for Group {
    fn vacant(next: u32) -> Self {
        Group { vacant: Some(next), ..Group::new(b"") }
    }

    fn next_vacant(&self) -> Option<u32> {
        self.vacant
    }
}

/// A worker that has orders in hand.
pub(crate) struct Worker {
    pub id: Bytes,
    /// The orders' slots by their tokens: as they were claimed.
    pub claims: BTreeMap<u64, u32>,
    vacant: Option<u32>,
}

impl Worker {
    pub fn new(id: &[u8]) -> Self {
        Worker { id: id.into(), claims: BTreeMap::new(), vacant: None }
    }
}

impl Record for Worker {
    fn vacant(next: u32) -> Self {
        Worker { vacant: Some(next), ..Worker::new(b"") }
    }

    fn next_vacant(&self) -> Option<u32> {
        self.vacant
    }
}
