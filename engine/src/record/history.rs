//! What happens to an order between its placing and its end, packed: ORDER.GET shows it.

use smallvec::SmallVec;

use crate::base::defrag::{Defrag, Move};
use crate::base::packed::{put, put_bytes, take, take_bytes};
use crate::base::units::Ms;

/// Events an order remembers; the oldest are dropped first. It bounds what an order that is retried or advanced for
/// ever takes.
pub(crate) const HISTORY_EVENTS_MAX: usize = 100;

/// Bytes of a reason that the history keeps; the streams and the order itself have all of it.
pub(crate) const REASON_BYTES: usize = 200;

/// One thing that happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryEvent<'a> {
    /// A worker claimed it, for this attempt (1 is the first).
    Claimed { at: Ms, worker: &'a [u8], token: u64, attempt: u64 },
    /// The attempt failed; its retry is due then (0: it had no more).
    Failed { at: Ms, attempt: u64, due: Ms, reason: &'a [u8] },
    /// The lease of the attempt ended.
    LeaseEnded { at: Ms, attempt: u64 },
    /// The worker gave it back.
    Yielded { at: Ms },
    /// It ran out of attempts.
    Dead { at: Ms, reason: &'a [u8] },
    /// It was queued again.
    Redriven { at: Ms },
    /// It came to a step of fulfilment.
    Step { at: Ms, step: &'a [u8], version: u64 },
    /// It got a gate, or one got another deadline (0: no end).
    Gated { at: Ms, gate: &'a [u8], until: Ms },
    /// It passed a gate.
    Passed { at: Ms, gate: &'a [u8] },
    /// It had waited for stock, and has all its units now.
    Gathered { at: Ms },
    /// Its items were changed; it has so many units now.
    Edited { at: Ms, units: u64 },
    /// So many of its units became an order of their own.
    Split { at: Ms, units: u64, into: &'a [u8] },
    /// It was made from so many units of another order.
    SplitOff { at: Ms, units: u64, from: &'a [u8] },
}

/// Bytes of the shortest event: its kind and its time.
const EVENT_BYTES_MIN: usize = 2;

/// The mark that the number of forgotten events comes next, in place of a kind of event.
const LOST: u8 = u8::MAX;

/// The events of one order, packed. If some are forgotten, their number comes first. The usual order goes through one
/// claim: with a worker's id of up to 19 bytes, that needs no memory of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct History(SmallVec<[u8; 36]>);

impl Defrag for History {
    fn defrag(&mut self, put: &mut Move<'_>) {
        self.0.defrag(put);
    }
}

impl History {
    /// Adds what happened last.
    pub fn push(&mut self, event: HistoryEvent<'_>) {
        // The number of events is not kept: it matters only once there can be so many.
        if self.0.len() >= HISTORY_EVENTS_MAX * EVENT_BYTES_MIN && self.list().len() >= HISTORY_EVENTS_MAX {
            self.forget_first();
        }
        write(&mut self.0, event);
    }

    #[cold]
    fn forget_first(&mut self) {
        let (lost, mut rest) = parts(&self.0);
        let _ = read(&mut rest);
        *self = History::new(rest, lost.saturating_add(1));
    }

    fn new(events: &[u8], lost: u64) -> History {
        let mut packed = SmallVec::new();
        if lost > 0 {
            packed.push(LOST);
            put(&mut packed, lost);
        }
        packed.extend_from_slice(events);
        History(packed)
    }

    /// All of it, as [`Self::of_bytes`] takes it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A history of what [`Self::bytes`] gave.
    pub fn of_bytes(bytes: &[u8]) -> History {
        History(SmallVec::from_slice(bytes))
    }

    /// What [`Self::bytes`] gave, read: the events that are remembered, and how many are not.
    pub fn read(bytes: &[u8]) -> (Vec<HistoryEvent<'_>>, u64) {
        let (lost, mut rest) = parts(bytes);
        (std::iter::from_fn(|| read(&mut rest)).collect(), lost)
    }

    /// The event that is all that ever happened.
    pub fn only(&self) -> Option<HistoryEvent<'_>> {
        let (lost, mut rest) = parts(&self.0);
        let event = read(&mut rest)?;
        (lost == 0 && rest.is_empty()).then_some(event)
    }

    /// All that is remembered, first to last.
    pub fn list(&self) -> Vec<HistoryEvent<'_>> {
        Self::read(&self.0).0
    }

    /// Earlier ones that are forgotten.
    pub fn lost(&self) -> u64 {
        parts(&self.0).0
    }

    /// The bytes to save.
    pub fn packed(&self) -> &[u8] {
        parts(&self.0).1
    }

    /// A history from saved bytes, if they are one.
    pub fn from_packed(packed: &[u8], lost: u64) -> Option<History> {
        let (mut rest, mut count) = (packed, 0);
        while !rest.is_empty() {
            read(&mut rest)?;
            count += 1;
        }
        (count <= HISTORY_EVENTS_MAX).then(|| History::new(packed, lost))
    }
}

/// How many events are forgotten, and the others, packed.
fn parts(bytes: &[u8]) -> (u64, &[u8]) {
    match bytes.split_first() {
        Some((&LOST, mut rest)) => (take(&mut rest).unwrap_or_default(), rest),
        _ => (0, bytes),
    }
}

fn write(out: &mut SmallVec<[u8; 36]>, event: HistoryEvent<'_>) {
    let mut start = |kind: u8, at: Ms| {
        out.push(kind);
        put(out, at);
    };
    match event {
        HistoryEvent::Claimed { at, worker, token, attempt } => {
            start(0, at);
            put(out, token);
            put(out, attempt);
            put_bytes(out, worker);
        }
        HistoryEvent::Failed { at, attempt, due, reason } => {
            start(1, at);
            put(out, attempt);
            put(out, due);
            put_bytes(out, &reason[..reason.len().min(REASON_BYTES)]);
        }
        HistoryEvent::LeaseEnded { at, attempt } => {
            start(2, at);
            put(out, attempt);
        }
        HistoryEvent::Yielded { at } => start(3, at),
        HistoryEvent::Dead { at, reason } => {
            start(4, at);
            put_bytes(out, &reason[..reason.len().min(REASON_BYTES)]);
        }
        HistoryEvent::Redriven { at } => start(5, at),
        HistoryEvent::Step { at, step, version } => {
            start(6, at);
            put(out, version);
            put_bytes(out, step);
        }
        HistoryEvent::Gathered { at } => start(12, at),
        HistoryEvent::Gated { at, gate, until } => {
            start(7, at);
            put(out, until);
            put_bytes(out, gate);
        }
        HistoryEvent::Passed { at, gate } => {
            start(8, at);
            put_bytes(out, gate);
        }
        HistoryEvent::Edited { at, units } => {
            start(9, at);
            put(out, units);
        }
        HistoryEvent::Split { at, units, into } => {
            start(10, at);
            put(out, units);
            put_bytes(out, into);
        }
        HistoryEvent::SplitOff { at, units, from } => {
            start(11, at);
            put(out, units);
            put_bytes(out, from);
        }
    }
}

fn read<'a>(rest: &mut &'a [u8]) -> Option<HistoryEvent<'a>> {
    let (kind, after) = rest.split_first()?;
    *rest = after;
    let at = take(rest)?;
    Some(match kind {
        0 => {
            let (token, attempt) = (take(rest)?, take(rest)?);
            HistoryEvent::Claimed { at, worker: take_bytes(rest)?, token, attempt }
        }
        1 => {
            let (attempt, due) = (take(rest)?, take(rest)?);
            HistoryEvent::Failed { at, attempt, due, reason: take_bytes(rest)? }
        }
        2 => HistoryEvent::LeaseEnded { at, attempt: take(rest)? },
        3 => HistoryEvent::Yielded { at },
        4 => HistoryEvent::Dead { at, reason: take_bytes(rest)? },
        5 => HistoryEvent::Redriven { at },
        6 => {
            let version = take(rest)?;
            HistoryEvent::Step { at, step: take_bytes(rest)?, version }
        }
        12 => HistoryEvent::Gathered { at },
        7 => {
            let until = take(rest)?;
            HistoryEvent::Gated { at, gate: take_bytes(rest)?, until }
        }
        8 => HistoryEvent::Passed { at, gate: take_bytes(rest)? },
        9 => HistoryEvent::Edited { at, units: take(rest)? },
        10 => {
            let units = take(rest)?;
            HistoryEvent::Split { at, units, into: take_bytes(rest)? }
        }
        11 => {
            let units = take(rest)?;
            HistoryEvent::SplitOff { at, units, from: take_bytes(rest)? }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_comes_back_as_it_went() {
        let all = [
            HistoryEvent::Claimed { at: 1 << 41, worker: b"w", token: 9 << 40, attempt: 1 },
            HistoryEvent::Failed { at: 2, attempt: 1, due: 3, reason: b"why" },
            HistoryEvent::LeaseEnded { at: 4, attempt: 2 },
            HistoryEvent::Yielded { at: 5 },
            HistoryEvent::Dead { at: 6, reason: b"" },
            HistoryEvent::Redriven { at: 7 },
            HistoryEvent::Step { at: 8, step: b"packed", version: 3 },
            HistoryEvent::Gated { at: 9, gate: b"pay", until: 10 },
            HistoryEvent::Passed { at: 11, gate: b"pay" },
            HistoryEvent::Gathered { at: 9 },
            HistoryEvent::Edited { at: 9, units: 1 << 40 },
            HistoryEvent::Split { at: 10, units: 2, into: b"o-2" },
            HistoryEvent::SplitOff { at: 11, units: 2, from: b"o-1" },
        ];
        let mut history = History::default();
        all.into_iter().for_each(|event| history.push(event));
        assert_eq!(history.list(), all);
        assert_eq!(History::from_packed(history.packed(), 0), Some(history));
    }

    #[test]
    fn the_oldest_are_forgotten_and_long_reasons_cut() {
        let mut history = History::default();
        for at in 0..250 {
            history.push(HistoryEvent::Dead { at, reason: &[b'x'; 1_000] });
        }
        let list = history.list();
        assert_eq!((list.len(), history.lost()), (HISTORY_EVENTS_MAX, 150));
        assert_eq!(list[0], HistoryEvent::Dead { at: 150, reason: &[b'x'; REASON_BYTES] });
    }

    #[test]
    fn bytes_that_are_no_history_are_refused() {
        assert_eq!(History::from_packed(&[99, 0], 0), None);
        assert_eq!(History::from_packed(&[6, 1, 1, 200, 1], 0), None);
        let long = [3u8, 1].repeat(HISTORY_EVENTS_MAX + 1);
        assert_eq!(History::from_packed(&long, 0), None);
    }
}
