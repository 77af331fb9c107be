//! The line of blocked callers: LOCK.ACQUIRE with WAIT, ORDER.CLAIM with BLOCK. First come, first served.
//!
//! A caller waits for a value, not for a name, at the end of that value's queue. Whoever makes something to hand out (a
//! lock that is free again, an order) calls [`schedule`]; a timer of no delay then serves the line, in the same turn of
//! the server's event loop but never inside a command: within MULTI or Lua nobody else may get anything. Only a primary
//! serves. A caller leaves the line by being answered, by its timeout or CLIENT UNBLOCK, by going away, or when the value
//! leaves the keyspace ([`leave`]).
//!
//! The server's own lists of clients blocked on keys are not used: they wake all callers at once, and say nothing when
//! a key goes.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{c_int, c_void};
use std::rc::Rc;
use std::time::{Duration, Instant};

use redis_module::raw;

use super::call::{Call, Stop};
use super::ctx::{api, Ctx, OwnStr, Str};
use super::{claims, deadlines, locks};
use crate::engine::Ms;

/// Callers that one tick of the timer answers at most; then the clients that wait for the server have their turn.
const ANSWERS_A_TICK: usize = 512;

/// Callers that are looked at, at most, for one who stands in the line twice.
const LOOK_MOST: usize = 1_000;

/// How long the timer waits before it looks again while writes are paused (a failover in progress), milliseconds.
const PAUSED_MS: i64 = 10;

/// The server is told of no timeout, the line has its own: where one falls due in the same turn of the event loop as the
/// answer, Redis 7.0 lets the client go without either (`moduleBlockedClientTimedOut` sees that it is being unblocked and
/// replies nothing, the client is unblocked all the same, and the reply callback finds nobody).
const NO_TIMEOUT: i64 = 0;

/// What a caller waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Orders to work on.
    Claim { worker: Vec<u8>, count: usize, lease_ms: Option<Ms> },
    /// The lock.
    Lock { owner: Vec<u8>, ttl_ms: Ms },
}

impl Ask {
    /// What serves those who ask for this. It hands out to the first in the line, and so on, until the line or the goods
    /// are exhausted or `most` callers are answered, and says how many were. The database is selected; the key may hold
    /// anything by now: compare the value's uid.
    fn serve(&self) -> Option<Serve> {
        match self {
            Ask::Claim { .. } => Some(claims::serve),
            Ask::Lock { .. } => Some(locks::serve),
        }
    }

    /// The reply to a caller who got nothing.
    fn nothing(&self, ctx: Ctx) {
        match self {
            Ask::Claim { .. } => ctx.array(0),
            Ask::Lock { .. } => ctx.null(),
        }
    }
}

/// Serves the line of the value `uid` at a key: `(ctx, key, uid, most)` → callers answered.
pub type Serve = fn(Ctx, Str, u64, usize) -> usize;

/// Something that is done once, later, with the context of that time.
type Later = Box<dyn FnOnce(Ctx)>;

/// What a caller gets.
pub struct Answer {
    /// Writes the reply, in the protocol of the caller; taken when that is done.
    reply: Option<Later>,
    /// Takes back what was handed over to a caller who went away before the reply.
    undelivered: Option<Later>,
}

impl Answer {
    /// An answer that `reply` writes to the caller.
    pub fn new(reply: impl FnOnce(Ctx) + 'static) -> Self {
        Answer { reply: Some(Box::new(reply)), undelivered: None }
    }

    /// What to do when the caller went away between the answer and its reply. It runs outside any command, on a primary
    /// that may write; the context has database 0 selected.
    pub fn or_else(self, undelivered: impl FnOnce(Ctx) + 'static) -> Self {
        Answer { undelivered: Some(Box::new(undelivered)), ..self }
    }
}

type Client = *mut raw::RedisModuleBlockedClient;

struct Waiter {
    client: Client,
    /// When it gives up.
    until: Option<Instant>,
    db: c_int,
    key: Rc<OwnStr>,
    ask: Rc<Ask>,
}

/// Trees, not hash tables: they never double under a line of many callers.
#[derive(Default)]
struct Line {
    /// By the value waited for, then by the order of coming.
    waiters: BTreeMap<(u64, u64), Waiter>,
    /// Where each client stands.
    places: BTreeMap<Client, (u64, u64)>,
    next_place: u64,
    /// Where those stand who give up at some time.
    timeouts: BTreeSet<(Instant, (u64, u64))>,
    /// The timer for the first of them.
    timer: Option<(Instant, raw::RedisModuleTimerID)>,
    /// Values whose lines are to be served.
    scheduled: BTreeSet<u64>,
    /// The one that was served last: the next has its turn before those in front of it.
    served: u64,
    undelivered: Vec<Later>,
    armed: bool,
}

