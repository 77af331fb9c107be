//! A simulated server, for tests of what a real one cannot be brought to do easily: keys and streams in memory, a log
//! of what was replicated, a clock that the test sets.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{CStr, c_int};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, Ordering};

use redis_module::raw;

use super::callers::{self, Callers, Delivery, Kind, Waiters};
use super::clock::{Boot, Now, TestClock};
use super::ctx::Class;
use super::data_type::Value;
use super::flags::Flags;
use super::key::Mode;
use super::opened::{Kept, ValueKey};
use super::server::{Host, HostKey};
use super::stream::{Fields, RawId};
use super::string::{OwnStr, Str};
use holdfast_engine::base::units::Ms;

/// Bytes of the server: names of keys, words of commands.
pub type Bytes = Vec<u8>;

/// A command with its key and arguments.
pub type Command = (&'static CStr, Bytes, Vec<Bytes>);

/// A stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Names and values of each entry, one after the other, by its id.
    pub entries: BTreeMap<(u64, u64), Vec<Bytes>>,
    /// The last id it ever gave.
    pub last: (u64, u64),
}

/// What was sent to replicas and the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The stamp; none, if it was sent as the client wrote it.
    pub stamp: Option<Ms>,
    pub name: Bytes,
    pub key: Bytes,
    pub rest: Vec<Bytes>,
}

/// A part of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Int(i64),
    Bulk(Bytes),
    Status(Bytes),
    Nil,
    Array(usize),
    Map(usize),
    Error(String),
}

/// A value of a type of the module's, as a server keeps it.
struct Holder<V: Value>(NonNull<Kept<V>>);

impl<V: Value> Drop for Holder<V> {
    fn drop(&mut self) {
        // SAFETY: made by `Kept::new` in `put`, and freed once.
        unsafe { Kept::free(self.0) };
    }
}

enum Content {
    Stream(Stream),
    Value(Box<dyn Any>),
}

/// A server.
pub struct Simulated {
    keys: RefCell<HashMap<Bytes, Content>>,
    /// What was replicated since the test took it.
    pub sent: RefCell<Vec<Sent>>,
    /// The client's command that runs, for what is sent as it came.
    pub command: RefCell<Option<Command>>,
    /// Keyspace events, by key.
    pub events: RefCell<Vec<(String, Bytes)>>,
    /// When a value is to be looked at.
    pub looks: RefCell<BTreeMap<u64, Ms>>,
    /// Keys that another node has.
    pub away: RefCell<BTreeSet<Bytes>>,
    /// Whether the slot is on its way to another node, or from it: then only keys that are here are served.
    pub moving: Cell<bool>,
    /// Streams whose time to live is over: a primary deletes them as it opens them, and says so.
    pub expired: RefCell<BTreeSet<Bytes>>,
    pub log: RefCell<Vec<String>>,
    /// What a replica with a log of its own wrote there by hand.
    pub logged: RefCell<Vec<Bytes>>,
    /// Replies of the commands, since the test took them.
    pub replies: RefCell<Vec<Part>>,
    pub now: Cell<Ms>,
    /// Time since boot and wall clock, where they are two: [`Simulated::now`] is not used then.
    pub clock: Option<TestClock>,
    pub seed: Cell<u64>,
    pub primary: Cell<bool>,
    pub cluster: Cell<bool>,
    /// Whether it reads its log.
    pub loading: Cell<bool>,
    /// Whether it writes a log.
    pub logs: Cell<bool>,
    pub memory_full: Cell<bool>,
    /// Whether writes are paused.
    pub paused: Cell<bool>,
    /// Blocked callers.
    pub waiters: RefCell<Waiters<Simulation>>,
    /// How many callers were ever blocked: each has its number.
    pub blocked: Cell<u64>,
    /// Callers that go away between the answer and its reply.
    pub going: RefCell<BTreeSet<u64>>,
    /// What blocked callers got, since the test took it.
    pub delivered: RefCell<Vec<(u64, Vec<Part>)>>,
    /// Whether the module wants to do something at the end of this turn of the event loop, and when at the latest.
    pub requested: Cell<bool>,
    pub wake: Cell<Option<Boot>>,
    /// Pieces of work that a turn has time for, and how many of them this one still has.
    pub pieces_a_turn: Cell<u32>,
    pieces: Cell<u32>,
    /// Whether the caller must not be blocked.
    pub multi: Cell<bool>,
    /// A setting of its own: records of due work in a slice.
    pub slice: Cell<Option<i64>>,
}

