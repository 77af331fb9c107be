//! Counts of stock: `INV.SET`, `INV.ADJUST`, `INV.SYNC`, `INV.GET`, `INV.SCAN`.

use std::collections::BTreeSet;

use crate::base::packed::zigzag;
use crate::base::units::Ms;
use crate::record::reference::{Content, RefCommand, Source};
use crate::record::sku::{Sku, SkuView};
use crate::store::Store;
use crate::terms::effects::{Effects, Event};
use crate::terms::items::Item;
use crate::terms::journal::{Move, Why};
use crate::terms::refusal::{Refusal, Shown, checked_sum};

/// `INV.SET`: an absolute count. Fields that are not named stay as they are.
#[derive(Clone, Copy, Debug)]
pub struct SetStock<'a> {
    pub sku: &'a [u8],
    /// 0 to 2^53 - 1, as are the others.
    pub on_hand: u64,
    pub safety: Option<u64>,
    pub low: Option<u64>,
    pub limit: Option<u64>,
    /// The most units that may be waited for; 2^53 - 1: any number.
    pub backlog: Option<u64>,
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

impl Store {
    /// Sets the count of a SKU, made if it is new; replies what is available then.
    pub fn set_stock(&mut self, now: Ms, set: &SetStock<'_>, fx: &mut Effects) -> Result<i64, Refusal> {
        self.check_count(set.sku, set.on_hand)?;
        self.touch(now, fx);
        let is_new = self.shelf.find(set.sku).is_none();
        let slot = self.shelf.find_or_add(set.sku);
        let count = |sku: &mut Sku| {
            sku.safety = set.safety.unwrap_or(sku.safety);
            sku.low = set.low.unwrap_or(sku.low);
            sku.limit = set.limit.unwrap_or(sku.limit);
            sku.backlog = set.backlog.unwrap_or(sku.backlog);
            to_count(sku, set.on_hand)
        };
        self.change_stock(slot, is_new, count, Why::new("set", b""), fx);
        fx.event(Event::StockChanged);
        self.serve_line(fx);
        Ok(self.shelf.at(slot).available())
    }

    /// Whether a count keeps all that ever came in within what a sum may be.
    fn check_count(&self, id: &[u8], on_hand: u64) -> Result<(), Refusal> {
        let sold = self.shelf.find(id).map_or(0, |slot| self.shelf.at(slot).sold);
        checked_sum(on_hand, sold, "on-hand and what was sold").map(drop)
    }

    /// Changes the count of a SKU; replies on-hand. The same REF twice applies once.
    pub fn adjust(&mut self, now: Ms, adjust: &Adjust<'_>, fx: &mut Effects) -> Result<u64, Refusal> {
        let delta = zigzag(adjust.delta).to_le_bytes();
        let content = Content::plain([b"adjust", adjust.sku, &delta, adjust.reason]);
        if let Some(reply) = self.remembered.replied(RefCommand::Adjust, adjust.reference, &content)? {
            return Ok(reply);
        }
        let slot = self.shelf.slot(adjust.sku)?;
        let on_hand = self.adjusted(slot, adjust.delta)?;
        self.touch(now, fx);
        let why = Why { kind: "adjust", reference: adjust.reference.unwrap_or_default(), reason: adjust.reason };
        self.move_stock(slot, Move::OnHand(adjust.delta), why, fx);
        fx.event(Event::StockChanged);
        self.serve_line(fx);
        self.remember(RefCommand::Adjust, adjust.reference, &content, on_hand);
        Ok(on_hand)
    }

    fn adjusted(&self, slot: u32, delta: i64) -> Result<u64, Refusal> {
        let sku = self.shelf.at(slot);
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
        if let Some(source) = self.remembered.sources().get(sync.source) {
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
            let is_new = self.shelf.find(count.sku).is_none();
            let slot = self.shelf.find_or_add(count.sku);
            self.change_stock(slot, is_new, |sku| to_count(sku, count.qty), Why::new("sync", sync.source), fx);
            fx.event(Event::StockChanged);
        }
        self.serve_line(fx);
        self.remembered.set_source(sync.source, Source { seq: sync.seq, call: content.call });
        Ok(Synced::Applied)
    }

    /// Whether the feed's number, if it is applied, makes a SKU. One that was applied before makes none.
    pub fn sync_makes_skus(&self, sync: &SyncCounts<'_>) -> bool {
        let duplicate = self.remembered.sources().get(sync.source).is_some_and(|source| sync.seq <= source.seq);
        !duplicate && sync.counts.iter().any(|count| self.shelf.find(count.sku).is_none())
    }

    /// Whether the store knows the SKU.
    pub fn has_sku(&self, id: &[u8]) -> bool {
        self.shelf.find(id).is_some()
    }

    /// The stock of a SKU.
    pub fn sku(&self, id: &[u8]) -> Option<SkuView> {
        self.shelf.find(id).map(|slot| self.shelf.at(slot).view())
    }

    /// Ids of SKUs from a cursor on that `wanted` lets through (by the id, and by whether the SKU is low), and the next
    /// cursor, 0 at the end. Looks at `count` SKUs, however many it finds.
    pub fn scan_skus(&self, cursor: u64, count: usize, wanted: impl Fn(&[u8], bool) -> bool) -> (u64, Vec<&[u8]>) {
        self.shelf.skus().scan(cursor, count, |sku| wanted(&sku.id, sku.is_low()).then_some(&*sku.id))
    }
}

/// The move that brings a SKU to a count.
fn to_count(sku: &Sku, on_hand: u64) -> Move {
    Move::OnHand(on_hand as i64 - sku.on_hand as i64)
}

/// Refuses a list that counts a SKU twice: neither number would be the count.
fn check_named_once(counts: &[Item<'_>]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    match counts.iter().find(|count| !seen.insert(count.sku)) {
        None => Ok(()),
        Some(twice) => Err(Refusal::argument("ITEMS", format!("must name a SKU once, got {} twice", Shown(twice.sku)))),
    }
}