thread_local! {
    /// Only the server's main thread uses it: commands, timers, events, and the callbacks of blocked clients.
    static LINE: RefCell<Line> = RefCell::new(Line::default());

    /// How many wait, for whatever: asked on every change, and mostly 0.
    static WAITING: Cell<usize> = const { Cell::new(0) };
}

impl Line {
    fn push(&mut self, uid: u64, waiter: Waiter) {
        let place = (uid, self.next_place);
        self.next_place += 1;
        self.places.insert(waiter.client, place);
        self.timeouts.extend(waiter.until.map(|until| (until, place)));
        self.waiters.insert(place, waiter);
        WAITING.set(self.waiters.len());
    }

    fn of(&self, uid: u64) -> impl Iterator<Item = (&(u64, u64), &Waiter)> {
        self.waiters.range((uid, 0)..=(uid, u64::MAX))
    }

    fn remove(&mut self, place: (u64, u64)) -> Option<Waiter> {
        let waiter = self.waiters.remove(&place)?;
        self.places.remove(&waiter.client);
        if let Some(until) = waiter.until {
            self.timeouts.remove(&(until, place));
        }
        WAITING.set(self.waiters.len());
        Some(waiter)
    }

    fn remove_first(&mut self, uid: u64) -> Option<Waiter> {
        let place = self.of(uid).next().map(|(place, _)| *place)?;
        self.remove(place)
    }

    fn next_scheduled(&mut self) -> Option<u64> {
        let behind = self.scheduled.range(self.served.saturating_add(1)..).next();
        let next = behind.or(self.scheduled.first()).copied()?;
        self.scheduled.remove(&next);
        self.served = next;
        Some(next)
    }

    fn remove_timed_out(&mut self, now: Instant) -> Option<Waiter> {
        let (_, place) = self.timeouts.first().copied().filter(|(until, _)| *until <= now)?;
        self.remove(place)
    }

    fn remove_client(&mut self, client: Client) -> Option<Waiter> {
        self.places.get(&client).copied().and_then(|place| self.remove(place))
    }
}

/// Blocks the caller at the end of the line of the value `uid`, which is at the call's key; 0 waits for ever. The call's
/// context must be one that may block ([`Ctx::denies_blocking`]), on a primary: nobody serves a line on a replica. The
/// command ends with what this gives: its reply comes later.
pub fn wait(call: &Call<'_>, uid: u64, ask: Ask, timeout_ms: Ms) -> Stop {
    let (reply, timeout, free) = (on_reply as _, on_timeout as _, free_answer as _);
    // SAFETY: the context is a command's, which may block; the callbacks are functions of this module, which is never
    // unloaded.
    let client = unsafe {
        let client = api!(RedisModule_BlockClient(call.ctx.0, Some(reply), Some(timeout), Some(free), NO_TIMEOUT));
        api!(RedisModule_SetDisconnectCallback(client, Some(on_disconnect)));
        client
    };
    let until = (timeout_ms > 0).then(|| Instant::now().checked_add(Duration::from_millis(timeout_ms))).flatten();
    let key = Rc::new(OwnStr::new(call.key.bytes()));
    let waiter = Waiter { client, until, db: call.ctx.db(), key, ask: Rc::new(ask) };
    LINE.with_borrow_mut(|line| line.push(uid, waiter));
    arm_timeouts(call.ctx);
    Stop::Replied
}

/// Sets the timer for the first who gives up.
fn arm_timeouts(ctx: Ctx) {
    let (first, armed) = LINE.with_borrow(|line| (line.timeouts.first().map(|(until, _)| *until), line.timer));
    let Some(first) = first.filter(|first| armed.is_none_or(|(at, _)| *first < at)) else { return };
    if let Some((_, timer)) = armed {
        // SAFETY: the timer is live: its callback clears `timer` before anything else. No data belongs to it.
        unsafe { api!(RedisModule_StopTimer(ctx.0, timer, std::ptr::null_mut())) };
    }
    let wait_ms = first.saturating_duration_since(Instant::now()).as_micros().div_ceil(1_000);
    let wait_ms = i64::try_from(wait_ms).unwrap_or(i64::MAX).min(deadlines::LONGEST_WAIT_MS);
    // SAFETY: the callback is a function of this module and takes no data.
    let timer = unsafe { api!(RedisModule_CreateTimer(ctx.0, wait_ms, Some(on_time), std::ptr::null_mut())) };
    LINE.with_borrow_mut(|line| line.timer = Some((first, timer)));
}

