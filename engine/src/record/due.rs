//! What is due, and when.

use crate::base::units::Ms;

/// When something is due, and its number among all that is due: both together name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DueKey {
    /// Unix milliseconds.
    pub at: Ms,
    /// Grows with every deadline that is set, so that what is due in one millisecond is done in that order.
    pub seq: u64,
}

/// What is due, by slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// A live hold expires, an ended one is forgotten.
    Hold(u32),
    /// The lease of a claimed order or a gate of a pending one expires, the retry of a failed one is due, one that
    /// waits for stock stops waiting, an ended one is forgotten.
    Order(u32),
    /// A REF is forgotten.
    Ref(u32),
    /// Units are set aside for orders that wait for stock, and have to be handed on.
    Line,
}
