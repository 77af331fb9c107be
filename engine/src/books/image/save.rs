//! Writing an image.

use xxhash_rust::xxh3::Xxh3;

use super::{PIECE_BYTES, Section, VERSION};
use crate::base::packed::{put, put_all, put_bytes, put_wide};
use crate::base::table::Keyed;
use crate::books::image::flat::{Flat, put_entry};
use crate::record::hold::Hold;
use crate::record::order::Order;
use crate::record::reference::Ref;
use crate::store::Store;
use crate::terms::settings::FIELDS;
use crate::terms::streams::StreamKind;

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
        put_bytes(out, &self.0.shelf.at(slot).id);
    }

    fn customer(&self, out: &mut Vec<u8>, slot: u32) {
        put_bytes(out, self.0.customers.id(slot));
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
        self.flush();
        self.section = section;
    }

    fn record(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.piece.is_empty() {
            self.piece.push(self.section as u8);
        }
        write(&mut self.piece);
        if self.piece.len() >= PIECE_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
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
        self.flush();
    }
}

impl Store {
    /// Gives the store out in pieces for [`super::Loader`] to read.
    pub fn save(&self, sink: &mut dyn FnMut(&[u8])) {
        self.save_edited(sink, &|_, _| {});
    }

    /// The same; `edit` can change what few orders have, by the order's id: for images that no store would save.
    pub(crate) fn save_edited(&self, sink: &mut dyn FnMut(&[u8]), edit: &dyn Fn(&[u8], &mut Flat<'_>)) {
        let piece = Vec::with_capacity(PIECE_BYTES + 4096);
        let mut pieces = Pieces { sink, piece, section: Section::Head, count: 0, sum: Xxh3::new() };
        pieces.record(|out| {
            put(out, VERSION);
            self.write_head(out);
        });
        pieces.start(Section::Skus);
        for (_, sku) in self.shelf.skus().iter() {
            pieces.record(|out| {
                put_bytes(out, &sku.id);
                put_all(out, [sku.on_hand, sku.safety, sku.low, sku.limit, sku.past, sku.aside, sku.backlog]);
            });
        }
        pieces.start(Section::Customers);
        for slot in 0..self.customers.records().end() {
            pieces.record(|out| self.write_customer(out, slot));
        }
        pieces.start(Section::Holds);
        for (_, hold) in self.holds.records().iter() {
            pieces.record(|out| {
                self.write_hold(out, hold, &BySlot);
                put(out, hold.started_at);
            });
        }
        pieces.start(Section::Orders);
        for (_, order) in self.orders.records().iter() {
            let full = self.orders.full(order);
            let mut flat = full.as_deref().map(|extra| Flat::of(self, extra));
            flat.iter_mut().for_each(|flat| edit(order.id(), flat));
            pieces.record(|out| self.write_order(out, order, flat.as_ref(), &BySlot));
        }
        pieces.start(Section::Refs);
        for (_, reference) in self.remembered.refs().iter() {
            pieces.record(|out| write_ref(out, reference));
        }
        pieces.start(Section::Sources);
        for (id, source) in self.remembered.sources() {
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
        put(out, self.agenda.last_seq());
        let mut last = self.last;
        for kind in StreamKind::ALL {
            put_entry(out, *last.of(kind));
        }
        put(out, self.workers.last_token());
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

    /// A vacant slot is an empty id; of the units only the forgotten part.
    fn write_customer(&self, out: &mut Vec<u8>, slot: u32) {
        if self.customers.records().get(slot).is_none() {
            return put_bytes(out, b"");
        }
        put_bytes(out, self.customers.id(slot));
        let past: Vec<_> = self.customers.units(slot).into_iter().filter(|(_, units)| units.past > 0).collect();
        put(out, past.len() as u64);
        for (sku, units) in past {
            put(out, u64::from(sku));
            put(out, units.past);
        }
    }

    /// Writes a hold, but for its start.
    pub(crate) fn write_hold(&self, out: &mut Vec<u8>, hold: &Hold, names: &impl Names) {
        put_bytes(out, &hold.id);
        names.customer(out, hold.customer);
        put(out, hold.state as u64);
        let times = [hold.ttl_ms, hold.due.at, hold.first_deadline, hold.deadline, hold.ended_at];
        put_all(out, [hold.due.seq].into_iter().chain(times));
        put_wide(out, hold.end_call);
        put(out, hold.items.len() as u64);
        for item in &hold.items {
            names.sku(out, item.sku);
            put_all(out, [item.qty, item.left, item.committed]);
        }
    }

    /// Writes an order with what few have, as `flat` says it.
    pub(crate) fn write_order(&self, out: &mut Vec<u8>, order: &Order, flat: Option<&Flat<'_>>, names: &impl Names) {
        let (items, data) = order.content();
        put_bytes(out, order.id());
        put_bytes(out, data);
        names.customer(out, order.customer);
        put(out, flat.map_or(order.state(), |flat| flat.state) as u64);
        put(out, u64::from(order.late));
        put_entry(out, order.entry());
        put(out, items.clone().count() as u64);
        for item in items {
            names.sku(out, item.sku);
            put(out, item.qty);
        }
        put(out, u64::from(flat.is_some()));
        if let Some(flat) = flat {
            flat.write(out);
            flat.write_waits(out, order.items());
        }
    }
}

pub(crate) fn write_ref(out: &mut Vec<u8>, reference: &Ref) {
    put(out, reference.by as u64);
    put_bytes(out, &reference.id);
    put_wide(out, reference.call);
    put_all(out, [reference.due.seq, reference.reply, reference.due.at]);
}
