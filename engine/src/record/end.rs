//! How a usual order ended, packed: one that was claimed once and completed, or cancelled, with nothing that few orders
//! have. A shop remembers as many of them as it sells in a day, so they take a third of what an [`Extra`] takes.

use smallvec::SmallVec;

use crate::base::packed::{put, take, unzigzag, zigzag};
use crate::base::units::Ms;
use crate::record::due::DueKey;
use crate::record::history::{History, HistoryEvent};
use crate::record::order::{Cancelled, Completed, Extra, Stage};
use crate::terms::streams::EntryId;

/// What a packed end begins with: which of these it is or has.
const CANCELLED: u8 = 1;
const WAS_DEAD: u8 = 2;
const TOKEN: u8 = 4;
const NEXT_TOKEN: u8 = 8;

/// Tokens grow with the clock: the first of a millisecond is that many times it.
const TOKENS_A_MS: u64 = 1024;

/// A packed end.
pub(crate) type End = SmallVec<[u8; 64]>;

/// Packs the end of an order whose entry has this id; `None` if it has not ended, or has more than the usual.
pub(crate) fn pack(extra: &Extra, entry: EntryId) -> Option<End> {
    if extra.seldom().is_some() || extra.group().is_some() || extra.attempts > 0 {
        return None;
    }
    let mut out = End::new();
    match &extra.stage {
        Stage::Completed(completed) => put_completed(&mut out, completed, entry),
        Stage::Cancelled(Cancelled { at, was_dead, forget }) => {
            out.push(CANCELLED | if *was_dead { WAS_DEAD } else { 0 });
            put_from(&mut out, *at, entry.ms);
            put_due(&mut out, *forget, *at);
        }
        _ => return None,
    }
    out.extend_from_slice(extra.history.bytes());
    Some(out)
}

fn put_completed(out: &mut End, completed: &Completed, entry: EntryId) {
    let Completed { at, token, next_token, forget, .. } = *completed;
    let mark = |token: u64, mark: u8| if token > 0 { mark } else { 0 };
    out.push(mark(token, TOKEN) | mark(next_token, NEXT_TOKEN));
    put_from(out, at, entry.ms);
    put_due(out, forget, at);
    put_from(out, completed.entry().ms, at);
    put(out, u64::from(completed.entry().seq));
    for token in [token, next_token].into_iter().filter(|token| *token > 0) {
        put_from(out, token, at.wrapping_mul(TOKENS_A_MS));
    }
}

/// Appends a number that is near another one.
fn put_from(out: &mut End, n: u64, near: u64) {
    put(out, zigzag(n.wrapping_sub(near) as i64));
}

fn put_due(out: &mut End, due: DueKey, at: Ms) {
    put_from(out, due.at, at);
    put(out, due.seq);
}

/// What [`pack`] packed.
pub(crate) fn unpack(end: &[u8], entry: EntryId) -> Extra {
    let (stage, history) = parts(end, entry).unwrap_or_default();
    let mut extra = Extra::default();
    (extra.stage, extra.history) = (stage, History::of_bytes(history));
    extra
}

/// The history in a packed end: the events that are remembered, and how many are not.
pub(crate) fn history(end: &[u8]) -> (Vec<HistoryEvent<'_>>, u64) {
    let (_, history) = parts(end, EntryId::default()).unwrap_or_default();
    History::read(history)
}

fn parts(end: &[u8], entry: EntryId) -> Option<(Stage, &[u8])> {
    let (mark, mut rest) = end.split_first()?;
    let rest = &mut rest;
    let has = |flag: u8| mark & flag != 0;
    let at = take_from(rest, entry.ms)?;
    let forget = DueKey { at: take_from(rest, at)?, seq: take(rest)? };
    if has(CANCELLED) {
        return Some((Stage::Cancelled(Cancelled { at, was_dead: has(WAS_DEAD), forget }), *rest));
    }
    let complete = EntryId { ms: take_from(rest, at)?, seq: take(rest)? as u32 };
    let mut token = |flag| if has(flag) { take_from(rest, at.wrapping_mul(TOKENS_A_MS)) } else { Some(0) };
    let mut completed = Completed::new(at, complete, token(TOKEN)?, forget);
    completed.next_token = token(NEXT_TOKEN)?;
    Some((Stage::Completed(completed), *rest))
}

fn take_from(rest: &mut &[u8], near: u64) -> Option<u64> {
    Some(near.wrapping_add(unzigzag(take(rest)?) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extra(stage: Stage) -> Extra {
        let mut extra = Extra::default();
        extra.stage = stage;
        extra.history.push(HistoryEvent::Claimed { at: 1 << 41, worker: b"w", token: 9 << 40, attempt: 1 });
        extra
    }

    #[test]
    fn ends_come_back_as_they_were() {
        let entries = [EntryId { ms: 1_790_000_000_000, seq: 7 }, EntryId { ms: u64::MAX - 1, seq: u32::MAX }];
        for (entry, at) in [(entries[0], 1_790_000_000_123), (entries[1], 5), (EntryId::default(), 0)] {
            let forget = DueKey { at: at + 86_400_000, seq: 1 << 40 };
            for (token, next_token) in [(0, 0), (at * 1024 + 3, 0), (1, at * 1024 + 900), ((1 << 53) - 1, 2)] {
                let mut completed = Completed::new(at, entry, token, forget);
                completed.next_token = next_token;
                let extra = extra(Stage::Completed(completed));
                let end = pack(&extra, entry).expect("a usual end");
                assert_eq!(unpack(&end, entry), extra);
                assert_eq!(history(&end), (extra.history.list(), 0));
            }
            for was_dead in [false, true] {
                let extra = extra(Stage::Cancelled(Cancelled { at, was_dead, forget }));
                assert_eq!(unpack(&pack(&extra, entry).expect("a usual end"), entry), extra);
            }
        }
    }

    #[test]
    fn a_usual_end_is_short_and_no_other_is_packed() {
        let (entry, at) = (EntryId { ms: 1_790_000_000_000, seq: 0 }, 1_790_000_000_900);
        let forget = DueKey { at: at + 86_400_000, seq: 3_000_000 };
        let completed = Completed::new(at, EntryId { ms: at, seq: 1 }, at * 1024, forget);
        let mut extra = extra(Stage::Completed(completed));
        assert!(pack(&extra, entry).expect("a usual end").len() < 40);
        extra.attempts = 1;
        assert!(pack(&extra, entry).is_none());
        extra.attempts = 0;
        extra.set_note(b"{}");
        assert!(pack(&extra, entry).is_none());
        assert!(pack(&Extra::default(), entry).is_none());
    }
}
