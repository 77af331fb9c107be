//! The streams next to a store, written with the server's native calls.
//!
//! The engine says what to write and under which id ([`Effects`]). A stream that an outsider has pushed ahead of the
//! engine's ids takes the entry under its own next id, and the engine (and every replica) learns that: a REENTRY.

mod reentry;

use std::cell::Cell;
use std::rc::Rc;

use super::fields::{NAMES, Names, kind_name};
use super::keys::stream_name;
use super::wire;
use crate::host::ctx::Class;
use crate::host::key::Mode;
use crate::host::server::HostKey;
use crate::host::stream::{Pairs, RawId};
use crate::host::{Host, OwnStr, Stop, Str};
use holdfast_engine::base::units::Ms;
use holdfast_engine::store::Store;
use holdfast_engine::terms::alerts::Alert;
use holdfast_engine::terms::effects::{Effect, Effects};
use holdfast_engine::terms::journal::Movement;
use holdfast_engine::terms::metrics::Sample;
use holdfast_engine::terms::refusal::refuse;
use holdfast_engine::terms::streams::{EntryId, StreamKind};

/// What the last entry of an order said of its items: in a sale, most orders have the same as the one before.
#[derive(Default)]
struct LastItems {
    /// The store's uid, and the items as the store keeps them: a SKU has the same slot as long as a store lives.
    of: Option<u64>,
    packed: Vec<u8>,
    said: Option<OwnStr>,
    /// Room for the text.
    text: Vec<u8>,
}

thread_local! {
    /// The server's main thread writes all entries. Taken while an entry is written: who is notified of it may place an
    /// order.
    static LAST_ITEMS: Cell<LastItems> = Cell::default();
}

impl LastItems {
    /// The items of an order of the store `uid`, if that is known.
    fn say(&mut self, uid: Option<u64>, store: &Store, order: u32) -> Str<'_> {
        if uid.is_none() || self.of != uid || !store.has_items(order, &self.packed) {
            self.text.clear();
            self.packed.clear();
            self.packed.extend_from_slice(store.items_json(order, &mut self.text));
            (self.of, self.said) = (uid, None);
        }
        self.said.get_or_insert_with(|| OwnStr::new(&self.text)).get()
    }
}

/// Argument strings that say what an order's entry says: they save a copy each.
#[derive(Clone, Copy)]
pub struct EntryWords<'a> {
    pub order: Str<'a>,
    /// Where the command names one.
    pub customer: Option<Str<'a>>,
    /// The data it is placed with, the result it is completed with.
    pub text: Option<Str<'a>>,
}

/// An entry of a stream.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    pub kind: StreamKind,
    /// The slot of the order it is of, in a stream of orders.
    pub order: Option<u32>,
    pub id: EntryId,
    /// What an entry says that is no order's: nothing else knows it any more.
    pub values: &'a [Str<'a>],
}

impl Entry<'_> {
    /// An order's.
    pub fn of_order(kind: StreamKind, order: u32, id: EntryId) -> Self {
        Entry { kind, order: Some(order), id, values: &[] }
    }
}

/// The streams of one store, each opened when it is needed.
pub struct Streams<'a, H: Host> {
    host: H,
    store_key: Str<'a>,
    stamp: Ms,
    /// Whether this server decides; a replica does what it receives.
    decides: bool,
    open: [Option<Stream<H>>; StreamKind::ALL.len()],
    left_out: [bool; StreamKind::ALL.len()],
    /// Streams that did not take an entry of this change under its id. All further entries of the change go into them
    /// by a REENTRY each, which adds and trims: a replica, which learns it only afterwards, does the same in the same
    /// order.
    by_reentry: [bool; StreamKind::ALL.len()],
    /// The entry of an order that got another id than the engine gave it: both.
    pub moved: Option<(EntryId, EntryId)>,
    /// What the store allocated to remember such ids, bytes.
    pub reentered_bytes: i64,
    words: Option<&'a EntryWords<'a>>,
    /// The uid of the store, if what is written is known to be of it as it is now.
    pub uid: Option<u64>,
}

