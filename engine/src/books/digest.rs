//! A digest of everything a store knows: equal on a primary, its replicas, after a restart and after a rewrite.

use xxhash_rust::xxh3::xxh3_128;

use crate::base::packed::{put, put_all, put_bytes, zigzag};
use crate::books::image::ById;
use crate::record::customer::tallies;
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
        for (_, sku) in self.skus.iter() {
            add(b's', &mut |out| {
                put_bytes(out, &sku.id);
                put_all(out, [sku.on_hand, sku.held, sku.safety, sku.low, sku.limit, sku.sold, sku.past]);
                put(out, zigzag(sku.received));
            });
        }
        for (slot, customer) in self.customers.iter() {
            let mut tallies = tallies(customer, self.many.get(&slot));
            tallies.sort_by(|a, b| self.skus.at(a.0).id.cmp(&self.skus.at(b.0).id));
            add(b'c', &mut |out| {
                put_bytes(out, customer.id());
                put(out, customer.open().refs);
                for (sku, tally) in &tallies {
                    put_bytes(out, &self.skus.at(*sku).id);
                    put(out, tally.units);
                    put(out, tally.past);
                }
            });
        }
        let names = ById(self);
        for (_, hold) in self.holds.iter() {
            add(b'l', &mut |out| self.write_hold(out, hold, &names));
        }
        for (_, order) in self.orders.iter() {
            add(b'o', &mut |out| self.write_order(out, order, &names));
        }
        for (_, reference) in self.refs.iter() {
            add(b'r', &mut |out| crate::books::image::write_ref(out, reference));
        }
        for (id, source) in &self.sources {
            add(b'f', &mut |out| {
                put_bytes(out, id);
                put(out, source.seq);
                out.extend_from_slice(&source.call.to_le_bytes());
            });
        }
        sum
    }
}
