//! The write path: open the store, stamp, run the engine, write the streams, replicate.

use super::gate::{Open, may_write_store};
use super::keys::{Opened, check_new, has_streams, streams_of, write_store};
use super::streams::{EntryWords, Streams};
use super::value::StoreValue;
use super::wire;
use crate::host::key::Mode;
use crate::host::opened::{ValueKey, Write};
use crate::host::server::HostKey;
use crate::host::{Call, Host, Stop, memory};
use holdfast_engine::base::units::Ms;
use holdfast_engine::store::Store;
use holdfast_engine::terms::effects::Effects;
use holdfast_engine::terms::metrics::{Refused, Sample};
use holdfast_engine::terms::refusal::{Code, Refusal};
use holdfast_engine::terms::streams::{EntryId, StreamKind};

/// Records and items of due work a command does before its own, so that it sees the stock as it is at its time.
const SWEEP_BEFORE: u64 = 64;

/// Counts what the work with a store allocates and frees as the store's own. What the work gives back has to take no
/// memory: it would be freed somewhere else, and never be subtracted.
fn counted<T>(value: &mut StoreValue, work: impl FnOnce(&mut StoreValue) -> T) -> T {
    let before = memory::net();
    let done = work(value);
    value.bytes += memory::net() - before;
    done
}

/// What a write may do apart from changing the store.
#[derive(Clone, Copy, Default)]
pub struct Rule<'a> {
    /// Whether the store is made where there is none.
    pub makes: bool,
    /// The streams it may write, apart from the journal.
    pub streams: &'static [StreamKind],
    /// The streams it may take an entry out of: they matter only once they were made.
    pub leaves: &'static [StreamKind],
    /// Whether it can free units for orders that wait for stock: these are queued then.
    pub frees: bool,
    /// Whether it moves no stock, so that nothing can be written to the journal.
    pub moves_nothing: bool,
    /// Whether it is no client's command as it came, so that it has to be replicated with its stamp.
    pub stamped: bool,
    /// The caller's strings for an order's entry.
    pub words: Option<&'a EntryWords<'a>>,
    /// Where it is to be refused while memory is full: whether it would make something new in the store. A new store is
    /// always something new.
    pub takes_in: Option<&'a dyn Fn(&Store) -> bool>,
}

/// The rule of what changes no stock and writes no stream.
pub const QUIET: Rule<'_> = Rule {
    makes: false,
    streams: &[],
    leaves: &[],
    frees: false,
    moves_nothing: true,
    stamped: false,
    words: None,
    takes_in: None,
};

/// The rule of ORDER.CANCEL. Who cancels in another way keeps to it: a replica, which gets ORDER.CANCEL, refuses by it.
pub const CANCELS: Rule<'_> = Rule {
    streams: &[StreamKind::Orders],
    leaves: &[StreamKind::Retry, StreamKind::Dead],
    moves_nothing: false,
    ..QUIET
};

/// A write's reply, and the id of an entry that got another one than the engine gave it: both.
pub struct Written<T> {
    pub reply: T,
    pub moved: Option<(EntryId, EntryId)>,
}

impl Written<EntryId> {
    /// The id the entry has.
    pub fn entry(&self) -> EntryId {
        match self.moved {
            Some((from, to)) if from == self.reply => to,
            _ => self.reply,
        }
    }
}

impl Written<Option<EntryId>> {
    /// The id the entry has, if there is one.
    pub fn entry(&self) -> Option<EntryId> {
        self.reply.map(|reply| Written { reply, moved: self.moved }.entry())
    }
}