/// A stream that is open, with its name.
struct Stream<H: Host> {
    name: Rc<OwnStr>,
    key: H::Key,
}

impl<'a, H: Host> Streams<'a, H> {
    /// The streams of the store at `store_key`, for a call at `stamp`.
    pub fn new(host: H, store_key: Str<'a>, stamp: Ms, decides: bool, words: Option<&'a EntryWords<'a>>) -> Self {
        Streams {
            host,
            store_key,
            stamp,
            decides,
            open: [const { None }; StreamKind::ALL.len()],
            left_out: [false; StreamKind::ALL.len()],
            by_reentry: [false; StreamKind::ALL.len()],
            moved: None,
            reentered_bytes: 0,
            words,
            uid: None,
        }
    }

    fn stream(&mut self, kind: StreamKind) -> &mut Stream<H> {
        let (host, store_key) = (self.host, self.store_key);
        self.open[kind as usize].get_or_insert_with(|| {
            let name = stream_name(store_key.bytes(), kind);
            let key = host.open(name.get(), Mode::Write).expect("a key opens for writing, there or not");
            Stream { name, key }
        })
    }

    /// Refuses, before anything is changed, what could not be written: a key of another type, or in a cluster a stream
    /// that has moved ahead of its store.
    pub fn check(&mut self, kind: StreamKind) -> Result<(), Stop> {
        let (host, store_key, decides) = (self.host, self.store_key, self.decides);
        let Stream { name, key } = self.stream(kind);
        if key.is_stream() {
            return Ok(());
        }
        if !key.is_empty() {
            return Err(refuse(|| {
                let name = name.get().bytes().escape_ascii();
                Stop::Server(format!("WRONGTYPE {name} must be a stream: the store writes its entries there"))
            }));
        }
        // While the slot moves, a stream that is not here may be on the other node: a consumer group made with
        // MKSTREAM, say, makes one of which the store knows nothing. What was done elsewhere is done here: the slot may
        // not be this node's yet.
        if decides && host.flags().cluster() && !host.serves(&[store_key, name.get()]) {
            return Err(Stop::Server(TRYAGAIN.into()));
        }
        Ok(())
    }

    /// Removes the streams with everything in them. Keys of another type are not the store's: they stay.
    ///
    /// # Errors
    /// TRYAGAIN, with nothing removed, if in a cluster one of them is on another node than the store.
    pub fn unlink(&mut self) -> Result<(), Stop> {
        for kind in StreamKind::ALL {
            if let Err(Stop::Server(text)) = self.check(kind)
                && text == TRYAGAIN
            {
                return Err(Stop::Server(text));
            }
        }
        for Stream { name, mut key } in self.open.iter_mut().filter_map(Option::take) {
            if key.is_stream() {
                key.unlink();
                drop(key);
                self.host.signal_modified(name.get());
                self.host.notify(Class::Generic, c"del", name.get());
            }
        }
        Ok(())
    }

    /// Writes nothing to a stream from now on.
    pub fn leave_out(&mut self, kind: StreamKind) {
        self.left_out[kind as usize] = true;
        // An entry of an order that is placed does not look at what is left out.
        self.by_reentry[kind as usize] = true;
    }

    /// Opens the streams that a change writes. It has to be done before the change is replicated: where the time to
    /// live of a stream is over, the server deletes it as it is opened, and replicates that at this moment. Whether
    /// there is an alert is known only now, so its stream was not checked before: no alert is worth a refusal.
    pub fn open(&mut self, effects: &Effects) {
        for kind in effects.list.iter().filter_map(Effect::stream) {
            if self.open[kind as usize].is_none() {
                match kind {
                    StreamKind::Alerts => self.check_or_leave_out(kind),
                    _ => {
                        self.stream(kind);
                    }
                }
            }
        }
    }

    /// Writes nothing to a stream that cannot be written now.
    #[cold]
    pub fn check_or_leave_out(&mut self, kind: StreamKind) {
        if self.check(kind).is_err() {
            self.leave_out(kind);
        }
    }

