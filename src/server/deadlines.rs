//! Deadlines of all stores: an index of when each store, or lock, is due next, and a tick that does what is due.
//!
//! Only a primary acts on them, in slices that it replicates; a replica keeps the index, to go on where it left off when
//! it is promoted. The index is by value, not by name: a store that was renamed, moved or removed is found out when it is
//! due, and [`super::events`] registers it under its new name. Its times are those of the module's clock ([`super::clock`]).

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, c_int};

use super::call::Call;
use super::clock::{self, Boot, Now};
use super::config;
use super::ctx::{Ctx, OwnStr, Str};
use super::gate::{self, Open};
use super::keys::{Key, streams_of};
use super::turn::{self, CLOSED_MS};
use super::value::StoreValue;
use super::write;
use super::{locks, timeseries};
use holdfast_engine::base::units::Ms;

/// How much one tick does at most; the rest is next. In shares: a store that has little to do takes one, …
const TICK: u32 = 64;
const A_STORE: u32 = 1;

/// … and one whose sample goes to RedisTimeSeries as well so many: that is a few tenths of a millisecond.
const A_STORE_WITH_SERIES: u32 = 16;

/// Stores that are asked for in a millisecond, at most, while they may not be written: at about a microsecond each.
const ASKED_A_MS: u64 = 64;

/// Holds that a tick ends, at most, of a store whose streams are on another node.
const HOLDS_A_TICK: u32 = 256;

struct Place {
    db: c_int,
    key: Box<[u8]>,
    look_at: Ms,
}

#[derive(Default)]
struct Deadlines {
    /// By when the module's clock says that the store is to be looked at.
    by_time: BTreeSet<(Ms, u64)>,
    stores: HashMap<u64, Place>,
    /// Whether writes were not possible when the last tick wanted to do something.
    closed: bool,
    /// Slices of due work done since the module was loaded.
    sweeps: u64,
}

thread_local! {
    /// Only the server's main thread uses it: commands, timers, events and the loading of values run there.
    static DEADLINES: RefCell<Deadlines> = RefCell::new(Deadlines::default());
}

impl Deadlines {
    fn set(&mut self, uid: u64, db: c_int, key: &[u8], look_at: Ms) {
        if let Some(place) = self.stores.get_mut(&uid) {
            self.by_time.remove(&(place.look_at, uid));
            place.look_at = look_at;
            if place.db != db || *place.key != *key {
                place.db = db;
                place.key = key.into();
            }
        } else {
            self.stores.insert(uid, Place { db, key: key.into(), look_at });
        }
        self.by_time.insert((look_at, uid));
    }

    fn remove(&mut self, uid: u64) {
        if let Some(place) = self.stores.remove(&uid) {
            self.by_time.remove(&(place.look_at, uid));
        }
    }

    fn first(&self) -> Option<Ms> {
        self.by_time.first().map(|(look_at, _)| *look_at)
    }
}

/// Registers a store that was loaded, copied, renamed or moved, wherever it is now.
pub fn note(db: c_int, key: Str, value: &mut StoreValue) {
    let due = value.next_due();
    value.due = due.unwrap_or(0);
    let look_at = due.map(|due| value.look_at(clock::now(), due));
    set(value.uid, db, key.bytes(), look_at);
}

/// Registers when a value, of whatever type, is to be looked at by the module's clock; none if it is not due.
pub(super) fn set(uid: u64, db: c_int, key: &[u8], look_at: Option<Ms>) {
    DEADLINES.with_borrow_mut(|deadlines| match look_at {
        None => deadlines.remove(uid),
        Some(look_at) => deadlines.set(uid, db, key, look_at),
    });
}

/// After a change: registers the store if it is due earlier than the index knows. One that is due later is found out
/// when its time in the index comes.
#[inline]
pub fn note_due(ctx: Ctx, key: Str, value: &mut StoreValue) {
    let Some(due) = value.next_due() else { return };
    if value.due != 0 && value.due <= due {
        return;
    }
    note(ctx.db(), key, value);
    arm(ctx);
}

/// Forgets a store that left the keyspace.
pub fn forget(uid: u64) {
    DEADLINES.with_borrow_mut(|deadlines| deadlines.remove(uid));
}

/// Forgets the stores of a database, or of all (-1).
pub fn forget_db(db: c_int) {
    DEADLINES.with_borrow_mut(|deadlines| {
        deadlines.stores.retain(|_, place| db != -1 && place.db != db);
        let Deadlines { by_time, stores, .. } = deadlines;
        by_time.retain(|(_, uid)| stores.contains_key(uid));
    });
}

/// Has every store looked at soon: what the index says may not hold any more, as the server was a replica until now and
/// the times were another server's.
pub fn look_at_all() {
    DEADLINES.with_borrow_mut(|deadlines| {
        let Deadlines { by_time, stores, .. } = deadlines;
        stores.values_mut().for_each(|place| place.look_at = 0);
        *by_time = stores.keys().map(|uid| (0, *uid)).collect();
    });
    turn::request();
}

