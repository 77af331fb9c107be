//! The waitlist: a line of orders for each SKU that orders wait for, all of them in the order in which these came.
//!
//! Units that come free are set aside at once for all who wait ([`Store::change_stock`]), and then handed on, first
//! come, first served: a few within the same command, the others in slices. An order is in the line of a SKU as long as
//! it still waits for units of it.
//!
//! [`Store::change_stock`]: crate::store::Store::change_stock

use std::collections::{BTreeMap, BTreeSet};

use crate::terms::streams::EntryId;

/// Orders that wait for stock.
#[derive(Default)]
pub(crate) struct Waitlist {
    /// The orders by the SKU and by when they came.
    lines: BTreeMap<(u32, Came), u32>,
    /// When the first order of each line came for which units are set aside.
    heads: BTreeMap<u32, Came>,
    /// The same lines by that: who came first gets units first, whatever the SKU.
    turns: BTreeSet<(Came, u32)>,
}

/// The place of an order in every line that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Came {
    /// Its number among the orders that came. The parts of an order that was split have the same.
    pub seq: u64,
    /// The id that was kept free for its entry: of the parts of an order, those split off later come later.
    pub kept_free: EntryId,
}

/// An order to which units are to be handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The slot of the SKU.
    pub sku: u32,
    /// The order's place.
    pub came: Came,
    /// The slot of the order.
    pub order: u32,
}

impl Came {
    /// Before and after every order's place.
    const FIRST: Came = Came { seq: 0, kept_free: EntryId { ms: 0, seq: 0 } };
    const LAST: Came = Came { seq: u64::MAX, kept_free: EntryId { ms: u64::MAX, seq: u32::MAX } };
}

impl Waitlist {
    /// Adds an order to the line of a SKU.
    pub fn join(&mut self, sku: u32, came: Came, order: u32) {
        self.lines.insert((sku, came), order);
    }

    /// Takes an order out of the line of a SKU. [`Self::follow`] has to come after it.
    pub fn leave(&mut self, sku: u32, came: Came) {
        self.lines.remove(&(sku, came));
    }

    /// Notes whether units of a SKU are set aside, after that or its line changed.
    pub fn follow(&mut self, sku: u32, is_aside: bool) {
        let head = self.first(sku).filter(|_| is_aside).map(|(came, _)| came);
        let before = match head {
            Some(came) => self.heads.insert(sku, came),
            None => self.heads.remove(&sku),
        };
        if before == head {
            return;
        }
        before.map(|came| self.turns.remove(&(came, sku)));
        head.map(|came| self.turns.insert((came, sku)));
    }

    /// The first order of a SKU's line: its place and its slot.
    pub fn first(&self, sku: u32) -> Option<(Came, u32)> {
        self.lines.range((sku, Came::FIRST)..=(sku, Came::LAST)).next().map(|((_, came), order)| (*came, *order))
    }

    /// Whose turn it is.
    pub fn next(&self) -> Option<Turn> {
        let (came, sku) = *self.turns.first()?;
        self.lines.get(&(sku, came)).map(|order| Turn { sku, came, order: *order })
    }

    /// Whether units are set aside that are to be handed on.
    pub fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// The place of the order that is next to get units of a SKU, if any are set aside.
    pub fn head(&self, sku: u32) -> Option<Came> {
        let head = self.heads.get(&sku).copied();
        head.filter(|came| self.turns.contains(&(*came, sku)))
    }

    /// The order at a place in the line of a SKU.
    pub fn get(&self, sku: u32, came: Came) -> Option<u32> {
        self.lines.get(&(sku, came)).copied()
    }

    /// How many orders wait, each once for every SKU it waits for.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether each line for which units are set aside is known by the SKU and by the place of its first order.
    pub fn is_paired(&self) -> bool {
        self.turns.len() == self.heads.len()
    }

    /// Breaks the lines on purpose.
    #[cfg(test)]
    pub fn broken(&mut self) -> &mut BTreeMap<(u32, Came), u32> {
        &mut self.lines
    }

    /// Breaks the turns on purpose.
    #[cfg(test)]
    pub fn broken_turns(&mut self) -> &mut BTreeSet<(Came, u32)> {
        &mut self.turns
    }
}
