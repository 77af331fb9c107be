//! Entries that their stream does not take under the engine's id: a REENTRY.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Entry, Streams, TRYAGAIN};
use crate::host::{Host, Stop, memory};
use crate::store::fields::kind_name;
use crate::store::wire::{self, Reentry};
use holdfast_engine::base::units::Ms;
use holdfast_engine::store::Store;
use holdfast_engine::terms::streams::{EntryId, StreamKind};

/// What is wrong with a full stream, and what helps.
const FULL: &str = "takes no more entries, because its last id is the largest possible: delete the stream with DEL \
     (its consumer groups are deleted with it), then STORE.REPAIR writes it again";

/// How long nothing more is logged of a stream that takes nothing any more.
const WARN_EVERY: Duration = Duration::from_secs(60);

thread_local! {
    /// When it was last said that a stream takes nothing any more.
    static WARNED: Cell<Option<Instant>> = const { Cell::new(None) };
}

impl<H: Host> Streams<'_, H> {
    /// Adds an entry that its stream did not take, on the server that decides: under the stream's own next id, as a
    /// REENTRY, which replicas get too. They leave the stream alone until then. A stream that takes nothing any more
    /// does not get the entry, there and here.
    #[cold]
    pub(super) fn enter(&mut self, store: &mut Store, entry: Entry<'_>) {
        self.by_reentry[entry.kind as usize] = true;
        if !self.decides || self.left_out[entry.kind as usize] {
            return;
        }
        let Some(next) = self.next_id(store, entry.kind, entry.id) else { return self.warn_full(entry.kind) };
        if self.reenter(store, Entry { id: next, ..entry }) && entry.order.is_some() {
            self.moved = Some((entry.id, next));
        }
    }

    /// Does a REENTRY here, and replicates it if it could be done.
    fn reenter(&mut self, store: &mut Store, entry: Entry<'_>) -> bool {
        let before = std::mem::take(&mut self.by_reentry[entry.kind as usize]);
        let added = self.add_again(store, entry);
        self.by_reentry[entry.kind as usize] = before;
        if added {
            let Entry { kind, order, id, values } = entry;
            let order_id = order.map(|order| store.entry_view(order).id.to_vec()).unwrap_or_default();
            let reentry = Reentry { stream: kind_name(kind), order: &order_id, id, values };
            wire::replicate_reentry(self.host, self.store_key, self.stamp, &reentry);
            let before = memory::net();
            store.reentry(kind, order, id);
            self.reentered_bytes += memory::net() - before;
        }
        added
    }

    /// Says that a stream takes nothing any more, once in a while: it is so with every entry.
    fn warn_full(&mut self, kind: StreamKind) {
        let host = self.host;
        let now = Instant::now();
        if WARNED.get().is_none_or(|last| now.duration_since(last) >= WARN_EVERY) {
            WARNED.set(Some(now));
            let name = self.stream(kind).name.get().bytes().escape_ascii();
            host.warn(&format!("{name} {FULL}"));
        }
    }

    /// The id under which an entry that was to be `id` can be added: that one, if the stream is not ahead of it, or the
    /// next of the stream that no other entry ever had. None, if the stream takes nothing any more.
    fn next_id(&mut self, store: &Store, kind: StreamKind, id: EntryId) -> Option<EntryId> {
        let name = Rc::clone(&self.stream(kind).name);
        // The server may find the time to live over as it is asked: then nobody may have the stream open.
        self.open[kind as usize] = None;
        let last = self.host.last_stream_id(name.get());
        self.stream(kind);
        let Some((ms, seq)) = last else { return Some(id) };
        let next = match seq.checked_add(1) {
            Some(seq) => EntryId::at_or_past(ms, seq),
            None => EntryId { ms: ms.checked_add(1)?, seq: 0 },
        };
        let next = if next > id { next.max(store.last_entry(kind).next(0)) } else { id };
        Some(next).filter(|next| next.ms < Ms::MAX)
    }

    /// Refuses a stream that takes nothing any more.
    pub fn check_room(&mut self, store: &Store, kind: StreamKind) -> Result<(), Stop> {
        self.next_id(store, kind, EntryId::default()).map(drop).ok_or_else(|| self.full(kind))
    }

    fn full(&mut self, kind: StreamKind) -> Stop {
        Stop::Server(format!("ERR {} {FULL}", self.stream(kind).name.get().bytes().escape_ascii()))
    }

    /// Writes an order's entry in a stream of orders back under its id, or under the stream's next one.
    ///
    /// # Errors
    /// The stream takes nothing any more; TRYAGAIN, if in a cluster this node does not serve it now.
    pub fn write_back(
        &mut self,
        store: &mut Store,
        kind: StreamKind,
        (old, order): (EntryId, u32),
    ) -> Result<(), Stop> {
        let id = self.next_id(store, kind, old).ok_or_else(|| self.full(kind))?;
        if self.reenter(store, Entry::of_order(kind, order, id)) {
            return Ok(());
        }
        Err(if self.host.flags().cluster() { Stop::Server(TRYAGAIN.into()) } else { self.full(kind) })
    }

    /// Does what a REENTRY from the primary or from a log says.
    pub fn reentry(&mut self, store: &mut Store, entry: Entry<'_>) {
        if !self.add_again(store, entry) {
            self.host.warn("an entry that the primary wrote could not be written here");
        }
        let before = memory::net();
        store.reentry(entry.kind, entry.order, entry.id);
        self.reentered_bytes += memory::net() - before;
    }

    /// Adds an entry, as a REENTRY does.
    fn add_again(&mut self, store: &Store, entry: Entry<'_>) -> bool {
        let Entry { kind, order, id, values } = entry;
        match (kind, order) {
            (StreamKind::Orders, Some(order)) => self.add_order(store, order, id),
            (StreamKind::Retry | StreamKind::Dead, Some(order)) => self.add_listed(store, kind, order, id),
            (StreamKind::Complete, Some(order)) => self.add_complete(store, order, id),
            (StreamKind::Journal | StreamKind::Metrics | StreamKind::Alerts, None) => {
                self.add_record(store, kind, id, values)
            }
            _ => false,
        }
    }
}
