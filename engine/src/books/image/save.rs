//! Writing an image.

use xxhash_rust::xxh3::Xxh3;

use super::{PIECE_BYTES, Section, VERSION};
use crate::base::packed::{put, put_all, put_bytes};
use crate::base::slab::Record;
use crate::base::units::NIL;
use crate::record::customer::tallies;
use crate::record::hold::Hold;
use crate::record::order::{Extra, Order};
use crate::record::reference::Ref;
use crate::store::Store;
use crate::terms::settings::FIELDS;
use crate::terms::streams::{EntryId, StreamKind};

/// How a record names SKUs and customers: by slot in an image, by id in a digest (slots differ between servers).
pub(crate) trait Names {
    fn sku(&self, out: &mut Vec<u8>, slot: u32);
    fn customer(&self, out: &mut Vec<u8>, slot: u32);
}

struct BySlot;

impl Names for BySlot {
    fn sku(&self, out: &mut Vec<u8>, slot: u32) {
        put(out, u64::from(slot));
    }

    /// 0 is "none".
    fn customer(&self, out: &mut Vec<u8>, slot: u32) {
        put(out, u64::from(slot.wrapping_add(1)));
    }
}

/// Names by id.
pub(crate) struct ById<'a>(pub &'a Store);

impl Names for ById<'_> {
    fn sku(&self, out: &mut Vec<u8>, slot: u32) {
        put_bytes(out, &self.0.skus.at(slot).id);
    }

    fn customer(&self, out: &mut Vec<u8>, slot: u32) {
        put_bytes(out, if slot == NIL { b"" } else { self.0.customers.at(slot).id() });
    }
}

/// Collects records into pieces.
struct Pieces<'a> {
    sink: &'a mut dyn FnMut(&[u8]),
    piece: Vec<u8>,
    section: Section,
    count: u64,
    sum: Xxh3,
}

impl Pieces<'_> {
    fn start(&mut self, section: Section) {
        self.hand_out();
        self.section = section;
    }

    fn record(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.piece.is_empty() {
            self.piece.push(self.section as u8);
        }
        write(&mut self.piece);
        if self.piece.len() >= PIECE_BYTES {
            self.hand_out();
        }
    }

    fn hand_out(&mut self) {
        if self.piece.is_empty() {
            return;
        }
        self.count += 1;
        self.sum.update(&self.piece);
        (self.sink)(&self.piece);
        self.piece.clear();
    }

    fn end(mut self) {
        self.start(Section::End);
        let (count, sum) = (self.count, self.sum.digest());
        self.record(|out| {
            put(out, count);
            out.extend_from_slice(&sum.to_le_bytes());
        });
        self.hand_out();
    }
}

impl Store {
    /// Hands the store out in pieces for [`super::Loader`] to read.
    pub fn save(&self, sink: &mut dyn FnMut(&[u8])) {
        let piece = Vec::with_capacity(PIECE_BYTES + 4096);
        let mut pieces = Pieces { sink, piece, section: Section::Head, count: 0, sum: Xxh3::new() };
        pieces.record(|out| {
            put(out, VERSION);
            self.write_head(out);
        });
        pieces.start(Section::Skus);
        for (_, sku) in self.skus.iter() {
            pieces.record(|out| {
                put_bytes(out, &sku.id);
                put_all(out, [sku.on_hand, sku.safety, sku.low, sku.limit, sku.past]);
            });
        }
        pieces.start(Section::Customers);
        for slot in 0..self.customers.end() {
            pieces.record(|out| self.write_customer(out, slot));
        }
        pieces.start(Section::Holds);
        for (_, hold) in self.holds.iter() {
            pieces.record(|out| self.write_hold(out, hold, &BySlot));
        }
        pieces.start(Section::Orders);
        for (_, order) in self.orders.iter() {
            pieces.record(|out| self.write_order(out, order, &BySlot));
        }
        pieces.start(Section::Refs);
        for (_, reference) in self.refs.iter() {
            pieces.record(|out| write_ref(out, reference));
        }
        pieces.start(Section::Sources);
        for (id, source) in &self.sources {
            pieces.record(|out| {
                put_bytes(out, id);
                put(out, source.seq);
                put_wide(out, source.call);
            });
        }
        pieces.end();
    }

    pub(crate) fn write_head(&self, out: &mut Vec<u8>) {
        put(out, self.now);
        put(out, self.places);
        let mut last = self.last;
        for kind in StreamKind::ALL {
            put_entry(out, *last.of(kind));
        }
        put(out, self.last_token);
        let counters = self.counters.all();
        put(out, counters.len() as u64);
        put_all(out, counters);
        self.sampling.write(out);
        // Settings by name: a later version may know more of them.
        put(out, FIELDS.len() as u64);
        for field in FIELDS {
            put_bytes(out, field.name().as_bytes());
            put(out, self.settings.get(*field));
        }
        put(out, u64::from(self.second));
    }