/// Runs a change on the call's store. A refused one leaves everything as it was.
///
/// # Errors
/// The engine's refusal; the server's where a key is of another type, memory is full or the slot is moving.
pub fn write<H: Host, T>(
    call: &Call<'_, H>,
    rule: Rule<'_>,
    run: impl FnOnce(&mut Store, Ms, &mut Effects) -> Result<T, Refusal>,
) -> Result<Written<T>, Stop> {
    let opened = write_store(call.ctx, call.key)?;
    // What is replayed without a stamp happens at the time of the store's last change: no stamp is later.
    let flags = call.ctx.flags();
    let (stamp, logs) = match call.stamp {
        None if flags.replayed() => (Some(0), flags.logs_replayed()),
        stamp => (stamp, false),
    };
    let call = &Call { stamp, ..*call };
    let written = match opened {
        Opened::Store(mut value) => {
            let now = value.time_of(call);
            sweep_before(call, &mut value, now);
            call.admit(flags, || rule.takes_in.is_some_and(|takes_in| takes_in(&value.store)))?;
            change(call, rule, &mut value, now, run)
        }
        Opened::Empty(mut key) if rule.makes => {
            check_new(call.ctx, call.key)?;
            call.admit(flags, || rule.takes_in.is_some())?;
            let mut value = StoreValue::empty(call.ctx.seed());
            let now = call.time_without_value();
            let written = change(call, rule, &mut value, now, run)?;
            key.put(value);
            Ok(written)
        }
        Opened::Empty(_) => Err(Refusal::NoStore.into()),
    };
    if logs && written.is_ok() {
        call.ctx.log(call.name, call.key, call.rest);
    }
    written
}

/// Runs a change on a store that is open, replicates it and does what it wants done outside.
///
/// # Errors
/// As [`write`].
pub fn change<H: Host, T>(
    call: &Call<'_, H>,
    rule: Rule<'_>,
    value: &mut StoreValue,
    now: Ms,
    run: impl FnOnce(&mut Store, Ms, &mut Effects) -> Result<T, Refusal>,
) -> Result<Written<T>, Stop> {
    let mut streams = Streams::new(call.ctx, call.key, now, call.stamp.is_none(), rule.words);
    for kind in rule.streams {
        streams.check(*kind)?;
    }
    for kind in rule.leaves {
        if call.ctx.flags().cluster() && value.store.last_entry(*kind) != EntryId::default() {
            streams.check(*kind)?;
        }
    }
    if rule.frees && value.store.is_waited_for() {
        streams.check(StreamKind::Orders)?;
    }
    if value.store.settings().journal > 0 && !rule.moves_nothing {
        streams.check(StreamKind::Journal)?;
    }
    let mut effects = Effects::default();
    let last_change = value.store.last_change();
    debug_assert!(call.stamp.is_some() || now >= last_change, "time stepped back");
    let before = memory::net();
    let result = run(&mut value.store, now, &mut effects);
    debug_assert!(result.is_ok() || !effects.changed, "what is refused changes nothing");
    debug_assert!(effects.changed || effects.list.is_empty(), "what changes nothing writes nothing");
    debug_assert!(value.store.last_change() >= last_change, "the store's time only grows");
    let reply = result?;
    if effects.changed {
        value.bytes += memory::net() - before;
        streams.open(&effects);
        if call.stamp.is_none() {
            if last_change == value.store.last_change() && !rule.stamped {
                call.ctx.replicate_verbatim();
            } else {
                call.ctx.replicate(call.key, now, call.name, call.rest);
            }
        }
        finish(call, value, &mut streams, effects);
    }
    Ok(Written { reply, moved: streams.moved })
}

/// Takes a sample of a store and replicates it, with what it refused since the last one. The store's key does not count
/// as changed by that: it is not signalled to those who watch it.
pub fn sample<H: Host>(call: &Call<'_, H>, value: &mut StoreValue, now: Ms, refused: &Refused) -> Sample {
    let mut effects = Effects::default();
    let sample = counted(value, |value| value.store.sample(now, refused, &mut effects));
    let mut streams = checked_streams(call, value, now, &effects);
    if call.stamp.is_none() {
        wire::replicate_sample(call.ctx, call.key, now, refused);
    }
    publish(value, &mut streams, effects);
    value.sums.set(&sample);
    sample
}

