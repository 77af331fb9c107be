//! The value of a store's key: the engine's store, and what the server's side knows of it.

use super::config;
use super::sums::Sums;
use crate::host::clock::{Ahead, Now};
use crate::host::data_type::next_uid;
use crate::host::opened::{Read, Write};
use crate::host::{Call, Host, Str, memory};
use holdfast_engine::base::units::Ms;
use holdfast_engine::store::Store;
use holdfast_engine::terms::metrics::Refused;

/// A store that is read, with its open key.
pub type Reading<H> = Read<<H as Host>::Key, StoreValue>;

/// A store that is changed, with its open key.
pub type Writing<H> = Write<<H as Host>::Key, StoreValue>;

/// A store and what the server's side knows of it.
pub struct StoreValue {
    /// Tells values apart, in this process.
    pub uid: u64,
    pub store: Store,
    /// What the store takes, in bytes, as the server's allocator counts.
    pub bytes: i64,
    /// When the store is registered to be due, or 0.
    pub due: Ms,
    /// What was refused since the last sample, on this server.
    pub refused: Refused,
    /// What the store adds to the sums over all stores.
    pub sums: Sums,
    /// How its time continues where it is ahead of the clock.
    ahead: Ahead,
}

impl StoreValue {
    /// A value for a store; `bytes` is what the store has allocated already.
    pub fn new(store: Store, bytes: i64) -> Self {
        let (before, numbers) = (memory::net(), store.numbers());
        let sums = Sums::of(&numbers);
        let bytes = bytes + memory::net() - before + size_of::<Self>() as i64;
        StoreValue { uid: next_uid(), store, bytes, due: 0, refused: Refused::default(), sums, ahead: Ahead::default() }
    }

    /// An empty store, with a random key for its hash tables.
    pub fn empty(seed: u64) -> Self {
        let before = memory::net();
        let store = Store::new(seed);
        Self::new(store, memory::net() - before)
    }

    /// The store's time at a reading of the clock, Unix milliseconds: what a change that is made now is stamped with.
    #[inline]
    pub fn time_at(&self, now: Now) -> Ms {
        self.ahead.time(now, self.store.last_change())
    }

    /// The time of a call on the store: the primary's stamp, or the store's time on this server, which is the primary.
    #[inline]
    pub fn time_of<H: Host>(&self, call: &Call<'_, H>) -> Ms {
        call.stamp.unwrap_or_else(|| self.time_at(call.ctx.now()))
    }

    /// When the store wants to be looked at next, by itself or for a sample.
    #[inline]
    pub fn next_due(&self) -> Option<Ms> {
        match (self.store.next_due(), self.sample_due()) {
            (Some(due), Some(sample)) => Some(due.min(sample)),
            (due, sample) => due.or(sample),
        }
    }

    /// When the next sample is due; none while there is nothing new to publish.
    #[inline]
    pub fn sample_due(&self) -> Option<Ms> {
        config::sample_ms().and_then(|every_ms| self.store.sample_due(every_ms, !self.refused.is_empty()))
    }

    /// When the store is to be looked at, by the module's clock: it is registered with that from now on.
    pub fn next_look(&mut self, now: Now) -> Option<Ms> {
        let due = self.next_due();
        self.due = due.unwrap_or(0);
        due.map(|due| self.ahead.look_at(now, self.store.last_change(), due))
    }

    /// After a change: registers the store if it is due earlier than the index knows. One that is due later is found
    /// out when its time in the index comes.
    #[inline]
    pub fn note_due(&mut self, host: impl Host, key: Str<'_>) {
        let Some(due) = self.next_due() else { return };
        if self.due != 0 && self.due <= due {
            return;
        }
        host.look_at(self.uid, key, self.next_look(host.now()));
        host.arm();
    }
}
