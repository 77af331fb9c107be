//! The record of a worker that has orders under a lease.

use std::collections::BTreeMap;

use crate::base::slab::Record;
use crate::base::table::Keyed;
use crate::base::units::Bytes;

/// A worker that has orders under a lease.
pub(crate) struct Worker {
    pub id: Bytes,
    /// The orders' slots by their tokens: in the order they were claimed.
    pub claims: BTreeMap<u64, u32>,
    vacant: Option<u32>,
}

impl Worker {
    pub fn new(id: &[u8]) -> Self {
        Worker { id: id.into(), claims: BTreeMap::new(), vacant: None }
    }
}

impl Keyed for Worker {
    fn id(&self) -> &[u8] {
        &self.id
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
