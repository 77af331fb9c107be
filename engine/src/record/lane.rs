//! The record of a lane: a named part of the queue.

use crate::base::slab::Record;
use crate::base::table::Keyed;
use crate::base::units::Bytes;
use crate::terms::states::OrderState;

/// A lane. It is in use while an order that has not ended is in it; its name is known for as long as an order that
/// named it is remembered.
pub(crate) struct Lane {
    pub id: Bytes,
    /// Orders that named it, by state.
    pub by_state: [u64; OrderState::COUNT],
    vacant: Option<u32>,
}

impl Lane {
    pub fn new(id: &[u8]) -> Self {
        Lane { id: id.into(), by_state: [0; OrderState::COUNT], vacant: None }
    }

    /// Whether an order that has not ended is in it.
    pub fn is_used(&self) -> bool {
        OrderState::ALL.into_iter().any(|state| state.is_in_lane() && self.by_state[state as usize] > 0)
    }

    /// Whether an order that is remembered named it.
    pub fn is_named(&self) -> bool {
        self.by_state.iter().any(|orders| *orders > 0)
    }
}

impl Keyed for Lane {
    fn id(&self) -> &[u8] {
        &self.id
    }
}

impl Record for Lane {
    fn vacant(next: u32) -> Self {
        Lane { vacant: Some(next), ..Lane::new(b"") }
    }

    fn next_vacant(&self) -> Option<u32> {
        self.vacant
    }
}
