//! A server of the world: its clocks, its store and streams, and the disk that survives it.

use std::cell::Cell;
use std::collections::hash_map::DefaultHasher;
use std::ffi::CStr;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use super::history::{Change, Group, Item};
use crate::commands::tests::{any_host, reference::assert_documented};
use crate::host::callers::{self, Callers};
use crate::host::clock::TestClock;
use crate::host::deadlines::Due;
use crate::host::key::Mode;
use crate::host::opened::Read;
use crate::host::simulated::{Bytes, Sent, Simulated, Simulation};
use crate::host::turn::CLOSED_MS;
use crate::host::{Call, Host, OwnStr, Stop, Str};
use crate::lock;
use crate::lock::value::{LockValue, floor, forget_floor, raise_floor};
use crate::store::apply;
use crate::store::due::do_due;
use crate::store::keys::{read_store, write_store};
use crate::store::slices::Task;
use crate::store::value::StoreValue;
use crate::store::write::{count_refusal, replace};
use holdfast_engine::base::units::Ms;
use holdfast_engine::calls::locks::Lock;
use holdfast_engine::oracle::shop::{loaded, saved};
use holdfast_engine::terms::streams::StreamKind;

/// The key of the store.
pub const KEY: &[u8] = b"p";

/// The key of the lock.
pub const LOCK: &[u8] = b"doc";

/// The commands of the world, as their names live as long as the program.
const NAMES: [&CStr; 28] = [
    c"STORE.SET",
    c"STORE.DROP",
    c"STORE.REPAIR",
    c"STORE.AUDIT",
    c"INV.SET",
    c"INV.ADJUST",
    c"INV.SYNC",
    c"INV.RESERVE",
    c"INV.EXTEND",
    c"INV.COMMIT",
    c"INV.RELEASE",
    c"ORDER.PLACE",
    c"ORDER.CLAIM",
    c"ORDER.COMPLETE",
    c"ORDER.FAIL",
    c"ORDER.RENEW",
    c"ORDER.YIELD",
    c"ORDER.GATE",
    c"ORDER.PASS",
    c"ORDER.ADVANCE",
    c"ORDER.EDIT",
    c"ORDER.SPLIT",
    c"ORDER.CANCEL",
    c"ORDER.RETURN",
    c"ORDER.REDRIVE",
    c"LOCK.ACQUIRE",
    c"LOCK.RENEW",
    c"LOCK.RELEASE",
];

/// The key of a stream.
pub fn stream_key(kind: StreamKind) -> String {
    format!("{{p}}{}", kind.suffix())
}

/// What a server saved: everything, as it was after so many commands.
#[derive(Clone, Default)]
pub struct Snapshot {
    pub offset: usize,
    store: Option<Vec<Bytes>>,
    streams: Vec<(StreamKind, crate::host::simulated::Stream)>,
    /// The lock, and the highest token of any.
    lock: Option<Bytes>,
    floor: u64,
    /// Whether it is a log that was rewritten.
    is_log: bool,
}

pub struct Node {
    pub server: Simulated,
    /// Thousandths of its pace at which the wall clock runs.
    pub pace: u64,
    /// How many commands it has done.
    pub offset: usize,
    pub disk: Rc<Snapshot>,
    /// The highest token of any lock: of a real server it is the process's.
    pub floor: Cell<u64>,
}

fn server(boot_ms: Ms, wall_ms: Ms, seed: u64) -> Simulated {
    let mut server = Simulated::new(wall_ms);
    server.clock = Some(TestClock::new(boot_ms, wall_ms));
    server.seed.set(seed);
    server
}

impl Node {
    pub fn new(boot_ms: Ms, wall_ms: Ms, seed: u64) -> Node {
        let server = server(boot_ms, wall_ms, seed);
        server.primary.set(false);
        server.logs.set(seed.is_multiple_of(2));
        Node { server, pace: 1_000, offset: 0, disk: Rc::default(), floor: Cell::new(0) }
    }

