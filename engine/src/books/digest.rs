//! A digest of everything a store knows: equal on a primary, its replicas, after a restart and after a rewrite.

use xxhash_rust::xxh3::xxh3_128;

use crate::base::packed::{put, put_all, put_bytes, zigzag};
use crate::base::table::Keyed;
use crate::books::image::flat::Flat;
use crate::books::image::save::{ById, write_ref};
use crate::store::Store;

impl Store {
    /// The digest: the sum over all records of each record's XXH3-128, so that slots and their order do not matter.
    pub fn digest(&self) -> u128 {
        let mut sum = 0u128;
        let mut buffer = Vec::new();
        let mut add = |kind: u8, write: &mut dyn FnMut(&mut Vec<u8>)| {
            buffer.clear();
            buffer.push(kind);
            write(&mut buffer);
            sum = sum.wrapping_add(xxh3_128(&buffer));
        };
        add(b'h', &mut |out| self.write_head(out));
        for (_, sku) in self.shelf.skus().iter() {
            add(b's', &mut |out| {
                put_bytes(out, &sku.id);
                put_all(out, [sku.on_hand, sku.held, sku.safety, sku.low, sku.limit, sku.sold, sku.past]);
                put(out, zigzag(sku.received));
                if sku.is_waited_for() {
                    put_all(out, [sku.waiting, sku.aside, sku.backlog]);
                }
            });
        }
        for (slot, customer) in self.customers.records().iter() {
            let mut units = self.customers.units(slot);
            units.sort_by(|a, b| self.shelf.at(a.0).id.cmp(&self.shelf.at(b.0).id));
            add(b'c', &mut |out| {
                put_bytes(out, customer.id());
                put(out, customer.open().refs);
                for (sku, units) in &units {
                    put_bytes(out, &self.shelf.at(*sku).id);
                    put(out, units.units);
                    put(out, units.past);
                }
            });
        }
        let names = ById(self);
        for (_, hold) in self.holds.records().iter() {
            add(b'l', &mut |out| self.write_hold(out, hold, &names));
            // Any other start follows from what is written already.
            if hold.started_at != self.usual_start(hold) {
                add(b'b', &mut |out| {
                    put_bytes(out, &hold.id);
                    put(out, hold.started_at);
                });
            }
        }
        for (_, order) in self.orders.records().iter() {
            let full = self.orders.full(order);
            let flat = full.as_deref().map(|extra| Flat::of(self, extra));
            add(b'o', &mut |out| self.write_order(out, order, flat.as_ref(), &names));
        }
        for (_, reference) in self.remembered.refs().iter() {
            add(b'r', &mut |out| write_ref(out, reference));
        }
        for (id, source) in self.remembered.sources() {
            add(b'f', &mut |out| {
                put_bytes(out, id);
                put(out, source.seq);
                out.extend_from_slice(&source.call.to_le_bytes());
            });
        }
        sum
    }
}
