//! What a call wants done outside: stream entries and keyspace events. Slots in here are good until the next call.

use smallvec::SmallVec;

use crate::terms::alerts::Alert;
use crate::terms::journal::Movement;
use crate::terms::metrics::Sample;
use crate::terms::streams::{EntryId, StreamKind};

/// A keyspace event on the store's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    OrderPlaced,
    OrderQueued,
    OrderGated,
    OrderPassed,
    OrderCompleted,
    OrderCancelled,
    OrderReturned,
    OrderClaimed,
    OrderRenewed,
    OrderYielded,
    OrderLeaseEnded,
    OrderFailed,
    OrderRetry,
    OrderDead,
    OrderRedriven,
    OrderAdvanced,
    OrderEdited,
    OrderSplit,
    OrderLate,
    HoldReserved,
    HoldExtended,
    HoldCommitted,
    HoldReleased,
    HoldExpired,
    StockChanged,
    StockLow,
    StockOut,
    StoreChanged,
}

impl Event {
    /// The event's name, as subscribers see it.
    pub fn name(self) -> &'static std::ffi::CStr {
        match self {
            Event::OrderPlaced => c"order.placed",
            Event::OrderQueued => c"order.queued",
            Event::OrderGated => c"order.gated",
            Event::OrderPassed => c"order.passed",
            Event::OrderCompleted => c"order.completed",
            Event::OrderCancelled => c"order.cancelled",
            Event::OrderReturned => c"order.returned",
            Event::OrderClaimed => c"order.claimed",
            Event::OrderRenewed => c"order.renewed",
            Event::OrderYielded => c"order.yielded",
            Event::OrderLeaseEnded => c"order.lease-ended",
            Event::OrderFailed => c"order.failed",
            Event::OrderRetry => c"order.retry",
            Event::OrderDead => c"order.dead",
            Event::OrderRedriven => c"order.redriven",
            Event::OrderAdvanced => c"order.advanced",
            Event::OrderEdited => c"order.edited",
            Event::OrderSplit => c"order.split",
            Event::OrderLate => c"order.late",
            Event::HoldReserved => c"hold.reserved",
            Event::HoldExtended => c"hold.extended",
            Event::HoldCommitted => c"hold.committed",
            Event::HoldReleased => c"hold.released",
            Event::HoldExpired => c"hold.expired",
            Event::StockChanged => c"stock.changed",
            Event::StockLow => c"stock.low",
            Event::StockOut => c"stock.out",
            Event::StoreChanged => c"store.changed",
        }
    }
}

/// One thing to be done outside, in the order they happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Add the order's entry to `…:orders`.
    Queued { order: u32, id: EntryId },
    /// Take an entry out of a stream.
    Left { kind: StreamKind, id: EntryId },
    /// Add the order's entry to `…:retry`.
    Retry { order: u32, id: EntryId },
    /// Add the order's entry to `…:dead`.
    Died { order: u32, id: EntryId },
    /// Add the order's entry to `…:complete` and trim it.
    Completed { order: u32, id: EntryId },
    /// Add a movement to `…:journal` and trim it.
    Moved(Box<Movement>),
    /// Add an alert to `…:alerts` and trim it.
    Alert(Box<Alert>),
    /// Add a sample to `…:metrics` and trim it.
    Sampled { id: EntryId, sample: Box<Sample> },
    /// Tell subscribers.
    Event(Event),
}

/// What a call has done: whether anything changed, and what is to be done outside.
#[derive(Debug, Default)]
pub struct Effects {
    /// Whether the state changed: only then is the call replicated.
    pub changed: bool,
    /// In order.
    pub list: SmallVec<[Effect; 4]>,
}

impl Effect {
    /// The stream that is written, if one is.
    pub fn stream(&self) -> Option<StreamKind> {
        Some(match self {
            Effect::Queued { .. } => StreamKind::Orders,
            Effect::Left { kind, .. } => *kind,
            Effect::Retry { .. } => StreamKind::Retry,
            Effect::Died { .. } => StreamKind::Dead,
            Effect::Completed { .. } => StreamKind::Complete,
            Effect::Moved(_) => StreamKind::Journal,
            Effect::Alert(_) => StreamKind::Alerts,
            Effect::Sampled { .. } => StreamKind::Metrics,
            Effect::Event(_) => return None,
        })
    }
}

impl Effects {
    /// The streams that are written, each once.
    pub fn streams(&self) -> SmallVec<[StreamKind; StreamKind::ALL.len()]> {
        let mut kinds = SmallVec::new();
        for kind in self.list.iter().filter_map(Effect::stream) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.list.push(Effect::Event(event));
    }
}
