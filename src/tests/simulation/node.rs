//! A server of the world: its clocks, its store and streams, and the disk that survives it.

use std::collections::hash_map::DefaultHasher;
use std::ffi::CStr;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use super::history::{Change, Group, Item};
use crate::commands::tests::any_host;
use crate::host::clock::TestClock;
use crate::host::deadlines::Due;
use crate::host::simulated::{Bytes, Sent, Simulated};
use crate::host::{Call, Host, OwnStr, Stop};
use crate::store::apply;
use crate::store::due::do_due;
use crate::store::keys::{read_store, write_store};
use crate::store::slices::Task;
use crate::store::value::StoreValue;
use crate::store::write::{count_refusal, replace};
use holdfast_engine::base::units::Ms;
use holdfast_engine::oracle::shop::{loaded, saved};
use holdfast_engine::terms::streams::StreamKind;

/// The key of the store.
pub const KEY: &[u8] = b"p";

/// The commands of the world, as their names live as long as the program.
const NAMES: [&CStr; 25] = [
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
        Node { server, pace: 1_000, offset: 0, disk: Rc::default() }
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

    /// The time a call would be made at.
    pub fn time(&self) -> Ms {
        let now = (&self.server).now();
        self.store(|value| value.time_at(now)).unwrap_or(now.ms())
    }

    pub fn digest(&self) -> Option<u128> {
        self.store(|value| value.store.digest())
    }

    /// What the streams have, as a number.
    pub fn streams(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
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
        let (key, rest) = (OwnStr::new(KEY), rest.iter().map(|word| OwnStr::new(word)).collect::<Vec<_>>());
        let rest: Vec<_> = rest.iter().map(OwnStr::get).collect();
        run(&Call { ctx: &self.server, name, key: key.get(), rest: &rest, stamp })
    }

    /// Runs a client's command, and counts what is refused.
    pub fn command(&self, name: &'static CStr, rest: &[Bytes]) -> Result<Option<Task>, Stop> {
        *self.server.command.borrow_mut() = Some((name, KEY.to_vec(), rest.to_vec()));
        self.server.replies.take();
        self.call(name, rest, None, |call| {
            let done = any_host::run(call, name.to_bytes()).expect("a command");
            if let Err(Stop::Refused(refusal)) = &done {
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
        assert_eq!(sent.key, KEY);
        let known = NAMES.into_iter().find(|name| name.to_bytes() == sent.name);
        let name = known.filter(|_| sent.stamp.is_none()).unwrap_or(c"HOLDFAST.APPLY");
        let done = self.call(name, &sent.rest, sent.stamp, |call| match any_host::run(call, &sent.name) {
            Some(done) => done.map(drop),
            None => apply::apply(call, &sent.name).expect("a word of the store"),
        });
        done.unwrap_or_else(|stop| panic!("what was replicated is refused: {sent:?}: {stop:?}"));
        let logged = self.server.logged.take();
        if self.server.logs.get() && !self.server.loading.get() && sent.stamp.is_none() && sent.name != b"STORE.DROP" {
            assert_eq!(logged, [&[sent.name.clone(), KEY.to_vec()], &sent.rest[..]].concat(), "its own log has it");
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
            let Some(uid) = due else { return };
            let key = OwnStr::new(KEY);
            if do_due(&self.server, &Due { uid, key: key.get(), now }).is_none() {
                self.server.looks.borrow_mut().remove(&uid);
            }
        }
        panic!("what is due is looked at without end");
    }

    /// Saves everything.
    pub fn save(&mut self, is_log: bool) {
        let names = self.server.names();
        let streams = StreamKind::ALL.into_iter().filter(|kind| names.contains(stream_key(*kind).as_bytes()));
        let streams = streams.map(|kind| (kind, self.server.stream(&stream_key(kind)))).collect();
        let store = self.store(|value| saved(&value.store));
        self.disk = Rc::new(Snapshot { offset: self.offset, store, streams, is_log });
    }

    /// Starts anew from a disk, with a log of what came after; another server's disk, if it follows that one.
    pub fn start(&mut self, disk: &Rc<Snapshot>, log: &[Group]) {
        let (old, clock) = (&self.server, self.clock());
        let seed = old.seed.get().wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        let new = server(clock.boot_ms.get(), clock.wall_ms.get(), seed);
        new.primary.set(old.primary.get());
        new.cluster.set(old.cluster.get());
        new.logs.set(old.logs.get());
        self.server = new;
        self.disk = Rc::clone(disk);
        self.offset = disk.offset;
        self.server.loading.set(true);
        self.put(disk);
        for group in log {
            self.receive_group(group);
        }
        self.server.loading.set(false);
        self.look_soon();
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
