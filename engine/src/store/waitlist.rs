//! The waitlist: a line of orders for each SKU that orders wait for, all of them in the order in which these came.
//!
//! Units that come free are set aside at once for all who wait ([`Store::change_stock`]), and then handed on, first
//! come, first served: a few within the same command, the others in slices. An order is in the line of a SKU as long as
//! it still waits for units of it.
//!
//! [`Store::change_stock`]: crate::store::Store::change_stock

use std::collections::{BTreeMap, BTreeSet};

/// Orders that wait for stock.
#[derive(Default)]
pub(crate) struct Waitlist {
    /// The orders by the SKU and by their number among all that came.
    lines: BTreeMap<(u32, u64), u32>,
    /// The number of the first order of each line for which units are set aside.
    heads: BTreeMap<u32, u64>,
    /// The same lines by that number: who came first gets units first, whatever the SKU.
    turns: BTreeSet<(u64, u32)>,
}

/// An order to which units are to be handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The slot of the SKU.
    pub sku: u32,
    /// The order's number among all that came.
    pub seq: u64,
    /// The slot of the order.
    pub order: u32,
}

impl Waitlist {
    /// Adds an order to the line of a SKU.
    pub fn join(&mut self, sku: u32, seq: u64, order: u32) {
        self.lines.insert((sku, seq), order);
    }

    /// Takes an order out of the line of a SKU. [`Self::follow`] has to come after it.
    pub fn leave(&mut self, sku: u32, seq: u64) {
        self.lines.remove(&(sku, seq));
    }

    /// Notes whether units of a SKU are set aside, after that or its line changed.
    pub fn follow(&mut self, sku: u32, is_aside: bool) {
        let head = self.first(sku).filter(|_| is_aside).map(|(seq, _)| seq);
        let before = match head {
            Some(seq) => self.heads.insert(sku, seq),
            None => self.heads.remove(&sku),
        };
        if before == head {
            return;
        }
        before.map(|seq| self.turns.remove(&(seq, sku)));
        head.map(|seq| self.turns.insert((seq, sku)));
    }

    /// The first order of a SKU's line: its number and its slot.
    pub fn first(&self, sku: u32) -> Option<(u64, u32)> {
        self.lines.range((sku, 0)..=(sku, u64::MAX)).next().map(|((_, seq), order)| (*seq, *order))
    }

    /// Whose turn it is.
    pub fn next(&self) -> Option<Turn> {
        let (seq, sku) = *self.turns.first()?;
        self.lines.get(&(sku, seq)).map(|order| Turn { sku, seq, order: *order })
    }

    /// Whether units are set aside that are to be handed on.
    pub fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// The number of the order that is next to get units of a SKU, if any are set aside.
    pub fn head(&self, sku: u32) -> Option<u64> {
        let head = self.heads.get(&sku).copied();
        head.filter(|seq| self.turns.contains(&(*seq, sku)))
    }

    /// The order with a number in the line of a SKU.
    pub fn get(&self, sku: u32, seq: u64) -> Option<u32> {
        self.lines.get(&(sku, seq)).copied()
    }

    /// How many orders wait, each once for every SKU it waits for.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether each line for which units are set aside is known by the SKU and by the number of its first order.
    pub fn is_paired(&self) -> bool {
        self.turns.len() == self.heads.len()
    }

    /// Breaks the lines on purpose.
    #[cfg(test)]
    pub fn broken(&mut self) -> &mut BTreeMap<(u32, u64), u32> {
        &mut self.lines
    }

    /// Breaks the turns on purpose.
    #[cfg(test)]
    pub fn broken_turns(&mut self) -> &mut BTreeSet<(u64, u32)> {
        &mut self.turns
    }
}
