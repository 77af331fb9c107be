//! Deadlines of all values: an index of when each store, or lock, is due next, and a tick that does what is due.
//!
//! Only a primary acts on them, in slices that it replicates; a replica keeps the index, to go on where its primary
//! stopped when it is promoted. The index is by value, not by name: a value that was renamed, moved or removed is found
//! out when it is due, and [`super::events`] registers it under its new name. Its times are those of the module's clock
//! ([`super::clock`]).

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::c_int;
use std::sync::OnceLock;

use super::clock::{self, Boot, Now};
use super::ctx::Ctx;
use super::gate;
use super::string::{OwnStr, Str};
use super::turn::{self, CLOSED_MS, Turn};
use holdfast_engine::base::units::Ms;

/// Values that are asked for in a millisecond, at most, while they may not be written: at about a microsecond each.
const ASKED_A_MS: u64 = 64;

/// A value that is due. Its database is selected; the key may hold anything by now.
pub struct Due<'a> {
    pub uid: u64,
    pub key: Str<'a>,
    /// The reading of the clock by which it is due.
    pub now: Now,
}

/// Does what is due of a value of one type, or a piece of it: false if the key does not hold the value.
pub type Handler = fn(Ctx<'_>, &Due<'_>) -> bool;

/// One for each type.
static HANDLERS: OnceLock<&'static [Handler]> = OnceLock::new();

/// Where a value is, and when it is to be looked at.
struct Entry {
    db: c_int,
    key: Box<[u8]>,
    look_at: Ms,
}

#[derive(Default)]
struct Deadlines {
    /// By when the module's clock says that the value is to be looked at.
    by_time: BTreeSet<(Ms, u64)>,
    values: HashMap<u64, Entry>,
    writes: Writes,
}

/// Whether writes were possible when the last tick wanted to do something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Writes {
    #[default]
    Open,
    Closed,
    /// They are possible again. Until then, calls that waited for that come first: a renewal that was sent in time is
    /// in time.
    Reopened(Boot),
}

impl Writes {
    /// What they are at a tick, after what they were at the one before.
    fn next(self, are_possible: bool, now: Boot) -> Writes {
        match self {
            _ if !are_possible => Writes::Closed,
            Writes::Closed => Writes::Reopened(now.plus_ms(CLOSED_MS)),
            Writes::Reopened(until) if now < until => self,
            Writes::Open | Writes::Reopened(_) => Writes::Open,
        }
    }
}

thread_local! {
    /// Only the server's main thread uses it: commands, timers, events and the loading of values run there.
    static DEADLINES: RefCell<Deadlines> = RefCell::new(Deadlines::default());
}

impl Deadlines {
    fn set(&mut self, uid: u64, db: c_int, key: &[u8], look_at: Ms) {
        if let Some(entry) = self.values.get_mut(&uid) {
            self.by_time.remove(&(entry.look_at, uid));
            entry.look_at = look_at;
            if entry.db != db || *entry.key != *key {
                entry.db = db;
                entry.key = key.into();
            }
        } else {
            self.values.insert(uid, Entry { db, key: key.into(), look_at });
        }
        self.by_time.insert((look_at, uid));
    }

    fn remove(&mut self, uid: u64) {
        if let Some(entry) = self.values.remove(&uid) {
            self.by_time.remove(&(entry.look_at, uid));
        }
    }

    fn first(&self) -> Option<Ms> {
        self.by_time.first().map(|(look_at, _)| *look_at)
    }
}

/// Sets who does what is due, when the module is loaded.
pub fn start(handlers: &'static [Handler]) {
    let _ = HANDLERS.set(handlers);
}

/// Registers when a value, of whatever type, is to be looked at by the module's clock; none if it is not due.
pub fn set(uid: u64, db: c_int, key: &[u8], look_at: Option<Ms>) {
    DEADLINES.with_borrow_mut(|deadlines| match look_at {
        None => deadlines.remove(uid),
        Some(look_at) => deadlines.set(uid, db, key, look_at),
    });
}