/// Counts a refusal for the store's next sample: on the server that decides, in memory alone, so that it costs neither
/// log nor replicas anything.
pub fn count_refusal<H: Host>(call: &Call<'_, H>, refusal: &Refusal) {
    let flags = call.ctx.flags();
    let Some(code) = Code::of(refusal).filter(|_| flags.primary() && !flags.replayed()) else { return };
    let Some(key) = call.ctx.open(call.key, Mode::Write) else { return };
    if let Ok(mut value) = Write::<_, StoreValue>::open(key) {
        value.refused.count(code);
        value.note_due(call.ctx, call.key);
    }
}

/// The streams that a change without a client is to write, opened before the change is replicated ([`Streams::open`]).
/// One whose key holds something else, or that is another store's or on its way to another node, does not get the
/// entries: a deadline cannot be refused.
fn checked_streams<'a, H: Host>(call: &Call<'a, H>, value: &StoreValue, now: Ms, effects: &Effects) -> Streams<'a, H> {
    let mut streams = Streams::new(call.ctx, call.key, now, call.stamp.is_none(), None);
    let owns = has_streams(call.key.bytes()) && streams_of(call.ctx, call.key, value).is_none();
    for kind in effects.streams() {
        if owns {
            streams.check_or_leave_out(kind);
        } else {
            streams.leave_out(kind);
        }
    }
    streams
}

/// Writes the streams. The effects were allocated while the store changed, so they are freed as part of it.
#[inline]
fn publish<H: Host>(value: &mut StoreValue, streams: &mut Streams<'_, H>, effects: Effects) {
    streams.uid = Some(value.uid);
    streams.apply(&mut value.store, &effects);
    counted(value, |_| drop(effects));
    value.bytes += streams.reentered_bytes;
    streams.signal();
}

fn finish<H: Host>(call: &Call<'_, H>, value: &mut StoreValue, streams: &mut Streams<'_, H>, effects: Effects) {
    publish(value, streams, effects);
    call.ctx.signal_modified(call.key);
    value.note_due(call.ctx, call.key);
    if call.ctx.is_waited_for(value.uid) && value.store.has_work() {
        call.ctx.wake(value.uid, value.store.lanes_with_work());
    }
}

/// What is due by now is done first, a bounded part of it, as a change of its own: a command that is refused afterwards
/// has not changed anything.
pub fn sweep_before<H: Host>(call: &Call<'_, H>, value: &mut StoreValue, now: Ms) {
    let due = value.store.next_due().is_some_and(|due| due <= now);
    if !due || call.stamp.is_some() || call.ctx.deadlines_wait() {
        return;
    }
    let flags = call.ctx.flags();
    if !flags.primary() {
        return;
    }
    // The command has been let in: only its streams can be missing, on the way to another node.
    if !flags.cluster() || may_write_store(call.ctx, call.key, &value.store) == Open::All {
        sweep(call, value, now, SWEEP_BEFORE);
    }
}

/// Does a slice of what is due in a store, on the primary, and replicates it.
pub fn sweep<H: Host>(call: &Call<'_, H>, value: &mut StoreValue, now: Ms, budget: u64) {
    let mut effects = Effects::default();
    let done = counted(value, |value| value.store.sweep(now, budget, &mut effects));
    if !done {
        return;
    }
    let mut streams = checked_streams(call, value, now, &effects);
    if call.stamp.is_none() {
        wire::replicate_sweep(call.ctx, call.key, now, budget);
    }
    finish(call, value, &mut streams, effects);
}

/// Replaces whatever is at a key by a store: the end of a LOAD.
pub fn replace<H: Host>(call: &Call<'_, H>, mut value: StoreValue) {
    if let Some(mut key) = call.ctx.open(call.key, Mode::Write) {
        key.unlink();
        call.ctx.look_at(value.uid, call.key, value.next_look(call.ctx.now()));
        key.put(value);
        call.ctx.arm();
    }
}
