//! The streams of orders compared with the books, in slices: what STORE.AUDIT says of them and STORE.REPAIR mends.
//!
//! An entry belongs to the stream if an order has to have it there, under this id and with this content. A stream in
//! which every entry belongs, and which has as many as the books say, is exactly what it has to be.

use super::fields::{field_names, kind_name};
use super::keys::{check_alone, stream_name};
use super::streams::Streams;
use super::value::StoreValue;
use crate::host::key::Mode;
use crate::host::server::HostKey;
use crate::host::stream::{Fields, RawId};
use crate::host::{Host, Stop, Str};
use holdfast_engine::base::units::Ms;
use holdfast_engine::store::Store;
use holdfast_engine::terms::audit::Difference;
use holdfast_engine::terms::streams::{EntryId, StreamKind};

/// The streams that list orders: the others are logs, of which the books say nothing.
const LISTS: [StreamKind; 3] = [StreamKind::Orders, StreamKind::Retry, StreamKind::Dead];

/// Fields and entries of a stream that one slice reads: a few tenths of a millisecond.
const READ_SLICE: usize = 500;

/// Bytes of a field that are as much work as another field.
const BYTES_A_FIELD: usize = 256;

/// Orders whose entries one slice of a repair looks for.
const ORDERS_SLICE: u32 = 200;

/// Bytes of those orders, as the store keeps them, at most: their entries spell the SKUs, and may be two hundred times
/// as long.
const ORDERS_SLICE_BYTES: usize = 16 << 10;

/// A part of a stream that was read.
#[derive(Default)]
struct Part {
    /// Entries that belong to nothing.
    foreign: Vec<RawId>,
    /// The last entry that was read; none at the end of the stream.
    last: Option<RawId>,
}

/// Reads a part of a stream of orders, behind an entry.
fn read(key: &impl HostKey, store: &Store, kind: StreamKind, after: Option<RawId>) -> Part {
    let mut part = Part::default();
    let mut entries = if key.is_stream() { key.entries(after) } else { None };
    let mut left = READ_SLICE;
    while let Some((id, fields)) = entries.as_mut().and_then(Iterator::next) {
        if !belongs(store, kind, id, &fields) {
            part.foreign.push(id);
        }
        let bytes: usize = fields.iter().map(|(_, value)| value.get().bytes().len()).sum();
        left = left.saturating_sub(1 + fields.len() + bytes / BYTES_A_FIELD);
        if left == 0 {
            part.last = Some(id);
            break;
        }
    }
    part
}

/// Whether an order has to have this entry, and the entry says what it has to.
fn belongs(store: &Store, kind: StreamKind, id: RawId, fields: &Fields) -> bool {
    let (Ok(seq), Some((_, order))) = (u32::try_from(id.seq), fields.first()) else { return false };
    let Some(slot) = store.listed_as(kind, EntryId { ms: id.ms, seq }, order.get().bytes()) else { return false };
    let names = fields.iter().map(|(name, _)| name.get().bytes());
    if !names.eq(field_names(kind).iter().map(|name| name.as_bytes())) {
        return false;
    }
    let (view, value) = (store.entry_view(slot), |at: usize| fields[at].1.get().bytes());
    let number = |at| std::str::from_utf8(value(at)).ok().and_then(|text| text.parse::<u64>().ok());
    let attempts = u64::from(view.attempts);
    match kind {
        StreamKind::Orders => {
            let mut items = Vec::new();
            store.items_json(slot, &mut items);
            value(1) == view.customer && value(2) == items && value(3) == view.data
        }
        // When a lease expired since, that was another attempt, and the entry stayed as it was.
        StreamKind::Retry => number(1).is_some_and(|n| (1..=attempts + 1).contains(&n)) && value(2) == view.reason,
        StreamKind::Dead => number(1) == Some(attempts) && value(2) == view.reason,
        StreamKind::Complete | StreamKind::Journal | StreamKind::Metrics | StreamKind::Alerts => false,
    }
}

/// A comparison of the streams with the books, on its way.
#[derive(Default)]
pub struct Comparison {
    list: usize,
    after: Option<RawId>,
    /// Entries of the stream at hand that belong to nothing.
    foreign: u64,
    differences: Vec<Difference>,
}

impl Comparison {
    /// Does one slice; the streams that differ once it is done.
    ///
    /// # Errors
    /// TRYAGAIN, if in a cluster a stream is on another node.
    pub fn slice(&mut self, host: impl Host, name: Str<'_>, store: &Store) -> Result<Option<Vec<Difference>>, Stop> {
        let kind = LISTS[self.list];
        let flags = host.flags();
        if flags.cluster() && flags.primary() {
            elsewhere(Streams::new(host, name, 0, true, None).check(kind))?;
        }
        let stream = stream_name(name.bytes(), kind);
        let key = host.open(stream.get(), Mode::Read).filter(HostKey::is_stream);
        let part = key.as_ref().map_or_else(Part::default, |key| read(key, store, kind, self.after));
        self.foreign += part.foreign.len() as u64;
        self.after = part.last;
        if self.after.is_some() {
            return Ok(None);
        }
        self.compare(kind, key.map_or(0, |key| key.len()), store.entries(kind).unwrap_or_default());
        self.list += 1;
        Ok((self.list == LISTS.len()).then(|| std::mem::take(&mut self.differences)))
    }

