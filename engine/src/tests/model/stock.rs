//! The model's counts of stock.

use super::super::command::{Command, Id, Lines, Reply};
use super::super::published::Published;
use super::{MAX, Model, Outcome, added_up};
use crate::calls::stock::Synced;
use crate::terms::effects::Event;

impl Model {
    /// Whether a count and what was sold pass the largest sum.
    fn too_many(&self, sku: &[u8], on_hand: u128) -> bool {
        let sold = if self.skus.contains_key(sku) { self.sold(sku) } else { 0 };
        on_hand + u128::from(sold) > MAX
    }

    pub(crate) fn set_stock(&mut self, sku: &Id, on_hand: u64, marks: [Option<u64>; 4]) -> Outcome {
        if self.too_many(sku, on_hand.into()) {
            return Err(vec!["ERR"]);
        }
        self.count(sku, on_hand, marks, "set", b"");
        self.serve_line();
        Ok(Reply::Available(self.available(sku)))
    }

    fn count(&mut self, sku: &Id, on_hand: u64, marks: [Option<u64>; 4], kind: &'static str, reference: &[u8]) {
        self.changed = true;
        self.new_sku = (!self.skus.contains_key(sku)).then(|| sku.clone());
        self.skus.entry(sku.clone()).or_default();
        let before = self.levels([sku.clone()]);
        let books = self.skus.get_mut(sku).unwrap();
        let delta = on_hand as i64 - books.on_hand as i64;
        books.on_hand = on_hand;
        let [safety, low, limit, backlog] = marks;
        books.safety = safety.unwrap_or(books.safety);
        books.low = low.unwrap_or(books.low);
        books.limit = limit.unwrap_or(books.limit);
        books.backlog = backlog.or(books.backlog).filter(|backlog| u128::from(*backlog) < MAX);
        self.moved(&before[0], kind, delta, reference, b"");
        self.new_sku = None;
        self.published.push(Published::Event(Event::StockChanged));
    }

    pub(crate) fn adjust(
        &mut self,
        command: &Command,
        sku: &Id,
        delta: i64,
        reason: &Id,
        reference: &Option<Id>,
    ) -> Outcome {
        if let Some(replied) = self.replied(reference, command) {
            return replied.map(Reply::OnHand);
        }
        let Some(books) = self.skus.get(sku) else { return Err(vec!["NOSKU"]) };
        let on_hand = i128::from(books.on_hand) + i128::from(delta);
        if on_hand < 0 {
            return Err(vec!["BADSTATE"]);
        }
        if delta > 0 && self.too_many(sku, on_hand as u128) {
            return Err(vec!["ERR"]);
        }
        self.changed = true;
        let before = self.levels([sku.clone()]);
        self.skus.get_mut(sku).unwrap().on_hand = on_hand as u64;
        self.moved(&before[0], "adjust", delta, reference.as_deref().unwrap_or_default(), reason);
        self.published.push(Published::Event(Event::StockChanged));
        self.serve_line();
        self.remember(reference, command, on_hand as u64);
        Ok(Reply::OnHand(on_hand as u64))
    }

    pub(crate) fn sync(&mut self, source: &Id, seq: u64, counts: &Lines) -> Outcome {
        if (1..counts.len()).any(|i| counts[..i].iter().any(|(sku, _)| *sku == counts[i].0)) {
            return Err(vec!["ERR"]);
        }
        if let Some((last, known)) = self.sources.get(source) {
            if seq == *last && added_up(counts) != *known {
                return Err(vec!["MISMATCH"]);
            }
            if seq <= *last {
                return Ok(Reply::Synced(Synced::Duplicate));
            }
            if seq > *last + 1 {
                return Err(vec!["GAP"]);
            }
        }
        if counts.iter().any(|(sku, on_hand)| self.too_many(sku, u128::from(*on_hand))) {
            return Err(vec!["ERR"]);
        }
        self.changed = true;
        for (sku, on_hand) in counts {
            self.count(sku, *on_hand, [None; 4], "sync", source);
        }
        self.serve_line();
        self.sources.insert(source.clone(), (seq, added_up(counts)));
        Ok(Reply::Synced(Synced::Applied))
    }
}
