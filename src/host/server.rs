//! What a store needs of the server, as a trait: so that a simulated server can stand in for the real one in tests. It
//! is dispatched statically and costs nothing.

use std::ffi::{CStr, c_int};
use std::sync::atomic::{AtomicI64, Ordering};

use super::call::{Call, Stop};
use super::clock::Now;
use super::ctx::Class;
use super::flags::Flags;
use super::key::Mode;
use super::memory_full::OOM;
use super::opened::ValueKey;
use super::stream::{Fields, RawId};
use super::string::Str;
use holdfast_engine::base::units::Ms;

/// A server, in the callback that runs now.
pub trait Host: Copy {
    /// An open key.
    type Key: HostKey;

    /// Opens a key; for reading there is none if it is empty.
    fn open(self, name: Str<'_>, mode: Mode) -> Option<Self::Key>;

    /// All flags: the server works them out for each call, so a hot path asks once.
    fn flags(self) -> Flags;

    /// The number of the selected database.
    fn db(self) -> c_int;

    /// Selects a database; false if there is no such one.
    fn select(self, db: c_int) -> bool;

    /// The value of one of the module's settings.
    fn setting(self, _: &CStr, value: &AtomicI64) -> i64 {
        value.load(Ordering::Relaxed)
    }

    /// Reads the module's clock.
    fn now(self) -> Now;

    /// A random key for hash tables.
    fn seed(self) -> u64;

    /// The gate for all that is done without a command: whether this is a primary that may write these keys now
    /// ([`super::gate::may_write`]).
    fn may_write(self, keys: &[Str<'_>]) -> bool;

    /// Whether this node serves all these keys to the caller now.
    fn serves(self, keys: &[Str<'_>]) -> bool;

    /// Whether the server would refuse a command that needs memory, in the slot of this key.
    fn refuses_memory(self, key: Str<'_>) -> bool;

    /// Replicates the client's command as it came.
    fn replicate_verbatim(self);

    /// Replicates a command with its stamp, Unix milliseconds.
    fn replicate(self, key: Str<'_>, stamp: Ms, name: &CStr, rest: &[Str<'_>]);

    /// Writes a replayed command to this server's log, as it came.
    fn log(self, name: &CStr, key: Str<'_>, rest: &[Str<'_>]);

    /// Publishes a keyspace event.
    fn notify(self, class: Class, event: &CStr, key: Str<'_>);

    /// Signals that a key was changed, for WATCH and client-side caching.
    fn signal_modified(self, key: Str<'_>);

    /// The last id that a stream ever gave; none if there is no stream. Nobody may have the stream open: the server may
    /// find its time to live over as it is asked.
    fn last_stream_id(self, stream: Str<'_>) -> Option<(u64, u64)>;

    /// Registers when a value is to be looked at, Unix milliseconds by the module's clock; none if it is not due.
    fn look_at(self, uid: u64, key: Str<'_>, at: Option<Ms>);

    /// Whether what is due waits, though it is due ([`super::deadlines::wait`]).
    fn deadlines_wait(self) -> bool {
        false
    }

    /// Wakes the server when the first value is to be looked at.
    fn arm(self);

    /// Whether anybody waits for the value.
    fn is_waited_for(self, uid: u64) -> bool;

    /// How many wait for the value.
    fn count_waiting(self, uid: u64) -> usize;

    /// Serves those who wait for the value, after what the server does now.
    fn wake_all(self, uid: u64);

    /// Serves those who wait for these parts of the value, after what the server does now.
    fn wake<'p>(self, uid: u64, parts: impl Iterator<Item = &'p [u8]>);

    /// Writes a line to the server's log.
    fn warn(self, text: &str);

    /// Replies an integer.
    fn int(self, n: i64);

    /// Replies a string.
    fn bulk(self, bytes: &[u8]);

    /// Replies a status, such as `OK`.
    fn status(self, text: &CStr);

    /// Replies an error; the text's first word is its code.
    fn error(self, text: &str);

    /// Replies nil.
    fn null(self);

    /// Begins an array of `len` elements.
    fn array(self, len: usize);

    /// Begins a map of `len` pairs.
    fn map(self, len: usize);
}

/// An open key of a server.
pub trait HostKey: ValueKey {
    /// The entries of a stream.
    type Entries<'k>: Iterator<Item = (RawId, Fields)>
    where
        Self: 'k;

    /// Whether nothing is there.
    fn is_empty(&self) -> bool;

    /// Whether a stream is there.
    fn is_stream(&self) -> bool;

    /// Entries of a stream, elements of another type, 0 where the key is empty.
    fn len(&self) -> u64;

    /// Removes the key.
    fn unlink(&mut self);

    /// Adds an entry to the stream, which is made where the key is empty; false if the stream is ahead of the id. Names
    /// and values come one after the other.
    fn add(&mut self, id: RawId, pairs: &[Str<'_>]) -> bool;

    /// Deletes an entry of a stream; false if it is not there.
    fn delete(&mut self, id: RawId) -> bool;

    /// Trims a stream to a number of entries; says how many were removed.
    fn trim(&mut self, length: u64) -> u64;

    /// The entries of a stream behind an entry, or all of them; none if there is nothing.
    fn entries(&self, after: Option<RawId>) -> Option<Self::Entries<'_>>;

    /// Whether a stream has an entry.
    fn has(&self, id: RawId) -> bool;
}

impl<H: Host> Call<'_, H> {
    /// Refuses a client's call that makes something new while the server is full. What a primary or a log says is done.
    ///
    /// # Errors
    /// OOM.
    #[inline]
    pub fn admit(&self, flags: Flags, takes_in: impl FnOnce() -> bool) -> Result<(), Stop> {
        if flags.memory_full() && self.stamp.is_none() && takes_in() && self.ctx.refuses_memory(self.key) {
            return Err(Stop::Server(OOM.into()));
        }
        Ok(())
    }

    /// The time of the call where there is no value yet.
    pub fn time_without_value(&self) -> Ms {
        self.stamp.unwrap_or_else(|| self.ctx.now().ms())
    }
}