    /// Compares the lengths; where they are equal, those entries count that belong.
    fn compare(&mut self, kind: StreamKind, entries: u64, books: u64) {
        let foreign = std::mem::take(&mut self.foreign);
        let recount = if entries == books { entries.saturating_sub(foreign) } else { entries };
        if recount != books {
            let id = kind_name(kind).to_bytes().into();
            self.differences.push(Difference { what: "stream", id, books: books as i64, recount: recount as i64 });
        }
    }
}

/// A repair on its way: of each stream first what belongs to nothing is removed, then what is missing is written.
#[derive(Default)]
pub struct Repair {
    /// Whether all streams were found fit to be written, before anything was changed.
    was_checked: bool,
    list: usize,
    /// The last entry that was read, and whether it was the last.
    after: Option<RawId>,
    was_read: bool,
    /// The next slot of an order to look at.
    slot: u32,
    /// Entries that were removed or written.
    done: u64,
}

impl Repair {
    /// Does one slice at the store's time `now`; how many entries were removed or written once it is done.
    ///
    /// # Errors
    /// With nothing changed: WRONGTYPE or TRYAGAIN if a stream cannot be written now, ERR if it takes nothing any more
    /// or is another store's too.
    pub fn slice<H: Host>(
        &mut self,
        host: H,
        name: Str<'_>,
        now: Ms,
        value: &mut StoreValue,
    ) -> Result<Option<u64>, Stop> {
        let store = &mut value.store;
        let mut streams = Streams::new(host, name, now, true, None);
        if !std::mem::replace(&mut self.was_checked, true) {
            // What belongs to nothing here may belong to the other store.
            check_alone(host, name)?;
            LISTS.into_iter().try_for_each(|kind| check(&mut streams, store, kind).map(drop))?;
        }
        let (kind, before) = (LISTS[self.list], self.done);
        let over = match check(&mut streams, store, kind)? {
            false => Ok(true),
            true if self.was_read => self.write(&mut streams, store, kind),
            true => Ok(self.remove(&mut streams, store, kind)),
        };
        value.bytes += streams.reentered_bytes;
        if self.done != before {
            streams.signal();
            host.signal_modified(name);
        }
        if over? {
            let (list, done) = (self.list + 1, self.done);
            *self = Repair { was_checked: true, list, done, ..Repair::default() };
        }
        Ok((self.list == LISTS.len()).then_some(self.done))
    }

    /// Removes what belongs to nothing from the next part of a stream. Says whether the stream is right then: all that
    /// is left belongs there, so that as many as there should be are all there should be.
    fn remove<H: Host>(&mut self, streams: &mut Streams<'_, H>, store: &Store, kind: StreamKind) -> bool {
        let part = read(streams.key(kind), store, kind, self.after);
        self.done += streams.remove_foreign(kind, &part.foreign);
        self.after = part.last;
        self.was_read = part.last.is_none();
        self.was_read && Some(streams.length(kind)) == store.entries(kind)
    }

    /// Writes what is missing of the next orders' entries. Says whether these were the last.
    fn write<H: Host>(
        &mut self,
        streams: &mut Streams<'_, H>,
        store: &mut Store,
        kind: StreamKind,
    ) -> Result<bool, Stop> {
        let (next, mut orders) = store.entries_from(kind, self.slot, ORDERS_SLICE, ORDERS_SLICE_BYTES);
        self.slot = next;
        // In the order of their entries, so that as many as possible get their ids back.
        orders.retain(|(id, _)| !streams.has(kind, *id));
        orders.sort_unstable();
        for order in orders {
            streams.write_back(store, kind, order)?;
            self.done += 1;
        }
        Ok(self.slot == 0)
    }
}

/// Whether a stream can be repaired. A key of another type where the store has nothing to write is left alone.
fn check<H: Host>(streams: &mut Streams<'_, H>, store: &Store, kind: StreamKind) -> Result<bool, Stop> {
    let checked = streams.check(kind);
    if checked.is_err() && store.entries(kind) == Some(0) {
        return elsewhere(checked).map(|()| false);
    }
    checked?;
    streams.check_room(store, kind).map(|()| true)
}

/// Only the refusal to go on where a stream is on another node.
fn elsewhere(checked: Result<(), Stop>) -> Result<(), Stop> {
    match checked {
        Err(Stop::Server(text)) if text.starts_with("TRYAGAIN") => Err(Stop::Server(text)),
        _ => Ok(()),
    }
}
