//! What somebody should look at, as `…:alerts` shows it: something that turned.

use crate::terms::streams::EntryId;

macro_rules! alerts {
    ($($kind:ident, $name:literal, $label:literal, $meaning:literal;)*) => {
        /// What turned.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum AlertKind { $(#[doc = $meaning] $kind,)* }

        impl AlertKind {
            /// Every kind there is.
            pub const ALL: &'static [AlertKind] = &[$(AlertKind::$kind,)*];

            /// The name clients see.
            pub const fn name(self) -> &'static str {
                match self { $(AlertKind::$kind => $name,)* }
            }

            /// A short title for people.
            pub const fn label(self) -> &'static str {
                match self { $(AlertKind::$kind => $label,)* }
            }

            /// What it means, in a sentence without its full stop.
            pub const fn meaning(self) -> &'static str {
                match self { $(AlertKind::$kind => $meaning,)* }
            }
        }
    };
}

alerts! {
    StockOut, "stock.out", "Sold out", "nothing of the SKU is available any more";
    StockLow, "stock.low", "Low", "the SKU has come to its low mark, or below it";
    StockIn, "stock.in", "Back in stock", "the SKU is available again after it was out";
    OrderLate, "order.late", "Late", "the order takes longer than the store promises (sla-ms)";
    OrderDead, "order.dead", "Dead", "the order ran out of attempts, and waits for somebody to redrive or cancel it";
    GateExpired, "gate.expired", "Gate expired", "the order was cancelled because a gate was not passed in time";
    WaitlistExpired, "waitlist.expired", "Wait expired",
        "the order was cancelled because its units did not come in time";
}

/// An entry of `…:alerts`. What a kind has nothing to say about is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Its id in the stream.
    pub id: EntryId,
    pub kind: AlertKind,
    /// The SKU's id, of an alert about stock.
    pub sku: Box<[u8]>,
    /// The order's id, of an alert about an order.
    pub order: Box<[u8]>,
    /// Units of the SKU that are available now.
    pub available: Option<i64>,
    pub reason: Box<[u8]>,
}
