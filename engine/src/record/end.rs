//! How a usual order ended, packed: one that was claimed once and completed, or cancelled, with nothing that few orders
//! have. A shop remembers as many of them as it sells in a day, so they take a fifth of what an [`Extra`] takes.

use smallvec::SmallVec;

use crate::base::packed::{put, take, take_u32};
use crate::base::slab::Record;
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
/// One claim is all that happened before the end: it is packed by itself, and the history is left out.
const CLAIMED: u8 = 16;
/// The token it was completed with is that of this claim.
const CLAIM_TOKEN: u8 = 32;
/// It named a lane, whose slot comes next.
const LANE: u8 = 64;

/// Tokens grow with the clock: the first of a millisecond is that many times it.
const TOKENS_A_MS: u64 = 1024;

/// A packed end.
pub(crate) type End = SmallVec<[u8; 64]>;

/// A packed end that is short, as nearly all are: 24 bytes, where 48 would be allocated for it and the order's content.
pub(crate) struct ShortEnd {
    /// [`VACANT`]: the slot is vacant, and the next such slot is in `bytes`.
    len: u8,
    bytes: [u8; SHORT_BYTES],
}

/// The most bytes of a packed end that is short.
const SHORT_BYTES: usize = 23;

const VACANT: u8 = u8::MAX;

/// The bar of 250 bytes an ended order depends on this.
const _: () = assert!(size_of::<ShortEnd>() == 24);

impl ShortEnd {
    /// `None` if it is too long.
    pub fn new(end: &[u8]) -> Option<Self> {
        let mut bytes = [0; SHORT_BYTES];
        bytes.get_mut(..end.len())?.copy_from_slice(end);
        Some(ShortEnd { len: end.len() as u8, bytes })
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Record for ShortEnd {
    fn vacant(next: u32) -> Self {
        let mut bytes = [0; SHORT_BYTES];
        bytes[..size_of::<u32>()].copy_from_slice(&next.to_le_bytes());
        ShortEnd { len: VACANT, bytes }
    }

    fn next_vacant(&self) -> Option<u32> {
        let next = self.bytes.first_chunk().filter(|_| self.len == VACANT)?;
        Some(u32::from_le_bytes(*next))
    }
}

/// The claim of an order that was claimed once. `worker` is the number under which the worker's id is kept.
#[derive(Clone, Copy)]
struct Claim {
    at: Ms,
    token: u64,
    worker: u32,
}

/// What a packed end says.
#[derive(Default)]
struct Parts<'a> {
    lane: Option<u32>,
    stage: Stage,
    claim: Option<Claim>,
    /// The history, if it is not that claim.
    history: &'a [u8],
}

/// Packs the end of an order whose entry has this id; `None` if it has not ended, or has more than the usual. `keep`
/// keeps the id of a worker and gives its number.
pub(crate) fn pack(extra: &Extra, entry: EntryId, keep: impl FnOnce(&[u8]) -> u32) -> Option<End> {
    if extra.seldom().is_some_and(|seldom| !seldom.is_lane_alone()) || extra.group().is_some() || extra.attempts > 0 {
        return None;
    }
    let (mut out, lane) = (End::new(), extra.lane());
    match &extra.stage {
        Stage::Completed(completed) => {
            let claim = only_claim(extra, keep);
            put_completed(&mut out, completed, entry, (claim, lane));
            if claim.is_some() {
                return Some(out);
            }
        }
        Stage::Cancelled(Cancelled { at, was_dead, missing: 0, forget }) => {
            put_marks(&mut out, CANCELLED | mark(*was_dead, WAS_DEAD), lane);
            put_from(&mut out, *at, entry.ms);
            put_due(&mut out, *forget, *at);
        }
        _ => return None,
    }
    out.extend_from_slice(extra.history.bytes());
    Some(out)
}

/// The claim that is all that happened to an order.
fn only_claim(extra: &Extra, keep: impl FnOnce(&[u8]) -> u32) -> Option<Claim> {
    match extra.history.only()? {
        HistoryEvent::Claimed { at, worker, token, attempt: 1 } => Some(Claim { at, token, worker: keep(worker) }),
        _ => None,
    }
}

fn put_completed(out: &mut End, completed: &Completed, entry: EntryId, (claim, lane): (Option<Claim>, Option<u32>)) {
    let Completed { at, token, next_token, forget, .. } = *completed;
    let is_claims = claim.is_some_and(|claim| claim.token == token);
    let marks = [
        (token > 0 && !is_claims, TOKEN),
        (next_token > 0, NEXT_TOKEN),
        (claim.is_some(), CLAIMED),
        (is_claims, CLAIM_TOKEN),
    ];
    put_marks(out, marks.iter().map(|(is, flag)| mark(*is, *flag)).sum(), lane);
    put_from(out, at, entry.ms);
    put_due(out, forget, at);
    put_from(out, completed.entry().ms, at);
    put(out, u64::from(completed.entry().seq));
    if let Some(claim) = claim {
        put_from(out, at, claim.at);
        put_from(out, claim.token, first_token(claim.at));
        put(out, u64::from(claim.worker));
    }
    for token in [token, next_token].into_iter().zip([!is_claims, true]).filter_map(|(token, is)| is.then_some(token)) {
        if token > 0 {
            put_from(out, token, first_token(at));
        }
    }
}

fn put_marks(out: &mut End, marks: u8, lane: Option<u32>) {
    out.push(marks | mark(lane.is_some(), LANE));
    if let Some(lane) = lane {
        put(out, u64::from(lane));
    }
}

fn mark(is: bool, flag: u8) -> u8 {
    if is { flag } else { 0 }
}

/// The first token of a millisecond.
fn first_token(at: Ms) -> u64 {
    at.wrapping_mul(TOKENS_A_MS)
}

/// Appends a number that is a little over another one, as times and tokens are. Any other comes back, too: it wraps.
fn put_from(out: &mut End, n: u64, from: u64) {
    put(out, n.wrapping_sub(from));
}

fn put_due(out: &mut End, due: DueKey, at: Ms) {
    put_from(out, due.at, at);
    put(out, due.seq);
}

/// What [`pack`] packed; `name` gives the worker's id that was kept under a number.
pub(crate) fn unpack<'a>(end: &[u8], entry: EntryId, name: impl FnOnce(u32) -> &'a [u8]) -> Extra {
    let Parts { lane, stage, claim, history } = parts(end, entry).unwrap_or_default();
    let mut extra = Extra::default();
    extra.stage = stage;
    extra.set_lane(lane);
    match claim {
        Some(claim) => extra.history.push(claimed(claim, name(claim.worker))),
        None => extra.history = History::of_bytes(history),
    }
    extra
}