/// Those whose time is over get nothing.
extern "C" fn on_time(ctx: *mut raw::RedisModuleCtx, _: *mut c_void) {
    // SAFETY: the context of this callback, used within it.
    let ctx = unsafe { Ctx::new(ctx) };
    LINE.with_borrow_mut(|line| line.timer = None);
    let now = Instant::now();
    let next = || LINE.with_borrow_mut(|line| line.remove_timed_out(now));
    std::iter::from_fn(next).for_each(Waiter::answer_nothing);
    arm_timeouts(ctx);
}

/// Whether anybody waits for the value. It costs next to nothing while nobody waits anywhere.
#[inline]
pub fn anybody(uid: u64) -> bool {
    WAITING.get() > 0 && LINE.with_borrow(|line| line.of(uid).next().is_some())
}

/// How many wait for the value. Takes time in proportion to that.
pub fn count(uid: u64) -> usize {
    LINE.with_borrow(|line| line.of(uid).count())
}

/// Whether nobody waits for anything.
#[inline]
pub fn nobody() -> bool {
    WAITING.get() == 0
}

/// What the first in the line asks for.
pub fn first(uid: u64) -> Option<Rc<Ask>> {
    LINE.with_borrow(|line| line.of(uid).next().map(|(_, waiter)| Rc::clone(&waiter.ask)))
}

/// Takes the first off the line, who gets the answer as soon as the server is through with what it does.
pub fn answer_first(uid: u64, answer: Answer) {
    if let Some(waiter) = LINE.with_borrow_mut(|line| line.remove_first(uid)) {
        waiter.answer(answer);
    }
}

/// Answers those in the line who ask for the same thing, one answer each, and says how many were. Only the first
/// [`LOOK_MOST`] callers are looked at.
pub fn answer_like(uid: u64, same: impl Fn(&Ask) -> bool, answer: impl Fn() -> Answer) -> usize {
    let like: Vec<Waiter> = LINE.with_borrow_mut(|line| {
        let like = line.of(uid).take(LOOK_MOST).filter(|(_, waiter)| same(&waiter.ask));
        let places: Vec<_> = like.map(|(place, _)| *place).collect();
        places.into_iter().filter_map(|place| line.remove(place)).collect()
    });
    let answered = like.len();
    like.into_iter().for_each(|waiter| waiter.answer(answer()));
    answered
}

impl Waiter {
    fn answer(self, answer: Answer) {
        let answer = Box::into_raw(Box::new(answer));
        // SAFETY: the client was blocked by `wait` and is unblocked once: it has left the line. `free_answer` frees the
        // answer. The server takes this at any time: it only notes the client.
        unsafe { api!(RedisModule_UnblockClient(self.client, answer.cast())) };
    }

    fn answer_nothing(self) {
        let ask = Rc::clone(&self.ask);
        self.answer(Answer::new(move |ctx| ask.nothing(ctx)));
    }
}

/// A value left the keyspace: those who wait for it get nothing, and may ask again for what is there now.
pub fn leave(uid: u64) {
    while anybody(uid) {
        if let Some(waiter) = LINE.with_borrow_mut(|line| line.remove_first(uid)) {
            waiter.answer_nothing();
        }
    }
}

/// As [`leave`], for all values whose slot is another node's by now, or that are gone without a word.
pub fn leave_moved(ctx: Ctx) {
    let mut keys: Vec<_> = LINE.with_borrow(|line| line.waiters.values().map(|w| (w.db, Rc::clone(&w.key))).collect());
    keys.dedup_by(|a, b| a.0 == b.0 && a.1.get().bytes() == b.1.get().bytes());
    for (db, key) in keys {
        if !ctx.select(db) || !ctx.has_key(key.get()) {
            let of_key = |waiter: &Waiter| waiter.db == db && waiter.key.get().bytes() == key.get().bytes();
            leave_all(of_key);
        }
    }
}

/// As [`leave`], for all values of a database, or of all databases (-1).
pub fn leave_db(db: c_int) {
    if WAITING.get() == 0 {
        return;
    }
    leave_all(|waiter| db == -1 || waiter.db == db);
}

fn leave_all(leaves: impl Fn(&Waiter) -> bool) {
    let left: Vec<Waiter> = LINE.with_borrow_mut(|line| {
        let places: Vec<_> = line.waiters.iter().filter(|(_, w)| leaves(w)).map(|(place, _)| *place).collect();
        places.into_iter().filter_map(|place| line.remove(place)).collect()
    });
    left.into_iter().for_each(Waiter::answer_nothing);
}

/// Has the line of the value served, after what the server does now. Call it when there may be something to hand out.
#[inline]
pub fn schedule(ctx: Ctx, uid: u64) {
    if anybody(uid) {
        LINE.with_borrow_mut(|line| line.scheduled.insert(uid));
        arm(ctx, 0);
    }
}

