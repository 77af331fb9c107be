//! The entries that orders have in the streams, and what these say.

use crate::base::table::Keyed;
use crate::record::order::{EntryView, Extra, Order, Stage};
use crate::store::Store;
use crate::terms::streams::{EntryId, StreamKind};

impl Store {
    /// An entry of a stream got another id than the engine gave it, or was written back: later ids are past it.
    pub fn reentry(&mut self, kind: StreamKind, order: Option<u32>, id: EntryId) {
        let last = self.last.of(kind);
        *last = id.max(*last);
        let Some(slot) = order else { return };
        let order = self.orders.at(slot);
        let (placed_at, queued_as) = (self.orders.placed_at(order), self.orders.queued_as(order));
        self.changing_order(slot, |order, extra| match (kind, &mut extra.stage) {
            (StreamKind::Orders, _) => {
                let origin = extra.origin_mut();
                origin.placed_at = Some(placed_at).filter(|at| *at != id.ms);
                origin.queued_as = Some(queued_as).filter(|queued| *queued != id);
                order.set_entry(id);
            }
            (StreamKind::Complete, Stage::Completed(completed)) => completed.set_entry(id),
            (StreamKind::Retry, Stage::RetryDue(retry)) => retry.entry = id,
            (StreamKind::Retry, Stage::Claimed(claimed)) => {
                claimed.retry.iter_mut().for_each(|retry| retry.entry = id);
            }
            (StreamKind::Dead, Stage::Dead(dead)) => dead.entry = id,
            _ => {}
        });
    }

    /// The slot of an order, for [`Store::reentry`].
    pub fn order_at(&self, id: &[u8]) -> Option<u32> {
        self.orders.find(id)
    }

    /// Orders with the entries they have to have in a stream, from a slot on: looks at `count` slots, or at fewer if
    /// the orders have more than `bytes`, as they are kept, and says where to go on, 0 at the end.
    pub fn entries_from(&self, kind: StreamKind, from: u32, count: u32, bytes: usize) -> (u32, Vec<(EntryId, u32)>) {
        let end = self.orders.records().end();
        let (mut slot, mut left, mut found) = (from, bytes, Vec::new());
        while slot < from.saturating_add(count).min(end) && left > 0 {
            let order = self.orders.records().get(slot);
            if let Some((order, entry)) = order.and_then(|order| Some((order, self.entry_in(kind, order)?))) {
                left = left.saturating_sub(order.packed_bytes());
                found.push((entry, slot));
            }
            slot += 1;
        }
        (if slot == end { 0 } else { slot }, found)
    }

    /// The slot of the order whose entry in a stream of orders has to have this id.
    pub fn listed_as(&self, kind: StreamKind, id: EntryId, order: &[u8]) -> Option<u32> {
        let slot = self.orders.find(order)?;
        (self.entry_in(kind, self.orders.at(slot)) == Some(id)).then_some(slot)
    }

    /// The entry an order has to have in a stream of orders.
    pub(crate) fn entry_in(&self, kind: StreamKind, order: &Order) -> Option<EntryId> {
        let stage = self.orders.extra(order).map(|extra| &extra.stage);
        match kind {
            StreamKind::Orders => (order.state().is_open() && self.orders.is_listed(order)).then(|| order.entry()),
            StreamKind::Retry => stage.and_then(Stage::retry).map(|retry| retry.entry),
            StreamKind::Dead => stage.and_then(Stage::dead).map(|dead| dead.entry),
            StreamKind::Complete | StreamKind::Journal | StreamKind::Metrics | StreamKind::Alerts => None,
        }
    }

    /// What the entries of the order in a slot say of it, next to its items.
    pub fn entry_view(&self, slot: u32) -> EntryView<'_> {
        let order = self.orders.at(slot);
        let extra = self.orders.extra(order);
        EntryView {
            id: order.id(),
            customer: self.customers.id(order.customer),
            data: order.data(),
            placed_at: self.orders.placed_at(order),
            ended_at: self.orders.stage(order).map_or(0, |stage| stage.ended_at()),
            attempts: extra.map_or(0, |extra| extra.attempts),
            result: extra.map_or(&[][..], Extra::result),
            reason: extra.map_or(&[][..], Extra::reason),
        }
    }

    /// Whether the order in a slot has the items that [`Self::items_json`] gave of another.
    #[inline]
    pub fn has_items(&self, slot: u32, packed: &[u8]) -> bool {
        // They say themselves where they end.
        self.orders.at(slot).packed_content().starts_with(packed)
    }

    /// Appends the items of the order in a slot as JSON: `[["sku-1",2],["sku-2",1]]`. Gives them as they are kept.
    pub fn items_json(&self, slot: u32, out: &mut Vec<u8>) -> &[u8] {
        let order = self.orders.at(slot);
        let mut items = order.items();
        let mut before: &[u8] = b"[[";
        for item in &mut items {
            out.extend_from_slice(before);
            self.shelf.at(item.sku).put_json(out);
            out.push(b',');
            match item.qty {
                qty @ 0..=9 => out.push(b'0' + qty as u8),
                qty => out.extend_from_slice(itoa::Buffer::new().format(qty).as_bytes()),
            }
            before = b"],[";
        }
        out.extend_from_slice(b"]]");
        let content = order.packed_content();
        &content[..content.len() - items.rest().len()]
    }
}