/// The stage alone.
pub(crate) fn stage(end: &[u8], entry: EntryId) -> Stage {
    parts(end, entry).unwrap_or_default().stage
}

/// The history in a packed end: the events that are remembered, and how many are not.
pub(crate) fn history<'a>(
    end: &'a [u8],
    entry: EntryId,
    name: impl FnOnce(u32) -> &'a [u8],
) -> (Vec<HistoryEvent<'a>>, u64) {
    let Parts { claim, history, .. } = parts(end, entry).unwrap_or_default();
    claim.map_or_else(|| History::read(history), |claim| (vec![claimed(claim, name(claim.worker))], 0))
}

/// The number of the worker that a packed end names.
pub(crate) fn worker(end: &[u8], entry: EntryId) -> Option<u32> {
    parts(end, entry)?.claim.map(|claim| claim.worker)
}

/// The slot of the lane that a packed end names.
#[inline]
pub(crate) fn lane(end: &[u8]) -> Option<u32> {
    let (marks, mut rest) = end.split_first()?;
    if marks & LANE == 0 { None } else { take_u32(&mut rest) }
}

fn claimed(claim: Claim, worker: &[u8]) -> HistoryEvent<'_> {
    HistoryEvent::Claimed { at: claim.at, worker, token: claim.token, attempt: 1 }
}

fn parts(end: &[u8], entry: EntryId) -> Option<Parts<'_>> {
    let (mark, mut rest) = end.split_first()?;
    let rest = &mut rest;
    let has = |flag: u8| mark & flag != 0;
    let lane = if has(LANE) { Some(take_u32(rest)?) } else { None };
    let at = take_from(rest, entry.ms)?;
    let forget = DueKey { at: take_from(rest, at)?, seq: take(rest)? };
    if has(CANCELLED) {
        let stage = Stage::Cancelled(Cancelled { at, was_dead: has(WAS_DEAD), missing: 0, forget });
        return Some(Parts { lane, stage, claim: None, history: rest });
    }
    let complete = EntryId { ms: take_from(rest, at)?, seq: take_u32(rest)? };
    let claim = if has(CLAIMED) { Some(take_claim(rest, at)?) } else { None };
    let own = claim.filter(|_| has(CLAIM_TOKEN)).map_or(0, |claim| claim.token);
    let token = if has(TOKEN) { take_from(rest, first_token(at))? } else { own };
    let mut completed = Completed::new(at, complete, token, forget);
    completed.next_token = if has(NEXT_TOKEN) { take_from(rest, first_token(at))? } else { 0 };
    Some(Parts { lane, stage: Stage::Completed(completed), claim, history: rest })
}

fn take_claim(rest: &mut &[u8], ended_at: Ms) -> Option<Claim> {
    let at = ended_at.wrapping_sub(take(rest)?);
    Some(Claim { at, token: take_from(rest, first_token(at))?, worker: take_u32(rest)? })
}