impl Simulated {
    /// An empty server, which is a primary.
    pub fn new(now: Ms) -> Self {
        Simulated {
            keys: RefCell::default(),
            sent: RefCell::default(),
            command: RefCell::default(),
            events: RefCell::default(),
            looks: RefCell::default(),
            away: RefCell::default(),
            moving: Cell::new(false),
            expired: RefCell::default(),
            log: RefCell::default(),
            logged: RefCell::default(),
            replies: RefCell::default(),
            now: Cell::new(now),
            clock: None,
            seed: Cell::new(7),
            primary: Cell::new(true),
            cluster: Cell::new(false),
            loading: Cell::new(false),
            logs: Cell::new(false),
            memory_full: Cell::new(false),
            paused: Cell::new(false),
            waiters: RefCell::default(),
            blocked: Cell::new(0),
            going: RefCell::default(),
            delivered: RefCell::default(),
            requested: Cell::new(false),
            wake: Cell::new(None),
            pieces_a_turn: Cell::new(100),
            pieces: Cell::new(100),
            multi: Cell::new(false),
            slice: Cell::new(None),
        }
    }

    /// A stream; empty if there is none.
    pub fn stream(&self, name: &str) -> Stream {
        match self.keys.borrow().get(name.as_bytes()) {
            Some(Content::Stream(stream)) => stream.clone(),
            _ => Stream::default(),
        }
    }

    /// Changes a stream, as an outsider does.
    pub fn meddle(&self, name: &str, change: impl FnOnce(&mut Stream)) {
        with_stream(&mut self.keys.borrow_mut(), name.as_bytes(), change);
    }

    /// The names of all keys.
    pub fn names(&self) -> BTreeSet<Bytes> {
        self.keys.borrow().keys().cloned().collect()
    }

    /// Takes a stream out, as a node does that sends it away.
    pub fn take_stream(&self, name: &str) -> Option<Stream> {
        match self.keys.borrow_mut().remove(name.as_bytes()) {
            Some(Content::Stream(stream)) => Some(stream),
            _ => None,
        }
    }

    /// The server finds that the time to live of a key is over, as it looks for it.
    fn expire(&self, name: &[u8]) {
        if self.primary.get() && !self.loading.get() && self.expired.borrow_mut().remove(name) {
            let removed = self.keys.borrow_mut().remove(name);
            if removed.is_some() {
                let sent = Sent { stamp: None, name: b"DEL".to_vec(), key: name.to_vec(), rest: Vec::new() };
                self.sent.borrow_mut().push(sent);
            }
        }
    }

    fn reply(&self, part: Part) {
        self.replies.borrow_mut().push(part);
    }

    /// Deletes a key.
    pub fn delete(&self, name: &str) {
        let removed = self.keys.borrow_mut().remove(name.as_bytes());
        drop(removed);
    }
}

fn with_stream<T>(keys: &mut HashMap<Bytes, Content>, name: &[u8], run: impl FnOnce(&mut Stream) -> T) -> T {
    match keys.entry(name.to_vec()).or_insert_with(|| Content::Stream(Stream::default())) {
        Content::Stream(stream) => run(stream),
        Content::Value(_) => panic!("{} is not a stream", name.escape_ascii()),
    }
}

fn bytes(words: &[Str<'_>]) -> Vec<Bytes> {
    words.iter().map(|word| word.bytes().to_vec()).collect()
}

/// An open key of a simulated server.
pub struct SimulatedKey<'a> {
    server: &'a Simulated,
    name: Bytes,
}

impl SimulatedKey<'_> {
    fn change<T>(&mut self, run: impl FnOnce(&mut Stream) -> T) -> T {
        with_stream(&mut self.server.keys.borrow_mut(), &self.name, run)
    }

    fn read<T>(&self, run: impl FnOnce(Option<&Content>) -> T) -> T {
        run(self.server.keys.borrow().get(&self.name))
    }
}

// SAFETY: a value stays in the map until its key is removed, and is freed by `Kept::free` alone.
unsafe impl ValueKey for SimulatedKey<'_> {
    fn kept<V: Value>(&self) -> Option<NonNull<Kept<V>>> {
        self.read(|content| match content {
            Some(Content::Value(holder)) => holder.downcast_ref::<Holder<V>>().map(|holder| holder.0),
            _ => None,
        })
    }

    fn put<V: Value>(&mut self, value: V) {
        let content = Content::Value(Box::new(Holder(Kept::new(value))));
        let removed = self.server.keys.borrow_mut().insert(self.name.clone(), content);
        drop(removed);
    }
}

