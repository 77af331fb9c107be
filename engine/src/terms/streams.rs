//! Ids of stream entries. The engine chooses them, so that a replica and a replayed log write the same ones.

use crate::base::units::Ms;

/// The streams of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// Orders that wait or are being worked on.
    Orders,
    /// Orders that were completed.
    Complete,
    /// Movements of stock.
    Journal,
    /// Orders whose retry is due.
    Retry,
    /// Orders that ran out of attempts.
    Dead,
    /// Samples of the counters and gauges.
    Metrics,
    /// What somebody should look at.
    Alerts,
}

impl StreamKind {
    /// What follows the store's name in the stream's key.
    pub fn suffix(self) -> &'static str {
        match self {
            StreamKind::Orders => ":orders",
            StreamKind::Complete => ":complete",
            StreamKind::Journal => ":journal",
            StreamKind::Retry => ":retry",
            StreamKind::Dead => ":dead",
            StreamKind::Metrics => ":metrics",
            StreamKind::Alerts => ":alerts",
        }
    }

    /// Every kind there is.
    pub const ALL: [StreamKind; 7] = [
        StreamKind::Orders,
        StreamKind::Complete,
        StreamKind::Journal,
        StreamKind::Retry,
        StreamKind::Dead,
        StreamKind::Metrics,
        StreamKind::Alerts,
    ];
}

/// The id of a stream entry, `ms-seq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    /// Unix milliseconds.
    pub ms: Ms,
    /// Counts the entries of one millisecond.
    pub seq: u32,
}

impl EntryId {
    /// The next id at `now` behind `self`: ids only grow, also when the clock stands still or steps back.
    pub fn next(self, now: Ms) -> EntryId {
        if now > self.ms {
            EntryId { ms: now, seq: 0 }
        } else if self.seq < u32::MAX {
            EntryId { ms: self.ms, seq: self.seq + 1 }
        } else {
            EntryId { ms: self.ms.saturating_add(1), seq: 0 }
        }
    }

    /// The smallest id of 32-bit sequence numbers that is at or past one of 64 bits.
    pub fn at_or_past(ms: Ms, seq: u64) -> EntryId {
        match u32::try_from(seq) {
            Ok(seq) => EntryId { ms, seq },
            Err(_) => EntryId { ms: ms.saturating_add(1), seq: 0 },
        }
    }
}

impl std::fmt::Display for EntryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// The last id of every stream of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastIds {
    pub orders: EntryId,
    pub complete: EntryId,
    pub journal: EntryId,
    pub retry: EntryId,
    pub dead: EntryId,
    pub metrics: EntryId,
    pub alerts: EntryId,
}

impl LastIds {
    pub fn of(&mut self, kind: StreamKind) -> &mut EntryId {
        match kind {
            StreamKind::Orders => &mut self.orders,
            StreamKind::Complete => &mut self.complete,
            StreamKind::Journal => &mut self.journal,
            StreamKind::Retry => &mut self.retry,
            StreamKind::Dead => &mut self.dead,
            StreamKind::Metrics => &mut self.metrics,
            StreamKind::Alerts => &mut self.alerts,
        }
    }

    pub fn next(&mut self, kind: StreamKind, now: Ms) -> EntryId {
        let last = self.of(kind);
        *last = last.next(now);
        *last
    }
}
