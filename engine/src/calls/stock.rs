//! Counts of stock: `INV.SET`, `INV.ADJUST`, `INV.SYNC`, `INV.GET`, `INV.SCAN`.

use crate::base::packed::zigzag;
use crate::base::units::{Item, MAX_QUANTITY, Ms};
use crate::record::reference::{Content, Ref, RefCommand};
use crate::record::sku::{Sku, SkuView};
use crate::store::lookup::checked_sum;
use crate::store::{Level, Store};
use crate::terms::effects::{Effects, Event};
use crate::terms::journal::{Move, Why};
use crate::terms::refusal::Refusal;
use crate::terms::refusal::Shown;

/// `INV.SET`: an absolute count. Fields that are not named stay as they are.
#[derive(Clone, Copy, Debug)]
pub struct SetStock<'a> {
    pub sku: &'a [u8],
    /// 0 to 2^53 - 1, as are the others.
    pub on_hand: u64,
    pub safety: Option<u64>,
    pub low: Option<u64>,
    pub limit: Option<u64>,
}

/// `INV.ADJUST`: units more or less.
#[derive(Clone, Copy, Debug)]
pub struct Adjust<'a> {
    pub sku: &'a [u8],
    /// Not 0.
    pub delta: i64,
    pub reason: &'a [u8],
    pub reference: Option<&'a [u8]>,
}

/// `INV.SYNC`: counts from a numbered feed.
#[derive(Clone, Copy, Debug)]
pub struct SyncCounts<'a> {
    pub source: &'a [u8],
    pub seq: u64,
    /// Absolute counts, 0 and more.
    pub counts: &'a [Item<'a>],
}

/// What `INV.SYNC` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synced {
    Applied,
    Duplicate,
}

/// A numbered feed: the last number, and what came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub seq: u64,
    pub call: u128,
}

impl Store {
    /// Sets the count of a SKU, made if it is new; replies what is available then.
    pub fn set_stock(&mut self, now: Ms, set: &SetStock<'_>, fx: &mut Effects) -> Result<i64, Refusal> {
        self.check_count(set.sku, set.on_hand)?;
        self.touch(now, fx);
        let slot = self.sku_or_new(set.sku);
        let before = self.skus.at(slot).level();
        self.change_marks(slot, set);
        self.count_stock(before, slot, set.on_hand, Why::new("set", b""), fx);
        Ok(self.skus.at(slot).available())
    }

    fn change_marks(&mut self, slot: u32, set: &SetStock<'_>) {
        let sku = self.skus.at_mut(slot);
        self.totals.take(sku);
        sku.safety = set.safety.unwrap_or(sku.safety);
        sku.low = set.low.unwrap_or(sku.low);
        sku.limit = set.limit.unwrap_or(sku.limit);
        self.totals.add(sku);
    }

    /// Whether a count keeps all that ever came in within what a sum may be.
    fn check_count(&self, id: &[u8], on_hand: u64) -> Result<(), Refusal> {
        let sold = self.find_sku(id).map_or(0, |slot| self.skus.at(slot).sold);
        checked_sum(on_hand, sold, "on-hand and what was sold").map(drop)
    }

    fn count_stock(&mut self, before: Level, slot: u32, on_hand: u64, why: Why<'_>, fx: &mut Effects) {
        let delta = on_hand as i64 - self.skus.at(slot).on_hand as i64;
        self.move_stock_from(before, slot, Move::OnHand(delta), why, fx);
        fx.event(Event::StockChanged);
    }

    /// Changes the count of a SKU; replies on_hand. The same REF twice applies once.
    pub fn adjust(&mut self, now: Ms, adjust: &Adjust<'_>, fx: &mut Effects) -> Result<u64, Refusal> {
        let delta = zigzag(adjust.delta).to_le_bytes();
        let content = Content::plain([b"adjust", adjust.sku, &delta, adjust.reason]);
        if let Some(reply) = self.replied(adjust.reference, RefCommand::Adjust, &content)? {
            return Ok(reply);
        }
        let slot = self.sku_slot(adjust.sku)?;
        let on_hand = self.adjusted(slot, adjust.delta)?;
        self.touch(now, fx);
        let why = Why { kind: "adjust", reference: adjust.reference.unwrap_or_default(), reason: adjust.reason };
        self.move_stock(slot, Move::OnHand(adjust.delta), why, fx);
        fx.event(Event::StockChanged);
        self.remember(adjust.reference, RefCommand::Adjust, &content, on_hand);
        Ok(on_hand)
    }

    fn adjusted(&self, slot: u32, delta: i64) -> Result<u64, Refusal> {
        let sku = self.skus.at(slot);
        if delta >= 0 {
            let on_hand = checked_sum(sku.on_hand, delta.unsigned_abs(), "delta")?;
            return checked_sum(on_hand, sku.sold, "delta and what was sold").map(|_| on_hand);
        }
        // Not OUTOFSTOCK: that is a sale that was missed, and is counted as one.
        let short = || {
            let (id, on_hand) = (Shown(&sku.id), sku.on_hand);
            Refusal::BadState(format!("sku {id} has on-hand {on_hand}, a delta of {delta} would take it below 0"))
        };
        sku.on_hand.checked_sub(delta.unsigned_abs()).ok_or_else(short)
    }