    /// A vacant slot is an empty id; of the tallies only the forgotten part.
    fn write_customer(&self, out: &mut Vec<u8>, slot: u32) {
        let customer = self.customers.at(slot);
        if customer.next_vacant().is_some() {
            return put_bytes(out, b"");
        }
        put_bytes(out, customer.id());
        let past: Vec<_> =
            tallies(customer, self.many.get(&slot)).into_iter().filter(|(_, tally)| tally.past > 0).collect();
        put(out, past.len() as u64);
        for (sku, tally) in past {
            put(out, u64::from(sku));
            put(out, tally.past);
        }
    }

    pub(crate) fn write_hold(&self, out: &mut Vec<u8>, hold: &Hold, names: &impl Names) {
        put_bytes(out, &hold.id);
        names.customer(out, hold.customer);
        put(out, hold.state as u64);
        let times = [hold.ttl_ms, hold.due, hold.first_deadline, hold.deadline, hold.ended_at];
        put_all(out, [hold.place].into_iter().chain(times));
        put_wide(out, hold.end_call);
        put(out, hold.items.len() as u64);
        for item in &hold.items {
            names.sku(out, item.sku);
            put_all(out, [item.qty, item.left, item.committed]);
        }
    }

    pub(crate) fn write_order(&self, out: &mut Vec<u8>, order: &Order, names: &impl Names) {
        let (items, data) = order.content();
        put_bytes(out, order.id());
        put_bytes(out, data);
        names.customer(out, order.customer);
        put(out, order.state() as u64);
        put(out, u64::from(order.late));
        put_entry(out, order.entry());
        put(out, items.clone().count() as u64);
        for item in items {
            names.sku(out, item.sku);
            put(out, item.qty);
        }
        match self.extra(order) {
            None => put(out, 0),
            Some(extra) => {
                put(out, 1);
                self.write_extra(out, extra);
                write_returns(out, extra);
            }
        }
    }

    fn write_extra(&self, out: &mut Vec<u8>, extra: &Extra) {
        // Where a value can be missing, 0 or empty says so: none of them is ever 0 or empty.
        put(out, extra.placed_at.unwrap_or(0));
        put_entry(out, extra.queued_as.unwrap_or_default());
        put_entry(out, extra.first_entry.unwrap_or_default());
        put_bytes(out, extra.group.map_or(b"", |group| &self.groups.at(group).id));
        put_bytes(out, extra.hold.as_deref().unwrap_or_default());
        put_all(out, [extra.ended_at, extra.due_at, extra.due_place]);
        put_entry(out, extra.complete);
        put_bytes(out, &extra.note);
        put(out, extra.token);
        put_bytes(out, extra.worker.map_or(b"", |worker| &self.workers.at(worker).id));
        put_all(out, [extra.lease_ms, u64::from(extra.attempts)]);
        let retry = extra.retry.unwrap_or_default();
        put_all(out, [retry.0, retry.1]);
        put_entry(out, extra.side);
        put_bytes(out, extra.history.packed());
        put(out, extra.history.lost());
        put(out, u64::from(extra.failed.is_some()));
        if let Some(failed) = &extra.failed {
            put_all(out, [failed.token, u64::from(failed.attempt), failed.due]);
            put_wide(out, failed.call);
        }
        put(out, u64::from(extra.step.is_some()));
        if let Some(step) = &extra.step {
            put_bytes(out, &step.name);
            put(out, step.version);
            put_wide(out, step.call);
        }
        put_all(out, [extra.next_token, u64::from(extra.redrives), u64::from(extra.was_dead)]);
    }
}

fn write_returns(out: &mut Vec<u8>, extra: &Extra) {
    let Some(returns) = &extra.returns else { return put(out, 0) };
    put(out, 1);
    put(out, returns.units.len() as u64);
    put_all(out, returns.units.iter().copied());
    put_all(out, [returns.lost().0, returns.lost().1, returns.list().len() as u64]);
    for back in returns.list() {
        put_all(out, [back.at, back.units, u64::from(back.scrap)]);
    }
}

pub(crate) fn write_ref(out: &mut Vec<u8>, reference: &Ref) {
    put(out, reference.by as u64);
    put_bytes(out, &reference.id);
    put_wide(out, reference.call);
    put_all(out, [reference.place, reference.reply, reference.due]);
}

fn put_entry(out: &mut Vec<u8>, id: EntryId) {
    put(out, id.ms);
    put(out, u64::from(id.seq));
}

fn put_wide(out: &mut Vec<u8>, n: u128) {
    out.extend_from_slice(&n.to_le_bytes());
}
