//! Deadlines of all stores: one timer over an index of when each store is due next.
//!
//! Only a primary acts on them, in slices that it replicates; a replica keeps the index, to go on where it left off when
//! it is promoted. The index is by value, not by name: a store that was renamed, moved or removed is found out when it is
//! due, and [`super::events`] registers it under its new name.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::{c_int, c_void, CStr};
use std::time::{SystemTime, UNIX_EPOCH};

use redis_module::raw;

use super::call::Call;
use super::config;
use super::ctx::{api, Ctx, OwnStr, Str};
use super::keys::{streams_of, Key};
use super::value::StoreValue;
use super::write;
use super::{line, locks, timeseries};
use crate::engine::Ms;

/// How much one tick does at most; the rest is next. In shares: a store that has little to do takes one, …
const TICK: u32 = 64;
const A_STORE: u32 = 1;

/// … and one whose sample goes to RedisTimeSeries as well so many: that is a few tenths of a millisecond.
const A_STORE_WITH_SERIES: u32 = 16;

/// How long the timer waits before it looks again while writes are paused (a failover in progress), milliseconds.
const PAUSED_MS: i64 = 10;

/// The longest the timer is set for, milliseconds; then it is set again. Redis 7.0 computes a repeated wait in 32-bit
/// microseconds (ae.c, processTimeEvents): past 35 minutes it overflows, and the event loop spins or sleeps too long.
pub const LONGEST_WAIT_MS: i64 = 60_000;

struct Place {
    db: c_int,
    key: Box<[u8]>,
    due: Ms,
}

#[derive(Default)]
struct Deadlines {
    by_due: BTreeSet<(Ms, u64)>,
    stores: HashMap<u64, Place>,
    armed: Option<(Ms, raw::RedisModuleTimerID)>,
    /// Slices of due work done since the module was loaded.
    sweeps: u64,
}

thread_local! {
    /// Only the server's main thread uses it: commands, timers, events and the loading of values run there.
    static DEADLINES: RefCell<Deadlines> = RefCell::new(Deadlines::default());
}

impl Deadlines {
    fn set(&mut self, uid: u64, db: c_int, key: &[u8], due: Ms) {
        if let Some(place) = self.stores.get_mut(&uid) {
            self.by_due.remove(&(place.due, uid));
            place.due = due;
            if place.db != db || *place.key != *key {
                place.db = db;
                place.key = key.into();
            }
        } else {
            self.stores.insert(uid, Place { db, key: key.into(), due });
        }
        self.by_due.insert((due, uid));
    }

    fn remove(&mut self, uid: u64) {
        if let Some(place) = self.stores.remove(&uid) {
            self.by_due.remove(&(place.due, uid));
        }
    }
}

/// Registers a store that was loaded, copied, renamed or moved, wherever it is now.
pub fn note(db: c_int, key: Str, value: &mut StoreValue) {
    value.due = value.next_due().unwrap_or(0);
    set_due(value.uid, db, key.bytes(), value.due);
}

/// Registers when a value, of whatever type, is due next; 0 if it is not.
pub(super) fn set_due(uid: u64, db: c_int, key: &[u8], due: Ms) {
    DEADLINES.with_borrow_mut(|deadlines| match due {
        0 => deadlines.remove(uid),
        due => deadlines.set(uid, db, key, due),
    });
}

/// After a change: registers the store if it is due earlier than the index knows. One that is due later is found out
/// when the timer comes.
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
        let Deadlines { by_due, stores, .. } = deadlines;
        by_due.retain(|(_, uid)| stores.contains_key(uid));
    });
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
    DEADLINES.with_borrow(|deadlines| {
        let first = deadlines.by_due.first().map_or(0, |(due, _)| *due);
        (deadlines.stores.len() as u64, first, deadlines.sweeps)
    })
}

/// Sets the timer to the first deadline, on a primary. Also called when a server becomes one, and after loading.
pub fn arm(ctx: Ctx) {
    let Some((due, _)) = DEADLINES.with_borrow(|deadlines| deadlines.by_due.first().copied()) else { return };
    let armed = DEADLINES.with_borrow(|deadlines| deadlines.armed);
    if armed.is_some_and(|(at, _)| at <= due) || !ctx.is_primary() {
        return;
    }
    if let Some((_, timer)) = armed {
        // SAFETY: the timer is live: its callback clears `armed` before anything else. No data belongs to it.
        unsafe { api!(RedisModule_StopTimer(ctx.0, timer, std::ptr::null_mut())) };
    }
    set_timer(ctx, due, wait_ms(due));
}

/// Milliseconds until a time, rounded up from what the clock says to the microsecond: from its milliseconds alone a timer
/// would come up to one too late.
fn wait_ms(due: Ms) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let wait = (u128::from(due) * 1_000).saturating_sub(now).div_ceil(1_000);
    i64::try_from(wait).unwrap_or(i64::MAX)
}

fn set_timer(ctx: Ctx, at: Ms, wait_ms: i64) {
    let wait_ms = wait_ms.min(LONGEST_WAIT_MS);
    // SAFETY: the callback is a function of this module, which is never unloaded; it takes no data.
    let timer = unsafe { api!(RedisModule_CreateTimer(ctx.0, wait_ms, Some(tick), std::ptr::null_mut())) };
    DEADLINES.with_borrow_mut(|deadlines| deadlines.armed = Some((at, timer)));
}

extern "C" fn tick(ctx: *mut raw::RedisModuleCtx, _: *mut c_void) {
    // SAFETY: the context of this callback, used within it.
    let ctx = unsafe { Ctx::new(ctx) };
    DEADLINES.with_borrow_mut(|deadlines| deadlines.armed = None);
    if !ctx.is_primary() {
        return;
    }
    // SAFETY: takes nothing.
    if unsafe { api!(RedisModule_AvoidReplicaTraffic()) } != 0 {
        return set_timer(ctx, 0, PAUSED_MS);
    }
    let now = ctx.clock();
    let budget = config::sweep_slice();
    let mut spent = 0;
    while spent < TICK {
        let first = DEADLINES.with_borrow(|deadlines| deadlines.by_due.first().copied());
        let Some((_, uid)) = first.filter(|(due, _)| *due <= now) else { break };
        spent += do_due(ctx, uid, now, budget);
    }
    // Nobody has to wait for the next turn of the event loop.
    line::serve_scheduled(ctx);
    arm(ctx);
}

/// Does what is due in a store or of a lock; says how much of a tick that takes.
fn do_due(ctx: Ctx, uid: u64, now: Ms, budget: u64) -> u32 {
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
    let call = Call { ctx, name: NO_COMMAND, key: name.get(), rest: &[], stamp: None };
    write::sweep(&call, value, now, budget);
    DEADLINES.with_borrow_mut(|deadlines| deadlines.sweeps += 1);
    let sample = value.sample_due().filter(|due| *due <= now).map(|_| {
        let refused = std::mem::take(&mut value.refused);
        write::sample(&call, value, now, &refused)
    });
    note(db, name.get(), value);
    // One full slice is what a tick may take; the rest comes after the clients that wait.
    let more = value.store.next_due().is_some_and(|due| due <= now);
    // The series beside a key are of the store that has its streams.
    let own = streams_of(ctx, name.get(), value).is_none();
    drop(key);
    let series = own && sample.is_some_and(|sample| timeseries::write(ctx, name.get(), now, &sample));
    match (more, series) {
        (true, _) => TICK,
        (false, true) => A_STORE_WITH_SERIES,
        (false, false) => A_STORE,
    }
}

/// A sweep is no client's command.
const NO_COMMAND: &CStr = c"";