impl HostKey for SimulatedKey<'_> {
    type Entries<'k>
        = std::vec::IntoIter<(RawId, Fields)>
    where
        Self: 'k;

    fn is_empty(&self) -> bool {
        self.read(|content| content.is_none())
    }

    fn is_stream(&self) -> bool {
        self.read(|content| matches!(content, Some(Content::Stream(_))))
    }

    fn len(&self) -> u64 {
        self.read(|content| match content {
            Some(Content::Stream(stream)) => stream.entries.len() as u64,
            _ => 0,
        })
    }

    fn unlink(&mut self) {
        let removed = self.server.keys.borrow_mut().remove(&self.name);
        drop(removed);
    }

    fn add(&mut self, id: RawId, pairs: &[Str<'_>]) -> bool {
        let (id, values) = ((id.ms, id.seq), bytes(pairs));
        self.change(|stream| {
            let takes = id > stream.last;
            if takes {
                stream.last = id;
                stream.entries.insert(id, values);
            }
            takes
        })
    }

    fn delete(&mut self, id: RawId) -> bool {
        self.change(|stream| stream.entries.remove(&(id.ms, id.seq)).is_some())
    }

    fn trim(&mut self, length: u64) -> u64 {
        self.change(|stream| {
            let over = (stream.entries.len() as u64).saturating_sub(length);
            (0..over).for_each(|_| drop(stream.entries.pop_first()));
            over
        })
    }

    fn entries(&self, after: Option<RawId>) -> Option<Self::Entries<'_>> {
        let after = after.map(|id| (id.ms, id.seq));
        let field = |pair: &[Bytes]| (OwnStr::new(&pair[0]), OwnStr::new(&pair[1]));
        self.read(|content| match content {
            Some(Content::Stream(stream)) => {
                let behind = stream.entries.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
                let entries = behind.map(|((ms, seq), values)| {
                    (RawId { ms: *ms, seq: *seq }, values.chunks_exact(2).map(field).collect())
                });
                Some(entries.collect::<Vec<_>>().into_iter())
            }
            _ => None,
        })
    }

    fn has(&self, id: RawId) -> bool {
        self.read(
            |content| matches!(content, Some(Content::Stream(stream)) if stream.entries.contains_key(&(id.ms, id.seq))),
        )
    }
}

impl<'a> Host for &'a Simulated {
    type Key = SimulatedKey<'a>;