    fn clock(&self) -> &TestClock {
        self.server.clock.as_ref().expect("a clock")
    }

    /// Time passes, and the server reads its clocks.
    pub fn pass(&mut self, ms: Ms) {
        let clock = self.clock();
        clock.boot_ms.set(clock.boot_ms.get() + ms);
        clock.wall_ms.set(clock.wall_ms.get() + ms * self.pace / 1_000);
        clock.now();
    }

    pub fn set_wall(&mut self, by_ms: i64) {
        let wall = &self.clock().wall_ms;
        wall.set(wall.get().saturating_add_signed(by_ms));
    }

    /// The store, if there is one.
    pub fn store<T>(&self, read: impl FnOnce(&StoreValue) -> T) -> Option<T> {
        read_store(&self.server, OwnStr::new(KEY).get()).ok().map(|value| read(&value))
    }

    /// The store, for what looks at all of it.
    pub fn open<T>(&self, run: impl FnOnce(&mut StoreValue) -> T) -> Option<T> {
        let key = OwnStr::new(KEY);
        let mut value = write_store(&self.server, key.get()).ok()?.store().ok()?;
        Some(run(&mut value))
    }

    /// The lock, if there is one.
    pub fn lock<T>(&self, read: impl FnOnce(&Lock) -> T) -> Option<T> {
        let key = OwnStr::new(LOCK);
        let value = Read::<_, LockValue>::open((&self.server).open(key.get(), Mode::Read)?).ok()?;
        Some(read(&value.lock))
    }

    /// The time of a call on the lock.
    pub fn lock_time(&self) -> Ms {
        let (now, key) = ((&self.server).now(), OwnStr::new(LOCK));
        let open = (&self.server).open(key.get(), Mode::Read);
        let value = open.and_then(|open| Read::<_, LockValue>::open(open).ok());
        value.map_or(now.ms(), |value| value.time_at(now))
    }

    /// The lock's number in its process.
    pub fn lock_uid(&self, key: Str<'_>) -> Option<u64> {
        let value = Read::<_, LockValue>::open((&self.server).open(key, Mode::Read)?).ok()?;
        Some(value.uid)
    }

    /// Does something that may give a lock's token, with the highest token of this server.
    fn with_floor<T>(&self, run: impl FnOnce() -> T) -> T {
        forget_floor();
        raise_floor(self.floor.get());
        let done = run();
        self.floor.set(floor());
        done
    }

    /// The time a call would be made at.
    pub fn time(&self) -> Ms {
        let now = (&self.server).now();
        self.store(|value| value.time_at(now)).unwrap_or(now.ms())
    }

    pub fn digest(&self) -> Option<u128> {
        self.store(|value| value.store.digest())
    }

