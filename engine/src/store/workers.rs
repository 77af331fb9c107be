//! The workers that have orders under a lease, and the tokens.

use crate::base::slab::Slab;
use crate::base::table::Table;
use crate::base::units::{MAX_QUANTITY, Ms};
use crate::record::worker::Worker;

/// Tokens a millisecond of the clock stands for: a token is at least the clock times this.
const TOKENS_A_MS: u64 = 1024;

/// Workers with orders, and the last token.
pub(crate) struct Workers {
    table: Table<Worker>,
    /// The last token that was given out.
    last_token: u64,
}

impl Workers {
    pub fn new(seed: u64) -> Self {
        Workers { table: Table::new(seed), last_token: 0 }
    }

    /// The workers, for reading.
    pub fn records(&self) -> &Slab<Worker> {
        &self.table
    }

    #[inline]
    pub fn find(&self, id: &[u8]) -> Option<u32> {
        self.table.find(id)
    }

    /// The order that a worker has under a token, by slot.
    pub fn claim(&self, id: &[u8], token: u64) -> Option<u32> {
        self.table.at(self.find(id)?).claims.get(&token).copied()
    }

    /// The last token that was given out; 0 before the first.
    pub fn last_token(&self) -> u64 {
        self.last_token
    }

    /// Sets the last token, for a store that is loaded.
    pub fn set_last_token(&mut self, token: u64) {
        self.last_token = token;
    }

    /// The next token: the larger of the last and 1 and of the clock, so that it grows also where the last ones were
    /// lost with a server.
    pub fn next_token(&mut self, now: Ms) -> u64 {
        let clock = now.min(MAX_QUANTITY / TOKENS_A_MS / 2) * TOKENS_A_MS;
        self.last_token = clock.max(self.last_token + 1);
        self.last_token
    }

    /// The slot of a worker, which is made if it is new. It has to get a claim then.
    pub fn find_or_add(&mut self, id: &[u8]) -> u32 {
        self.table.find_or_insert(id, || Worker::new(id))
    }

    /// Notes that a worker has an order under a token.
    pub fn add_claim(&mut self, slot: u32, token: u64, order: u32) {
        self.table.at_mut(slot).claims.insert(token, order);
    }

    /// Notes that a worker no longer has the order under a token; removes a worker that has none.
    pub(super) fn remove_claim(&mut self, slot: u32, token: u64) {
        let worker = self.table.at_mut(slot);
        worker.claims.remove(&token);
        if worker.claims.is_empty() {
            self.table.remove(slot);
        }
    }

    /// Breaks the workers on purpose.
    #[cfg(test)]
    pub fn broken(&mut self) -> &mut Table<Worker> {
        &mut self.table
    }
}