    /// Applies the counts of a feed's next number, all of them, once.
    pub fn sync(&mut self, now: Ms, sync: &SyncCounts<'_>, fx: &mut Effects) -> Result<Synced, Refusal> {
        check_named_once(sync.counts)?;
        let content = Content::with_items(&[], sync.counts);
        if let Some(source) = self.sources.get(sync.source) {
            if sync.seq == source.seq && !content.is(source.call) {
                let id = Shown(sync.source);
                return Err(Refusal::Mismatch(format!("seq {} of source {id} came with other counts", sync.seq)));
            }
            if sync.seq <= source.seq {
                return Ok(Synced::Duplicate);
            }
            if sync.seq != source.seq + 1 {
                return Err(Refusal::Gap { expected: source.seq + 1 });
            }
        }
        sync.counts.iter().try_for_each(|count| self.check_count(count.sku, count.qty))?;
        self.touch(now, fx);
        for count in sync.counts {
            let slot = self.sku_or_new(count.sku);
            self.count_stock(self.skus.at(slot).level(), slot, count.qty, Why::new("sync", sync.source), fx);
        }
        self.sources.insert(sync.source.into(), Source { seq: sync.seq, call: content.call });
        Ok(Synced::Applied)
    }

    /// Whether the feed's number, if it is applied, makes a SKU. One that was applied before makes none.
    pub fn sync_makes_skus(&self, sync: &SyncCounts<'_>) -> bool {
        let duplicate = self.sources.get(sync.source).is_some_and(|source| sync.seq <= source.seq);
        !duplicate && sync.counts.iter().any(|count| self.find_sku(count.sku).is_none())
    }

    /// Whether the store knows the SKU.
    pub fn has_sku(&self, id: &[u8]) -> bool {
        self.find_sku(id).is_some()
    }

    /// The books of a SKU.
    pub fn sku(&self, id: &[u8]) -> Option<SkuView> {
        self.find_sku(id).map(|slot| self.skus.at(slot).view())
    }

    /// Ids of SKUs from a cursor on that `wanted` lets through, and the next cursor, 0 at the end. Looks at `count`
    /// SKUs, however many it finds.
    pub fn scan_skus(&self, cursor: u64, count: usize, wanted: impl Fn(&[u8], bool) -> bool) -> (u64, Vec<&[u8]>) {
        let seen = |slot| self.skus.get(slot).filter(|sku: &&Sku| wanted(&sku.id, sku.is_low())).map(|sku| &*sku.id);
        scan(cursor, count, self.skus.end(), seen)
    }

    /// The first reply of a command's REF, if it is known with the same content.
    pub(crate) fn replied(
        &self,
        reference: Option<&[u8]>,
        by: RefCommand,
        content: &Content,
    ) -> Result<Option<u64>, Refusal> {
        let known = |id| self.find_ref(by, id).or_else(|| self.find_ref(RefCommand::Any, id));
        let Some((id, known)) = reference.and_then(|id| Some((id, known(id)?))) else {
            return Ok(None);
        };
        if !content.is(known.call) {
            return Err(Refusal::Mismatch(format!("REF {} was used for another call", Shown(id))));
        }
        Ok(Some(known.reply))
    }

    /// Remembers a command's REF for `keep-ms`.
    pub(crate) fn remember(&mut self, reference: Option<&[u8]>, by: RefCommand, content: &Content, reply: u64) {
        let Some(id) = reference else { return };
        let mut record = Ref::new(by, id, content.call, reply);
        record.place = self.next_place();
        record.due = self.forget_at();
        let key = (record.due, record.place);
        let slot = self.add_ref(record);
        self.due.insert(key, crate::calls::due::Due::Ref(slot));
    }
}

/// Refuses a list that counts a SKU twice: neither number would be the count.
fn check_named_once(counts: &[Item<'_>]) -> Result<(), Refusal> {
    let mut seen = std::collections::BTreeSet::new();
    match counts.iter().find(|count| !seen.insert(count.sku)) {
        None => Ok(()),
        Some(twice) => Err(Refusal::argument("ITEMS", format!("must name a SKU once, got {} twice", Shown(twice.sku)))),
    }
}

/// One step of a cursor over slots: `count` slots from `cursor` on, those that `seen` gives something for.
pub(crate) fn scan<T>(cursor: u64, count: usize, end: u32, seen: impl Fn(u32) -> Option<T>) -> (u64, Vec<T>) {
    let from = cursor.min(u64::from(end)) as u32;
    let to = u64::from(from).saturating_add(count as u64).min(u64::from(end)) as u32;
    let found = (from..to).filter_map(seen).collect();
    (if to == end { 0 } else { u64::from(to) }, found)
}

const _: () = assert!(MAX_QUANTITY < i64::MAX as u64 / 4, "sums of quantities must fit a signed integer");