    /// Writes what the engine wants written, and publishes its events.
    pub fn apply(&mut self, store: &mut Store, effects: &Effects) {
        for effect in &effects.list {
            match effect {
                Effect::Queued { order, id } => self.queued(store, *order, *id),
                Effect::Left { kind, .. } if self.left_out[*kind as usize] => {}
                Effect::Left { kind, id } => self.remove(*kind, *id),
                Effect::Completed { order, id } => self.completed(store, *order, *id),
                Effect::Retry { order, id } => self.listed(store, StreamKind::Retry, *order, *id),
                Effect::Died { order, id } => self.listed(store, StreamKind::Dead, *order, *id),
                Effect::Moved(_) if self.left_out[StreamKind::Journal as usize] => {}
                Effect::Moved(movement) => self.journal(store, movement),
                Effect::Alert(_) if self.left_out[StreamKind::Alerts as usize] => {}
                Effect::Alert(alert) => self.alerted(store, alert),
                Effect::Sampled { .. } if self.left_out[StreamKind::Metrics as usize] => {}
                Effect::Sampled { id, sample } => self.sampled(store, *id, sample),
                Effect::Event(event) => {
                    self.host.notify(Class::Module, event.name(), self.store_key);
                }
            }
        }
    }

    fn queued(&mut self, store: &mut Store, order: u32, id: EntryId) {
        if !self.add_order(store, order, id) {
            self.enter(store, Entry::of_order(StreamKind::Orders, order, id));
        }
    }

    /// Adds an order's entry to `…:orders`.
    fn add_order(&mut self, store: &Store, order: u32, id: EntryId) -> bool {
        let mut last = LAST_ITEMS.take();
        let items = last.say(self.uid, store, order);
        let added = NAMES.with(|names| {
            if let Some(EntryWords { order, customer: Some(customer), text }) = self.words {
                let data = text.unwrap_or(names.empty.get());
                return self.add_queued(id, names, [*order, *customer, items, data]);
            }
            let view = store.entry_view(order);
            let words = [view.id, view.customer, view.data].map(OwnStr::new);
            let [order, customer, data] = words.each_ref().map(OwnStr::get);
            self.add_queued(id, names, [order, customer, items, data])
        });
        LAST_ITEMS.set(last);
        added
    }