/// When a value that may not be written now, as its slot is not this node's, say, is to be looked at again: in a
/// moment, and later where there are many, so that asking for all of them takes a small part of the time.
pub fn look_again(now: Now) -> Ms {
    let values = DEADLINES.with_borrow(|deadlines| deadlines.values.len() as u64);
    now.ms().saturating_add(CLOSED_MS.saturating_add(values / ASKED_A_MS))
}

/// Forgets a value that left the keyspace.
pub fn forget(uid: u64) {
    DEADLINES.with_borrow_mut(|deadlines| deadlines.remove(uid));
}

/// Forgets the values of a database, or of all (-1).
pub fn forget_db(db: c_int) {
    DEADLINES.with_borrow_mut(|deadlines| {
        deadlines.values.retain(|_, entry| db != -1 && entry.db != db);
        let Deadlines { by_time, values, .. } = deadlines;
        by_time.retain(|(_, uid)| values.contains_key(uid));
    });
}

/// Has every value looked at soon: what the index says may not hold any more, as the server was a replica until now and
/// the times were another server's.
pub fn look_at_all() {
    DEADLINES.with_borrow_mut(|deadlines| {
        let Deadlines { by_time, values, .. } = deadlines;
        values.values_mut().for_each(|entry| entry.look_at = 0);
        *by_time = values.keys().map(|uid| (0, *uid)).collect();
        // No call has waited here.
        deadlines.writes = Writes::Open;
    });
    turn::request();
}

/// Two databases changed places.
pub fn swap_dbs(a: c_int, b: c_int) {
    DEADLINES.with_borrow_mut(|deadlines| {
        for entry in deadlines.values.values_mut() {
            entry.db = match entry.db {
                db if db == a => b,
                db if db == b => a,
                db => db,
            };
        }
    });
}

/// Registered values, and the time at which the first of them is due: for INFO.
pub fn info() -> (u64, Ms) {
    DEADLINES.with_borrow(|deadlines| (deadlines.values.len() as u64, deadlines.first().unwrap_or(0)))
}

/// Sees to it that the first deadline is met, on a primary. A server that becomes one calls it, and one that has
/// loaded.
pub fn arm(ctx: Ctx<'_>) {
    next_tick(ctx).into_iter().for_each(turn::wake_at);
}

/// When the next tick has something to do; never on a replica.
pub fn next_tick(ctx: Ctx<'_>) -> Option<Boot> {
    let (first, writes) = DEADLINES.with_borrow(|deadlines| (deadlines.first(), deadlines.writes));
    let now = clock::now();
    let at = now.boot_at(first.filter(|_| ctx.is_primary())?);
    Some(match writes {
        Writes::Open => at,
        Writes::Closed => at.max(now.boot.plus_ms(CLOSED_MS)),
        Writes::Reopened(until) => at.max(until),
    })
}

/// Whether what is due waits, as writes are not possible or have been for a moment only: a command that is carried out
/// now may have waited for that.
pub fn wait() -> bool {
    DEADLINES.with_borrow(|deadlines| deadlines.writes != Writes::Open)
}

/// Does what is due, until the turn is over.
pub fn tick(ctx: Ctx<'_>, turn: Turn) {
    let now = clock::now();
    let due = || DEADLINES.with_borrow(|d| d.by_time.first().copied()).filter(|(look_at, _)| *look_at <= now.ms());
    let are_possible = due().is_none() || gate::may_write(ctx, &[]);
    DEADLINES.with_borrow_mut(|deadlines| deadlines.writes = deadlines.writes.next(are_possible, now.boot));
    while let Some((_, uid)) = due().filter(|_| !wait()) {
        do_due(ctx, uid, now);
        if turn.is_over() {
            break;
        }
    }
}

/// Does what is due of a value, or a piece of it.
fn do_due(ctx: Ctx<'_>, uid: u64, now: Now) {
    let entry = DEADLINES.with_borrow(|d| d.values.get(&uid).map(|entry| (entry.db, OwnStr::new(&entry.key))));
    let Some((db, key)) = entry else { return };
    if ctx.select(db) {
        let due = Due { uid, key: key.get(), now };
        let mut handlers = HANDLERS.get().copied().unwrap_or_default().iter();
        if handlers.any(|handler| handler(ctx, &due)) {
            return;
        }
    }
    forget(uid);
}