fn arm(ctx: Ctx, wait_ms: i64) {
    if LINE.with_borrow_mut(|line| std::mem::replace(&mut line.armed, true)) {
        return;
    }
    // SAFETY: the callback is a function of this module and takes no data.
    unsafe { api!(RedisModule_CreateTimer(ctx.0, wait_ms, Some(tick), std::ptr::null_mut())) };
}

extern "C" fn tick(ctx: *mut raw::RedisModuleCtx, _: *mut c_void) {
    // SAFETY: the context of this callback, used within it.
    let ctx = unsafe { Ctx::new(ctx) };
    LINE.with_borrow_mut(|line| line.armed = false);
    if !ctx.is_primary() {
        // The new primary has other callers. What was not delivered comes back by its deadline there.
        LINE.with_borrow_mut(|line| (line.scheduled.clear(), line.undelivered.clear()));
        return;
    }
    // SAFETY: takes nothing.
    if unsafe { api!(RedisModule_AvoidReplicaTraffic()) } != 0 {
        return arm(ctx, PAUSED_MS);
    }
    for take_back in LINE.with_borrow_mut(|line| std::mem::take(&mut line.undelivered)) {
        ctx.select(0);
        take_back(ctx);
    }
    serve_scheduled(ctx);
}

/// Serves the lines that are to be served, in a timer's callback, on a primary that may write.
pub fn serve_scheduled(ctx: Ctx) {
    let mut left = ANSWERS_A_TICK;
    while let Some(uid) = LINE.with_borrow_mut(Line::next_scheduled) {
        left -= serve(ctx, uid, left).min(left);
        if left == 0 {
            // This line may not be exhausted, and others have not been looked at.
            LINE.with_borrow_mut(|line| line.scheduled.insert(uid));
            return arm(ctx, 0);
        }
    }
}

fn serve(ctx: Ctx, uid: u64, most: usize) -> usize {
    let of_waiter = |waiter: &Waiter| (waiter.db, Rc::clone(&waiter.key), waiter.ask.serve());
    let first = LINE.with_borrow(|line| line.of(uid).next().map(|(_, waiter)| of_waiter(waiter)));
    let Some((db, key, Some(serve))) = first else { return 0 };
    if ctx.select(db) {
        serve(ctx, key.get(), uid, most)
    } else {
        0
    }
}

extern "C" fn on_reply(ctx: *mut raw::RedisModuleCtx, _: *mut *mut raw::RedisModuleString, _: c_int) -> c_int {
    // SAFETY: the private data is the answer that `Waiter::answer` passed; nobody else uses it now.
    let (ctx, answer) = unsafe {
        let answer = api!(RedisModule_GetBlockedClientPrivateData(ctx)).cast::<Answer>();
        (Ctx::new(ctx), &mut *answer)
    };
    if let Some(reply) = answer.reply.take() {
        reply(ctx);
    }
    raw::REDISMODULE_OK as c_int
}

/// CLIENT UNBLOCK. The server's own timeouts are not used ([`NO_TIMEOUT`]).
extern "C" fn on_timeout(ctx: *mut raw::RedisModuleCtx, _: *mut *mut raw::RedisModuleString, _: c_int) -> c_int {
    // SAFETY: the context is a blocked client's, and has its handle.
    let client = unsafe { api!(RedisModule_GetBlockedClientHandle(ctx)) };
    if let Some(waiter) = LINE.with_borrow_mut(|line| line.remove_client(client)) {
        // SAFETY: the context of this callback, used within it.
        waiter.ask.nothing(unsafe { Ctx::new(ctx) });
        waiter.let_go();
    }
    raw::REDISMODULE_OK as c_int
}

/// The client went away, or the server sends it away (it became a replica, the cluster is down). Also called for one that
/// has been answered and not yet been told: that one is out of the line.
extern "C" fn on_disconnect(_: *mut raw::RedisModuleCtx, client: Client) {
    if let Some(waiter) = LINE.with_borrow_mut(|line| line.remove_client(client)) {
        waiter.let_go();
    }
}

impl Waiter {
    /// Lets the server free its side of a client that has gone or has its reply.
    fn let_go(self) {
        // SAFETY: as in `answer`; there is no private data.
        unsafe { api!(RedisModule_UnblockClient(self.client, std::ptr::null_mut())) };
    }
}

extern "C" fn free_answer(ctx: *mut raw::RedisModuleCtx, answer: *mut c_void) {
    // SAFETY: boxed by `Waiter::answer`, freed once.
    let answer = unsafe { Box::from_raw(answer.cast::<Answer>()) };
    let (Some(_), Some(take_back)) = (answer.reply, answer.undelivered) else { return };
    LINE.with_borrow_mut(|line| line.undelivered.push(take_back));
    // SAFETY: the context of this callback, used within it.
    arm(unsafe { Ctx::new(ctx) }, 0);
}