    /// The one entry that every order has: its pairs are put together without a loop.
    #[inline]
    fn add_queued(&mut self, id: EntryId, names: &Names, [order, customer, items, data]: [Str<'_>; 4]) -> bool {
        let [a, b, c, d] = names.orders.each_ref().map(OwnStr::get);
        self.add_pairs(StreamKind::Orders, id, &[a, order, b, customer, c, items, d, data])
    }

    /// Lists an order in `…:retry` or `…:dead`.
    fn listed(&mut self, store: &mut Store, kind: StreamKind, order: u32, id: EntryId) {
        if !self.left_out[kind as usize] && !self.add_listed(store, kind, order, id) {
            self.enter(store, Entry::of_order(kind, order, id));
        }
    }

    /// Adds an order's entry to `…:retry`, which has the attempt that is due, or `…:dead`, which has how many there
    /// were.
    fn add_listed(&mut self, store: &Store, kind: StreamKind, order: u32, id: EntryId) -> bool {
        let view = store.entry_view(order);
        let next = u64::from(kind == StreamKind::Retry);
        let mut attempt = itoa::Buffer::new();
        let attempt = attempt.format(u64::from(view.attempts) + next).as_bytes();
        let values = [view.id, attempt, view.reason].map(OwnStr::new);
        NAMES.with(|names| {
            let fields = if kind == StreamKind::Retry { &names.retry } else { &names.dead };
            self.add(kind, id, fields, &values.each_ref().map(OwnStr::get))
        })
    }

    fn completed(&mut self, store: &mut Store, order: u32, id: EntryId) {
        if !self.add_complete(store, order, id) {
            self.enter(store, Entry::of_order(StreamKind::Complete, order, id));
        }
    }

    /// Adds an order's entry to `…:complete`, and trims it.
    fn add_complete(&mut self, store: &Store, order: u32, id: EntryId) -> bool {
        let (mut last, view) = (LAST_ITEMS.take(), store.entry_view(order));
        let items = last.say(self.uid, store, order);
        let (mut placed, mut took) = (itoa::Buffer::new(), itoa::Buffer::new());
        let took = took.format(view.ended_at.saturating_sub(view.placed_at)).as_bytes();
        let [customer, placed, took] = [view.customer, placed.format(view.placed_at).as_bytes(), took].map(OwnStr::new);
        let with = |this: &mut Self, names: &Names, order: Str, result: Str| {
            let values = [order, customer.get(), items, placed.get(), took.get(), result];
            this.add(StreamKind::Complete, id, &names.complete, &values)
        };
        let added = NAMES.with(|names| match self.words {
            Some(words) => with(self, names, words.order, words.text.unwrap_or(names.empty.get())),
            None => {
                let [order, result] = [view.id, view.result].map(OwnStr::new);
                with(self, names, order.get(), result.get())
            }
        });
        LAST_ITEMS.set(last);
        if added {
            self.trim(StreamKind::Complete, store.settings().history);
        }
        added
    }

    fn journal(&mut self, store: &mut Store, movement: &Movement) {
        let values = movement_values(movement);
        self.record(store, StreamKind::Journal, movement.id, &values.each_ref().map(OwnStr::get));
    }

    /// In a cluster an alert or a sample is left out where its stream has moved ahead of the store, and a replica
    /// cannot know that: there it gets each of them by a REENTRY, after it was written here.
    fn may_be_left_out(&mut self, kind: StreamKind) {
        if self.host.flags().cluster() {
            self.by_reentry[kind as usize] = true;
        }
    }

    #[cold]
    fn alerted(&mut self, store: &mut Store, alert: &Alert) {
        self.may_be_left_out(StreamKind::Alerts);
        let mut available = itoa::Buffer::new();
        let available = alert.available.map_or("", |units| available.format(units)).as_bytes();
        let values = [alert.kind.name().as_bytes(), &alert.sku, &alert.order, available, &alert.reason];
        let values = values.map(OwnStr::new);
        self.record(store, StreamKind::Alerts, alert.id, &values.each_ref().map(OwnStr::get));
    }

    fn sampled(&mut self, store: &mut Store, id: EntryId, sample: &Sample) {
        self.may_be_left_out(StreamKind::Metrics);
        let values = sample.0.map(|number| OwnStr::new(itoa::Buffer::new().format(number).as_bytes()));
        self.record(store, StreamKind::Metrics, id, &values.each_ref().map(OwnStr::get));
    }

    /// Adds an entry that is no order's to its capped stream.
    fn record(&mut self, store: &mut Store, kind: StreamKind, id: EntryId, values: &[Str<'_>]) {
        if !self.add_record(store, kind, id, values) {
            self.enter(store, Entry { kind, order: None, id, values });
        }
    }

    /// The same under an id, with the trim.
    fn add_record(&mut self, store: &Store, kind: StreamKind, id: EntryId, values: &[Str<'_>]) -> bool {
        let added = NAMES.with(|names| {
            let fields: &[OwnStr] = match kind {
                StreamKind::Journal => &names.journal,
                StreamKind::Alerts => &names.alerts,
                _ => &names.metrics,
            };
            // A REENTRY of a version with other fields: there is nothing to write that this one would understand.
            fields.len() == values.len() && self.add(kind, id, fields, values)
        });
        if added {
            let settings = store.settings();
            let length = match kind {
                StreamKind::Journal => settings.journal,
                StreamKind::Alerts => settings.alerts,
                _ => settings.metrics,
            };
            self.trim(kind, length);
        }
        added
    }

    /// Adds an entry; false if the stream is ahead of the id.
    fn add(&mut self, kind: StreamKind, id: EntryId, names: &[OwnStr], values: &[Str<'_>]) -> bool {
        debug_assert_eq!(names.len(), values.len());
        let mut pairs = Pairs::new();
        for (name, value) in names.iter().zip(values) {
            pairs.push(name.get());
            pairs.push(*value);
        }
        self.add_pairs(kind, id, &pairs)
    }

    /// The same, names and values one after the other.
    fn add_pairs(&mut self, kind: StreamKind, id: EntryId, pairs: &[Str<'_>]) -> bool {
        if self.by_reentry[kind as usize] {
            return false;
        }
        let host = self.host;
        let Stream { name, key } = self.stream(kind);
        let added = key.add(raw(id), pairs);
        if added {
            host.notify(Class::Stream, c"xadd", name.get());
        }
        added
    }

    /// The key of a stream, open.
    pub fn key(&mut self, kind: StreamKind) -> &H::Key {
        &self.stream(kind).key
    }

    /// How many entries a stream has.
    pub fn length(&mut self, kind: StreamKind) -> u64 {
        let key = self.key(kind);
        if key.is_stream() { key.len() } else { 0 }
    }

    /// Removes entries that belong to nothing, and on the server that decides replicates it. Says how many there were.
    pub fn remove_foreign(&mut self, kind: StreamKind, ids: &[RawId]) -> u64 {
        let (host, store_key) = (self.host, self.store_key);
        let Stream { name, key } = self.stream(kind);
        if !key.is_stream() {
            return 0;
        }
        let removed: Vec<_> = ids.iter().filter(|id| key.delete(**id)).collect();
        if removed.is_empty() {
            return 0;
        }
        host.notify(Class::Stream, c"xdel", name.get());
        if self.decides {
            let ids = removed.iter().flat_map(|id| [id.ms, id.seq]).map(OwnStr::number);
            let words: Vec<_> = [OwnStr::new(kind_name(kind).to_bytes())].into_iter().chain(ids).collect();
            let words: Vec<_> = words.iter().map(OwnStr::get).collect();
            host.replicate(store_key, self.stamp, wire::REMOVED, &words);
        }
        removed.len() as u64
    }

    /// Whether an entry is there.
    pub fn has(&mut self, kind: StreamKind, id: EntryId) -> bool {
        let key = self.key(kind);
        key.is_stream() && key.has(raw(id))
    }

    fn remove(&mut self, kind: StreamKind, id: EntryId) {
        let host = self.host;
        let Stream { name, key } = self.stream(kind);
        if key.is_stream() && key.delete(raw(id)) {
            host.notify(Class::Stream, c"xdel", name.get());
        }
    }

    /// Holds a stream to at most `length` entries. Trimmed one by one, each trim would walk over all that were trimmed
    /// from the same node before: so a few more are removed at once, and then none for a while.
    fn trim(&mut self, kind: StreamKind, length: u64) {
        let host = self.host;
        let Stream { name, key } = self.stream(kind);
        if !key.is_stream() || key.len() <= length {
            return;
        }
        let length = length - (length / TRIM_PART).min(TRIM_MOST);
        if key.trim(length) > 0 {
            host.notify(Class::Stream, c"xtrim", name.get());
        }
    }

    /// Signals the streams that were written, for WATCH and client-side caching.
    pub fn signal(&self) {
        for stream in self.open.iter().flatten() {
            self.host.signal_modified(stream.name.get());
        }
    }
}

/// What the server says itself when keys of one command are on two nodes.
pub const TRYAGAIN: &str = "TRYAGAIN Multiple keys request during rehashing of slot";

/// What a journal's entry says.
fn movement_values(movement: &Movement) -> [OwnStr; 7] {
    let mut numbers = [itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new()];
    let [delta, on_hand, held] = &mut numbers;
    [
        movement.kind.as_bytes(),
        &movement.sku,
        delta.format(movement.delta).as_bytes(),
        on_hand.format(movement.on_hand).as_bytes(),
        held.format(movement.held).as_bytes(),
        &movement.reference,
        &movement.reason,
    ]
    .map(OwnStr::new)
}

/// A stream that is full is trimmed by this part of its entries …
const TRIM_PART: u64 = 16;

/// … and by no more than these, at once.
const TRIM_MOST: u64 = 64;

/// The id of an entry as the server has it.
fn raw(id: EntryId) -> RawId {
    RawId { ms: id.ms, seq: u64::from(id.seq) }
}