    fn open(self, name: Str<'_>, mode: Mode) -> Option<SimulatedKey<'a>> {
        self.expire(name.bytes());
        let key = SimulatedKey { server: self, name: name.bytes().to_vec() };
        Some(key).filter(|key| mode == Mode::Write || !key.is_empty())
    }

    fn flags(self) -> Flags {
        let may_block = self.primary.get() && !self.loading.get() && !self.multi.get();
        let blocking = if may_block { 0 } else { raw::REDISMODULE_CTX_FLAGS_DENY_BLOCKING };
        let role = if self.primary.get() {
            raw::REDISMODULE_CTX_FLAGS_MASTER
        } else {
            raw::REDISMODULE_CTX_FLAGS_SLAVE | raw::REDISMODULE_CTX_FLAGS_REPLICATED
        };
        let states = [
            (&self.cluster, raw::REDISMODULE_CTX_FLAGS_CLUSTER),
            (&self.loading, raw::REDISMODULE_CTX_FLAGS_LOADING),
            (&self.logs, raw::REDISMODULE_CTX_FLAGS_AOF),
            (&self.memory_full, raw::REDISMODULE_CTX_FLAGS_OOM),
        ];
        Flags(
            states.into_iter().filter(|(state, _)| state.get()).fold(role | blocking, |flags, (_, flag)| flags | flag),
        )
    }

    fn db(self) -> c_int {
        0
    }

    fn select(self, db: c_int) -> bool {
        db == 0
    }

    fn setting(self, name: &CStr, value: &AtomicI64) -> i64 {
        self.slice.get().filter(|_| name == c"sweep-slice").unwrap_or_else(|| value.load(Ordering::Relaxed))
    }

    fn now(self) -> Now {
        self.clock.as_ref().map_or_else(|| Now::simulated(self.now.get()), TestClock::now)
    }

    fn seed(self) -> u64 {
        self.seed.get()
    }

    fn may_write(self, keys: &[Str<'_>]) -> bool {
        self.primary.get() && !self.loading.get() && !self.paused.get() && self.serves(keys)
    }

    fn serves(self, keys: &[Str<'_>]) -> bool {
        let (away, here, expired) = (self.away.borrow(), self.keys.borrow(), self.expired.borrow());
        // A key whose time to live is over is not here any more, though it is not deleted yet.
        let is_here = |key: &[u8]| here.contains_key(key) && !expired.contains(key);
        keys.iter().map(|key| key.bytes()).all(|key| !away.contains(key) && (!self.moving.get() || is_here(key)))
    }

    fn refuses_memory(self, _: Str<'_>) -> bool {
        self.memory_full.get()
    }

    fn replicate_verbatim(self) {
        let may = self.primary.get() && !self.loading.get() && !self.paused.get();
        assert!(may, "a real server would end here");
        let (name, key, rest) = self.command.borrow().clone().expect("a client's command");
        self.sent.borrow_mut().push(Sent { stamp: None, name: name.to_bytes().to_vec(), key, rest });
    }

    fn replicate(self, key: Str<'_>, stamp: Ms, name: &CStr, rest: &[Str<'_>]) {
        assert!(self.primary.get() && !self.paused.get(), "a real server would end here");
        self.sent.borrow_mut().push(Sent {
            stamp: Some(stamp),
            name: name.to_bytes().to_vec(),
            key: key.bytes().to_vec(),
            rest: bytes(rest),
        });
    }

    fn log(self, name: &CStr, key: Str<'_>, rest: &[Str<'_>]) {
        assert!(self.logs.get() && !self.loading.get(), "a server without a log");
        let words = [vec![name.to_bytes().to_vec(), key.bytes().to_vec()], bytes(rest)].concat();
        self.logged.borrow_mut().extend(words);
    }

    fn notify(self, _: Class, event: &CStr, key: Str<'_>) {
        self.events.borrow_mut().push((event.to_string_lossy().into_owned(), key.bytes().to_vec()));
    }

    fn signal_modified(self, _: Str<'_>) {}

    fn last_stream_id(self, stream: Str<'_>) -> Option<(u64, u64)> {
        self.expire(stream.bytes());
        match self.keys.borrow().get(stream.bytes()) {
            Some(Content::Stream(stream)) => Some(stream.last),
            _ => None,
        }
    }

    fn look_at(self, uid: u64, _: Str<'_>, at: Option<Ms>) {
        let mut looks = self.looks.borrow_mut();
        match at {
            Some(at) => drop(looks.insert(uid, at)),
            None => drop(looks.remove(&uid)),
        }
    }

    fn arm(self) {}

    fn is_waited_for(self, uid: u64) -> bool {
        self.count_waiting(uid) > 0
    }

    fn count_waiting(self, uid: u64) -> usize {
        self.waiters.borrow().count(uid)
    }

    fn wake_all(self, uid: u64) {
        let is_waited_for = self.waiters.borrow_mut().schedule(uid);
        self.requested.set(self.requested.get() || is_waited_for);
    }

    fn wake<'p>(self, uid: u64, parts: impl Iterator<Item = &'p [u8]>) {
        let is_wanted = self.waiters.borrow_mut().schedule_of(uid, parts);
        self.requested.set(self.requested.get() || is_wanted);
    }

    fn warn(self, text: &str) {
        self.log.borrow_mut().push(text.to_owned());
    }

    fn int(self, n: i64) {
        self.reply(Part::Int(n));
    }

    fn bulk(self, bytes: &[u8]) {
        self.reply(Part::Bulk(bytes.to_vec()));
    }

    fn status(self, text: &CStr) {
        self.reply(Part::Status(text.to_bytes().to_vec()));
    }

    fn error(self, text: &str) {
        self.reply(Part::Error(text.to_owned()));
    }

    fn null(self) {
        self.reply(Part::Nil);
    }

    fn array(self, len: usize) {
        self.reply(Part::Array(len));
    }

    fn map(self, len: usize) {
        self.reply(Part::Map(len));
    }
}

/// Simulated servers.
pub enum Simulation {}

impl Kind for Simulation {
    type Ctx<'a> = &'a Simulated;
    type Client = u64;
    type Turn = ();
}

impl Callers for &Simulated {
    type Kind = Simulation;

    fn waiters<T>(self, run: impl FnOnce(&mut Waiters<Simulation>) -> T) -> T {
        run(&mut self.waiters.borrow_mut())
    }

    fn is_anybody_waiting(self) -> bool {
        self.waiters.borrow().waiting() > 0
    }

    fn block(self) -> u64 {
        assert!(!self.multi.get() && self.primary.get(), "a caller who must not be blocked");
        self.blocked.set(self.blocked.get() + 1);
        self.blocked.get()
    }

    fn deliver(self, client: u64, mut delivery: Delivery<Simulation>) {
        if !self.going.borrow_mut().remove(&client) {
            let others = self.replies.take();
            delivery.reply(self);
            let reply = self.replies.replace(others);
            self.delivered.borrow_mut().push((client, reply));
        }
        callers::delivered(self, delivery);
    }

    fn release(self, _: u64) {}

    fn boot(self) -> Boot {
        self.now().boot
    }

    fn begin_turn(self) {
        self.pieces.set(self.pieces_a_turn.get());
    }

    fn is_over_after(self, (): (), _: u64) -> bool {
        self.pieces.set(self.pieces.get().saturating_sub(1));
        self.pieces.get() == 0
    }

    fn request_turn(self) {
        self.requested.set(true);
    }

    fn wake_at(self, at: Boot) {
        self.wake.set(Some(self.wake.get().map_or(at, |wake| wake.min(at))));
    }
}