    /// What the streams and the lock have, as a number.
    pub fn streams(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.lock(Lock::digest), self.floor.get()).hash(&mut hasher);
        for kind in StreamKind::ALL {
            let stream = self.server.stream(&stream_key(kind));
            (stream.last, stream.entries).hash(&mut hasher);
        }
        hasher.finish()
    }

    pub fn call<T>(
        &self,
        name: &'static CStr,
        rest: &[Bytes],
        stamp: Option<Ms>,
        run: impl FnOnce(&Call<'_, &Simulated>) -> T,
    ) -> T {
        self.call_at(KEY, name, rest, stamp, run)
    }

    fn call_at<T>(
        &self,
        key: &[u8],
        name: &'static CStr,
        rest: &[Bytes],
        stamp: Option<Ms>,
        run: impl FnOnce(&Call<'_, &Simulated>) -> T,
    ) -> T {
        let (key, rest) = (OwnStr::new(key), rest.iter().map(|word| OwnStr::new(word)).collect::<Vec<_>>());
        let rest: Vec<_> = rest.iter().map(OwnStr::get).collect();
        self.with_floor(|| run(&Call { ctx: &self.server, name, key: key.get(), rest: &rest, stamp }))
    }

    /// Runs a client's command, and counts what is refused.
    pub fn command(&self, name: &'static CStr, rest: &[Bytes]) -> Result<Option<Task>, Stop> {
        self.command_at(KEY, name, rest)
    }

    /// The same, on a key.
    pub fn command_at(&self, key: &[u8], name: &'static CStr, rest: &[Bytes]) -> Result<Option<Task>, Stop> {
        *self.server.command.borrow_mut() = Some((name, key.to_vec(), rest.to_vec()));
        self.server.replies.take();
        self.call_at(key, name, rest, None, |call| {
            let done = any_host::run(call, name.to_bytes()).expect("a command");
            if let Err(Stop::Refused(refusal)) = &done {
                assert_documented(&name.to_string_lossy(), refusal);
                count_refusal(call, refusal);
            }
            done
        })
    }

    /// Does what a primary sent, or what a log says.
    pub fn receive(&mut self, item: &Item) {
        match item {
            Item::Sent(sent) if sent.name == b"DEL" => self.server.delete(&String::from_utf8_lossy(&sent.key)),
            Item::Sent(sent) => self.receive_command(sent),
            Item::Stream(kind, change) => self.change(*kind, change),
        }
        assert!(self.server.sent.take().is_empty(), "who receives replicates nothing");
    }

    fn receive_command(&self, sent: &Sent) {
        assert!(sent.key == KEY || sent.key == LOCK, "{sent:?}");
        let known = NAMES.into_iter().find(|name| name.to_bytes() == sent.name);
        let name = known.filter(|_| sent.stamp.is_none()).unwrap_or(c"HOLDFAST.APPLY");
        let done =
            self.call_at(&sent.key, name, &sent.rest, sent.stamp, |call| match any_host::run(call, &sent.name) {
                Some(done) => done.map(drop),
                None => {
                    let done = apply::apply(call, &sent.name).or_else(|| lock::due::apply(call, &sent.name));
                    done.expect("a word of the module")
                }
            });
        done.unwrap_or_else(|stop| panic!("what was replicated is refused: {sent:?}: {stop:?}"));
        let logged = self.server.logged.take();
        if self.server.logs.get() && !self.server.loading.get() && sent.stamp.is_none() && sent.name != b"STORE.DROP" {
            assert_eq!(logged, [&[sent.name.clone(), sent.key.clone()], &sent.rest[..]].concat(), "its own log has it");
        }
    }

    /// A stream is changed by somebody else.
    pub fn change(&self, kind: StreamKind, change: &Change) {
        let name = stream_key(kind);
        match change {
            Change::Add(id) => self.server.meddle(&name, |stream| {
                stream.last = *id;
                stream.entries.insert(*id, vec![b"what".to_vec(), b"ever".to_vec()]);
            }),
            Change::Remove(id) => self.server.meddle(&name, |stream| drop(stream.entries.remove(id))),
            Change::Take => drop(self.server.take_stream(&name)),
            Change::Give(stream) => self.server.meddle(&name, |here| *here = stream.clone()),
        }
    }

    /// Does all that is due by its clock, as a primary.
    pub fn tick(&self) {
        let now = (&self.server).now();
        for _ in 0..MOST_SLICES {
            let due = self.server.looks.borrow().iter().find(|(_, at)| **at <= now.ms()).map(|(uid, _)| *uid);
            let Some(uid) = due else { return self.serve_callers() };
            let (key, lock) = (OwnStr::new(KEY), OwnStr::new(LOCK));
            let is_done = self.with_floor(|| {
                do_due(&self.server, &Due { uid, key: key.get(), now }).is_some()
                    || lock::due::do_due(&self.server, &Due { uid, key: lock.get(), now })
            });
            if !is_done {
                self.server.looks.borrow_mut().remove(&uid);
            }
        }
        panic!("what is due is looked at without end");
    }

    /// Serves those who wait, if that was asked for or it is time.
    pub fn serve_callers(&self) {
        let server = &self.server;
        for _ in 0..MOST_SLICES {
            let is_time = server.wake.get().is_some_and(|wake| wake <= server.boot());
            if !server.requested.take() && !is_time {
                return;
            }
            server.wake.set(None);
            server.begin_turn();
            self.with_floor(|| callers::tick::<Simulation>(server, ()));
            let next = server.waiters(|waiters| waiters.next_tick(server.boot(), CLOSED_MS));
            next.into_iter().for_each(|at| server.wake_at(at));
        }
        panic!("callers are served without end");
    }

    /// Saves everything.
    pub fn save(&mut self, is_log: bool) {
        let names = self.server.names();
        let streams = StreamKind::ALL.into_iter().filter(|kind| names.contains(stream_key(*kind).as_bytes()));
        let streams = streams.map(|kind| (kind, self.server.stream(&stream_key(kind)))).collect();
        let store = self.store(|value| saved(&value.store));
        let (lock, floor) = (self.lock(Lock::save), self.floor.get());
        self.disk = Rc::new(Snapshot { offset: self.offset, store, streams, is_log, lock, floor });
    }

    /// Starts anew from a disk, with a log of what came after; another server's disk, if it follows that one.
    pub fn start(&mut self, disk: &Rc<Snapshot>, log: &[Group]) {
        let (old, clock) = (&self.server, self.clock());
        let seed = old.seed.get().wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        let new = server(clock.boot_ms.get(), clock.wall_ms.get(), seed);
        new.primary.set(old.primary.get());
        new.cluster.set(old.cluster.get());
        new.logs.set(old.logs.get());
        new.slice.set(old.slice.get());
        new.pieces_a_turn.set(old.pieces_a_turn.get());
        self.server = new;
        self.disk = Rc::clone(disk);
        self.offset = disk.offset;
        self.server.loading.set(true);
        self.floor.set(disk.floor);
        self.put_lock(disk);
        self.put(disk);
        for group in log {
            self.receive_group(group);
        }
        self.server.loading.set(false);
        self.look_soon();
    }

    fn put_lock(&self, disk: &Snapshot) {
        let Some(image) = &disk.lock else { return };
        let rest = [image.clone(), disk.floor.to_string().into_bytes()];
        self.call_at(LOCK, c"HOLDFAST.APPLY", &rest, Some(0), |call| lock::due::apply(call, b"LOCKLOAD"))
            .expect("a word of the lock")
            .expect("a lock");
    }

    fn put(&self, disk: &Snapshot) {
        disk.streams.iter().for_each(|(kind, stream)| self.change(*kind, &Change::Give(stream.clone())));
        let Some(pieces) = &disk.store else { return };
        if disk.is_log {
            for piece in pieces {
                let done = self
                    .call(c"HOLDFAST.APPLY", std::slice::from_ref(piece), Some(0), |call| apply::apply(call, b"LOAD"));
                done.expect("a word").expect("a piece of a store");
            }
        } else {
            let store = loaded(pieces, self.server.seed.get()).expect("a saved store loads");
            self.call(c"", &[], None, |call| replace(call, StoreValue::new(*store, 0)));
        }
    }

    /// The store is looked at soon: the times it is registered with were another server's.
    pub fn look_soon(&self) {
        if let Some(uid) = self.store(|value| value.uid) {
            self.server.looks.borrow_mut().insert(uid, 0);
        }
        let key = OwnStr::new(LOCK);
        self.server.looks.borrow_mut().extend(self.lock_uid(key.get()).map(|uid| (uid, 0)));
    }

    /// Does the commands of one turn of the primary, and has the same then.
    pub fn receive_group(&mut self, group: &Group) {
        group.items.iter().for_each(|item| self.receive(item));
        self.offset += 1;
        assert_eq!(self.digest(), group.digest, "after {:?} the store is another than the primary's", group.items);
        assert_eq!(self.streams(), group.streams, "after {:?} the streams are others than the primary's", group.items);
    }
}

/// Slices after which what is due in these small worlds is done.
const MOST_SLICES: usize = 1_000;
