//! What came back of an order.

use crate::base::units::{MAX_QUANTITY, Ms};

/// Returns an order remembers; the oldest are added up. It bounds what one order can take, and the time to show it.
pub(crate) const RETURNS_MAX: usize = 100;

/// Units that came back at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnEvent {
    pub at: Ms,
    pub units: u64,
    /// Whether they were written off rather than put back.
    pub scrap: bool,
}

/// Earlier returns that are not remembered one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EarlierReturns {
    /// How many.
    pub count: u64,
    /// Their units.
    pub units: u64,
}

/// What came back of an order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Returns {
    /// Units, one number an item, in the order of the items.
    pub units: Vec<u64>,
    list: Vec<ReturnEvent>,
    earlier: EarlierReturns,
}

impl Returns {
    /// Of an order of these units by item, with these earlier returns.
    pub fn new(units: Vec<u64>, earlier: EarlierReturns) -> Self {
        Returns { units, list: Vec::new(), earlier }
    }

    /// Adds what came back last.
    pub fn push(&mut self, back: ReturnEvent) {
        if self.list.len() == RETURNS_MAX {
            let first = self.list.remove(0);
            self.earlier.count = self.earlier.count.saturating_add(1);
            self.earlier.units = self.earlier.units.saturating_add(first.units).min(MAX_QUANTITY);
        }
        self.list.push(back);
    }

    /// All that are remembered, first to last.
    pub fn list(&self) -> &[ReturnEvent] {
        &self.list
    }

    /// Those before them.
    pub fn earlier(&self) -> EarlierReturns {
        self.earlier
    }
}