fn take_from(rest: &mut &[u8], from: u64) -> Option<u64> {
    Some(from.wrapping_add(take(rest)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::units::MAX_QUANTITY;

    const WORKER: u32 = 300;

    fn keep(worker: &[u8]) -> u32 {
        assert_eq!(worker, b"w");
        WORKER
    }

    fn name<'a>(worker: u32) -> &'a [u8] {
        assert_eq!(worker, WORKER);
        b"w"
    }

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
                let end = pack(&extra, entry, keep).expect("a usual end");
                assert_eq!(worker(&end, entry), Some(WORKER));
                assert_eq!(unpack(&end, entry, name), extra);
                assert_eq!(history(&end, entry, name), (extra.history.list(), 0));
                let mut twice = extra.clone();
                twice.history.push(HistoryEvent::Yielded { at });
                let end = pack(&twice, entry, keep).expect("a usual end");
                assert_eq!((unpack(&end, entry, name), worker(&end, entry)), (twice, None));
            }
            for was_dead in [false, true] {
                let mut extra = extra(Stage::Cancelled(Cancelled { at, was_dead, missing: 0, forget }));
                let end = pack(&extra, entry, keep).expect("a usual end");
                assert_eq!((unpack(&end, entry, name), lane(&end)), (extra.clone(), None));
                extra.set_lane(Some(70_000));
                let end = pack(&extra, entry, keep).expect("a usual end");
                assert_eq!(lane(&end), Some(70_000));
                assert_eq!(unpack(&pack(&extra, entry, keep).expect("a usual end"), entry, name), extra);
            }
        }
    }

    /// An order that was claimed `claimed_ms` before it was completed, `took_ms` after it was placed, as deadline `seq`
    /// of a store with this `keep-ms`.
    fn usual(took_ms: Ms, claimed_ms: Ms, keep_ms: Ms, seq: u64) -> (Extra, EntryId) {
        let entry = EntryId { ms: 1_790_000_000_000, seq: 0 };
        let (at, token) = (entry.ms + took_ms, first_token(entry.ms + took_ms - claimed_ms) + 1_000);
        let forget = DueKey { at: at + keep_ms, seq };
        let mut extra = Extra::default();
        extra.stage = Stage::Completed(Completed::new(at, EntryId { ms: at, seq: 99 }, token, forget));
        extra.history.push(HistoryEvent::Claimed { at: at - claimed_ms, worker: b"w", token, attempt: 1 });
        (extra, entry)
    }

    #[test]
    fn the_end_of_a_usual_order_takes_so_many_bytes() {
        let (second, minute, day) = (1_000, 60_000, 86_400_000);
        for (took_ms, claimed_ms, keep_ms, seq, bytes) in [
            (second, 50, day, 100_000, 17),
            (10 * minute, 30 * second, day, 2_000_000, 20),
            (30 * minute, 30 * minute, 30 * day, 1 << 34, SHORT_BYTES),
        ] {
            let (extra, entry) = usual(took_ms, claimed_ms, keep_ms, seq);
            let end = pack(&extra, entry, keep).expect("a usual end");
            assert_eq!(end.len(), bytes);
            let short = ShortEnd::new(&end).expect("a short end");
            assert_eq!((short.bytes(), short.next_vacant()), (&end[..], None));
            assert_eq!(unpack(short.bytes(), entry, name), extra);
        }
        assert!(ShortEnd::new(&[0; SHORT_BYTES + 1]).is_none());
        for next in [0, 1 << 24, u32::MAX] {
            assert_eq!(ShortEnd::vacant(next).next_vacant(), Some(next));
        }
    }

    fn any_near() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), 1..1u64 << 50, Just(MAX_QUANTITY), any::<u64>()]
    }

    proptest! {
        #[test]
        fn any_times_and_tokens_come_back(
            (entry, at, forget, seq) in (any_near(), any_near(), any_near(), any_near()),
            (complete, complete_seq) in (any_near(), any::<u32>()),
            (claim, token, next_token) in (any_near(), any_near(), any_near()),
            is_claims in any::<bool>(),
        ) {
            let forget = DueKey { at: forget, seq };
            let own = if is_claims { token } else { token / 2 };
            let mut completed = Completed::new(at, EntryId { ms: complete, seq: complete_seq }, own, forget);
            completed.next_token = next_token;
            let cancelled = Cancelled { at, was_dead: is_claims, missing: 0, forget };
            for stage in [Stage::Completed(completed), Stage::Cancelled(cancelled)] {
                let (mut extra, entry) = (Extra::default(), EntryId { ms: entry, seq: 0 });
                extra.stage = stage;
                extra.history.push(HistoryEvent::Claimed { at: claim, worker: b"w", token, attempt: 1 });
                let end = pack(&extra, entry, keep).expect("a usual end");
                prop_assert_eq!(unpack(&end, entry, name), extra);
            }
        }
    }

    #[test]
    fn no_other_end_is_packed() {
        let (mut extra, entry) = usual(900, 50, 86_400_000, 3_000_000);
        assert!(pack(&extra, entry, keep).is_some());
        extra.attempts = 1;
        assert!(pack(&extra, entry, keep).is_none());
        extra.attempts = 0;
        extra.set_note(b"{}");
        assert!(pack(&extra, entry, keep).is_none());
        assert!(pack(&Extra::default(), entry, keep).is_none());
    }
}