/// Two databases changed places.
pub fn swap_dbs(a: c_int, b: c_int) {
    DEADLINES.with_borrow_mut(|deadlines| {
        for place in deadlines.stores.values_mut() {
            place.db = match place.db {
                db if db == a => b,
                db if db == b => a,
                db => db,
            };
        }
    });
}

/// Registered stores, the time the first of them is due, and the slices done so far: for INFO.
pub fn info() -> (u64, Ms, u64) {
    DEADLINES.with_borrow(|deadlines| (deadlines.stores.len() as u64, deadlines.first().unwrap_or(0), deadlines.sweeps))
}

/// Sees to it that the first deadline is met, on a primary. A server that becomes one calls it, and one that has loaded.
pub fn arm(ctx: Ctx) {
    next_tick(ctx).into_iter().for_each(turn::wake_at);
}

/// When the next tick has something to do; never on a replica.
pub fn next_tick(ctx: Ctx) -> Option<Boot> {
    let (first, closed) = DEADLINES.with_borrow(|deadlines| (deadlines.first(), deadlines.closed));
    let now = clock::now();
    let at = now.boot_at(first.filter(|_| ctx.is_primary())?);
    Some(if closed { at.max(now.boot.plus_ms(CLOSED_MS)) } else { at })
}

/// Does what is due, as much as one tick may.
pub fn tick(ctx: Ctx) {
    let now = clock::now();
    let due = || DEADLINES.with_borrow(|d| d.by_time.first().copied()).filter(|(look_at, _)| *look_at <= now.ms());
    let closed = due().is_some() && !gate::may_write(ctx);
    DEADLINES.with_borrow_mut(|deadlines| deadlines.closed = closed);
    let mut spent = 0;
    while let Some((_, uid)) = due().filter(|_| !closed && spent < TICK) {
        spent += do_due(ctx, uid, now);
    }
}

/// Does what is due in a store or of a lock; says how much of a tick that takes.
fn do_due(ctx: Ctx, uid: u64, now: Now) -> u32 {
    let place = DEADLINES.with_borrow(|d| d.stores.get(&uid).map(|place| (place.db, OwnStr::new(&place.key))));
    let Some((db, name)) = place else { return A_STORE };
    if !ctx.select(db) || locks::sweep_due(ctx, name.get(), uid, now) {
        return A_STORE;
    }
    let key = Key::open(ctx, name.get(), true);
    // SAFETY: the tick opens one store at a time.
    let value = key.as_ref().and_then(|key| unsafe { key.store() }).filter(|value| value.uid == uid);
    let Some(value) = value else {
        forget(uid);
        return A_STORE;
    };
    let open = gate::may_write_store(ctx, name.get(), &value.store);
    if open == Open::Nothing {
        look_again(uid, db, name.get(), now);
        return A_STORE;
    }
    let time = value.time_at(now);
    let call = Call { ctx, name: NO_COMMAND, key: name.get(), rest: &[], stamp: None };
    sweep(&call, value, time, open);
    DEADLINES.with_borrow_mut(|deadlines| deadlines.sweeps += 1);
    let sample = value.sample_due().filter(|due| *due <= time).map(|_| {
        let refused = std::mem::take(&mut value.refused);
        write::sample(&call, value, time, &refused)
    });
    let still_due = value.store.next_due().is_some_and(|due| due <= time);
    if open == Open::All {
        note(db, name.get(), value);
    } else {
        look_again(uid, db, name.get(), now);
    }
    // One full slice is what a tick may take; the rest comes after the clients that wait.
    let more = still_due && open == Open::All;
    // The series beside a key are of the store that has its streams.
    let own = streams_of(ctx, name.get(), value).is_none();
    drop(key);
    let series = own && sample.is_some_and(|sample| timeseries::write(ctx, name.get(), time, &sample));
    match (more, series) {
        (true, _) => TICK,
        (false, true) => A_STORE_WITH_SERIES,
        (false, false) => A_STORE,
    }
}

/// Does a slice of what is due in a store, or what of it may be done now.
pub fn sweep(call: &Call<'_>, value: &mut StoreValue, time: Ms, open: Open) {
    let due = |value: &StoreValue| value.store.next_due().is_some_and(|due| due <= time);
    match open {
        Open::All => write::sweep(call, value, time, config::sweep_slice()),
        // One by one, up to the first that has to wait.
        Open::Holds => {
            for _ in 0..HOLDS_A_TICK {
                if due(value) && value.store.next_due_leaves_orders() {
                    write::sweep(call, value, time, 1);
                }
            }
        }
        Open::Nothing => {}
    }
}

/// A value that may not be written now, as its slot is not this node's, say, is looked at again in a moment: later where
/// there are many, so that asking for all of them takes a small part of the time.
pub(super) fn look_again(uid: u64, db: c_int, name: Str, now: Now) {
    let stores = DEADLINES.with_borrow(|deadlines| deadlines.stores.len() as u64);
    let wait_ms = CLOSED_MS.saturating_add(stores / ASKED_A_MS);
    set(uid, db, name.bytes(), Some(now.ms().saturating_add(wait_ms)));
}

/// A sweep is no client's command.
const NO_COMMAND: &CStr = c"";
