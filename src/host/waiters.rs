//! Blocked callers that wait for something to become available, in a queue for each value. First come, first served.
//!
//! A caller waits for a value, not for a name, at the end of that value's queue. Whoever makes something available
//! calls [`schedule`]; the tick at the end of the turn ([`super::turn`]) then serves the queue, never inside a command:
//! within MULTI or Lua nobody else may get anything. Only a primary serves. A caller leaves the queue by being
//! answered, by its timeout or CLIENT UNBLOCK, by going away, or when the value leaves the keyspace ([`leave`]).
//!
//! An answer that was decided is handed to the server in the tick too. Between the two the server would take a CLIENT
//! UNBLOCK for that caller without calling the module, and would drop the answer: the caller would never get one. So
//! the answer is kept here until no other command can come in between, and CLIENT UNBLOCK delivers it.
//!
//! A caller may want parts of a value alone (lanes of a store). Such callers are also kept by each part that they want:
//! the first who can get something that became available is found without a look at those who cannot.
//!
//! The server's own lists of clients blocked on keys are not used: they wake all callers at once, and say nothing when
//! a key is deleted.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{c_int, c_void};
use std::rc::Rc;

use redis_module::raw;

use super::api::api;
use super::call::{Call, Stop};
use super::clock::Boot;
use super::ctx::Ctx;
use super::string::{OwnStr, Str};
use super::turn::{self, CLOSED_MS, Turn};
use super::{gate, query};
use holdfast_engine::base::units::Ms;

/// Callers of one value that a piece of a turn answers, at most.
pub const ANSWERS_A_PIECE: usize = 32;

/// What an answer costs the server once the module has handed it over, microseconds: it writes the reply to the socket.
const DELIVERY_US: u64 = 10;

/// Callers that are looked at, at most, for one who is in the queue twice.
const LOOK_MOST: usize = 1_000;

/// The server does not know the timeouts, the queue has its own: where one falls due in the same turn of the event loop
/// as the answer, Redis 7.0 lets the client go without either (`moduleBlockedClientTimedOut` sees that it is being
/// unblocked and replies nothing, the client is unblocked all the same, and the reply callback finds nobody).
const NO_TIMEOUT: i64 = 0;

/// What a caller waits for.
pub trait Ask: Any {
    /// What serves those who ask for this.
    fn serve(&self) -> Serve;

    /// The reply to a caller who got nothing.
    fn nothing(&self, ctx: Ctx<'_>);

    /// The parts of the value that the caller takes from; empty: all of it.
    fn parts(&self) -> &[Vec<u8>] {
        &[]
    }
}

/// Serves the queue of a value. It hands out to the first in the queue, and so on, until the queue or the goods are
/// exhausted or `most` callers are answered, and says how many were. The database is selected; the key may hold
/// anything by now: compare the value's uid.
pub type Serve = fn(ctx: Ctx<'_>, key: Str<'_>, uid: u64, most: usize) -> usize;

/// Something that is done once, later, with the context of that time.
type Later = Box<dyn FnOnce(Ctx<'_>)>;

/// What a caller gets.
pub struct Answer {
    /// Writes the reply, in the protocol of the caller; taken when that is done.
    reply: Option<Later>,
    /// Takes back what was handed over to a caller who went away before the reply.
    undelivered: Option<Later>,
}

impl Answer {
    /// An answer that `reply` writes to the caller.
    pub fn new(reply: impl FnOnce(Ctx<'_>) + 'static) -> Self {
        Answer { reply: Some(Box::new(reply)), undelivered: None }
    }

    /// What to do when the caller went away between the answer and its reply. It runs outside any command, on a primary
    /// that may write; the context has database 0 selected.
    pub fn or_else(self, undelivered: impl FnOnce(Ctx<'_>) + 'static) -> Self {
        Answer { undelivered: Some(Box::new(undelivered)), ..self }
    }
}

type Client = *mut raw::RedisModuleBlockedClient;

struct Waiter {
    client: Client,
    /// Counts the callers as they came.
    number: u64,
    /// When it gives up.
    until: Option<Boot>,
    db: c_int,
    key: Rc<OwnStr>,
    ask: Rc<dyn Ask>,
}

/// Where a caller is: the value it waits for, and its number.
type At = (u64, u64);

/// Those who wait for a value, by their numbers: in the order of coming.
#[derive(Default)]
struct Queue {
    /// Those who take from all of it.
    of_all: BTreeMap<u64, Waiter>,
    /// Those who take from parts of it.
    of_parts: BTreeMap<u64, Waiter>,
    /// Their numbers, by each part.
    by_part: BTreeMap<Vec<u8>, BTreeSet<u64>>,
}

/// Trees, not hash tables: they never double under a queue of many callers.
#[derive(Default)]
struct Waiters {
    /// By the value waited for; none is empty.
    queues: BTreeMap<u64, Queue>,
    /// Queues of values that left the keyspace: those in them are sent away in turns.
    leaving: VecDeque<(u64, Queue)>,
    /// Where each client is.
    clients: BTreeMap<Client, At>,
    next_number: u64,
    /// Those who give up at some time.
    timeouts: BTreeSet<(Boot, At)>,
    /// Answers that were decided and are not with the server yet.
    answered: BTreeMap<Client, (Waiter, Answer)>,
    /// Values whose queues are to be served.
    scheduled: BTreeSet<u64>,
    /// The one that was served last: the next has its turn before those in front of it.
    served: u64,
    /// What was handed to callers who went away, to be taken back.
    undelivered: Vec<Later>,
    /// Whether writes were not possible when the last tick wanted to hand something out.
    closed: bool,
}

thread_local! {
    /// Only the server's main thread uses it: commands, timers, events, and the callbacks of blocked clients.
    static WAITERS: RefCell<Waiters> = RefCell::new(Waiters::default());

    /// How many wait, for whatever: asked on every change, and mostly 0.
    static WAITING: Cell<usize> = const { Cell::new(0) };
}

impl Queue {
    fn insert(&mut self, waiter: Waiter) {
        for part in waiter.ask.parts() {
            self.by_part.entry(part.clone()).or_default().insert(waiter.number);
        }
        let of = if waiter.ask.parts().is_empty() { &mut self.of_all } else { &mut self.of_parts };
        of.insert(waiter.number, waiter);
    }

    fn remove(&mut self, number: u64) -> Option<Waiter> {
        if let Some(waiter) = self.of_all.remove(&number) {
            return Some(waiter);
        }
        let waiter = self.of_parts.remove(&number)?;
        for part in waiter.ask.parts() {
            if let Some(numbers) = self.by_part.get_mut(part) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.by_part.remove(part);
                }
            }
        }
        Some(waiter)
    }

    fn len(&self) -> usize {
        self.of_all.len() + self.of_parts.len()
    }

    fn is_empty(&self) -> bool {
        self.of_all.is_empty() && self.of_parts.is_empty()
    }

    /// Those who take from all of it, then the others.
    fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.of_all.values().chain(self.of_parts.values())
    }

    fn first(&self) -> Option<&Waiter> {
        let firsts = [&self.of_all, &self.of_parts].into_iter().filter_map(|of| of.values().next());
        firsts.min_by_key(|waiter| waiter.number)
    }

    /// The first who takes from one of these parts.
    fn first_of<'a>(&self, parts: impl Iterator<Item = &'a [u8]>) -> Option<&Waiter> {
        let (mut any, mut first) = (false, None);
        for part in parts {
            any = true;
            let of_part = self.by_part.get(part).and_then(|numbers| numbers.first());
            first = first.into_iter().chain(of_part.copied()).min();
        }
        let of_parts = first.and_then(|number| self.of_parts.get(&number));
        let of_all = self.of_all.values().next().filter(|_| any);
        of_all.into_iter().chain(of_parts).min_by_key(|waiter| waiter.number)
    }
}

impl Waiters {
    fn push(&mut self, uid: u64, mut waiter: Waiter) {
        waiter.number = self.next_number;
        let at = (uid, waiter.number);
        self.next_number += 1;
        self.clients.insert(waiter.client, at);
        self.timeouts.extend(waiter.until.map(|until| (until, at)));
        self.queues.entry(uid).or_default().insert(waiter);
        WAITING.set(WAITING.get() + 1);
    }

    fn of(&self, uid: u64) -> impl Iterator<Item = &Waiter> {
        self.queues.get(&uid).into_iter().flat_map(Queue::iter)
    }

    fn remove(&mut self, at: At) -> Option<Waiter> {
        let waiter = self.take(at)?;
        self.clients.remove(&waiter.client);
        if let Some(until) = waiter.until {
            self.timeouts.remove(&(until, at));
        }
        Some(waiter)
    }

    /// Takes a caller out of its queue, or out of one that is leaving.
    fn take(&mut self, (uid, number): At) -> Option<Waiter> {
        if let Some(queue) = self.queues.get_mut(&uid)
            && let Some(waiter) = queue.remove(number)
        {
            if queue.is_empty() {
                self.queues.remove(&uid);
            }
            WAITING.set(WAITING.get() - 1);
            return Some(waiter);
        }
        self.leaving.iter_mut().filter(|(of, _)| *of == uid).find_map(|(_, queue)| queue.remove(number))
    }

    fn remove_first(&mut self, uid: u64) -> Option<Waiter> {
        let number = self.queues.get(&uid)?.first()?.number;
        self.remove((uid, number))
    }

    /// Has the queue of a value sent away; whether anybody is in it.
    fn leave(&mut self, uid: u64) -> bool {
        let Some(queue) = self.queues.remove(&uid) else { return false };
        WAITING.set(WAITING.get() - queue.len());
        self.leaving.push_back((uid, queue));
        true
    }

    /// The next who is sent away.
    fn remove_leaving(&mut self) -> Option<Waiter> {
        loop {
            let (uid, queue) = self.leaving.front()?;
            match queue.first() {
                Some(waiter) => return self.remove((*uid, waiter.number)),
                None => drop(self.leaving.pop_front()),
            }
        }
    }

    fn next_scheduled(&mut self) -> Option<u64> {
        let behind = self.scheduled.range(self.served.saturating_add(1)..).next();
        let next = behind.or(self.scheduled.first()).copied()?;
        self.scheduled.remove(&next);
        self.served = next;
        Some(next)
    }

    fn remove_timed_out(&mut self, now: Boot) -> Option<Waiter> {
        let (_, at) = self.timeouts.first().copied().filter(|(until, _)| *until <= now)?;
        self.remove(at)
    }

    fn remove_client(&mut self, client: Client) -> Option<Waiter> {
        self.clients.get(&client).copied().and_then(|at| self.remove(at))
    }
}

/// Blocks the caller at the end of the queue of the value `uid`, which is at the call's key; 0 waits for ever. The
/// call's context must be one that may block ([`Ctx::denies_blocking`]), on a primary: nobody serves a queue on a
/// replica. The command ends with what this gives: its reply comes later.
pub fn wait(call: &Call<'_>, uid: u64, ask: impl Ask, timeout_ms: Ms) -> Stop {
    debug_assert!(!call.ctx.denies_blocking());
    let (reply, timeout, free) = (on_reply as _, on_timeout as _, free_delivery as _);
    // SAFETY: the context is a command's, which may block; the callbacks are functions of this module, which is never
    // unloaded.
    let client = unsafe {
        let client = api!(RedisModule_BlockClient(call.ctx.raw(), Some(reply), Some(timeout), Some(free), NO_TIMEOUT));
        api!(RedisModule_SetDisconnectCallback(client, Some(on_disconnect)));
        client
    };
    let until = (timeout_ms > 0).then(|| Boot::now().plus_ms(timeout_ms));
    let key = Rc::new(OwnStr::new(call.key.bytes()));
    let waiter = Waiter { client, number: 0, until, db: call.ctx.db(), key, ask: Rc::new(ask) };
    WAITERS.with_borrow_mut(|waiters| waiters.push(uid, waiter));
    until.into_iter().for_each(turn::wake_at);
    Stop::Replied
}

/// Whether anybody waits for the value. It costs next to nothing while nobody waits anywhere.
#[inline]
pub fn anybody(uid: u64) -> bool {
    WAITING.get() > 0 && WAITERS.with_borrow(|waiters| waiters.queues.contains_key(&uid))
}

/// How many wait for the value.
pub fn count(uid: u64) -> usize {
    WAITERS.with_borrow(|waiters| waiters.queues.get(&uid).map_or(0, Queue::len))
}

/// Whether nobody waits for anything.
#[inline]
pub fn nobody() -> bool {
    WAITING.get() == 0
}

/// What the first in the queue asks for, if it is an `A`.
pub fn first<A: Ask>(uid: u64) -> Option<Rc<A>> {
    let first = |waiters: &Waiters| Some(Rc::clone(&waiters.queues.get(&uid)?.first()?.ask));
    Rc::downcast(WAITERS.with_borrow(first)? as Rc<dyn Any>).ok()
}

/// The number of the first in the queue who takes from one of these parts of the value, and what it asks for, if that
/// is an `A`.
pub fn first_of<'a, A: Ask>(uid: u64, parts: impl Iterator<Item = &'a [u8]>) -> Option<(u64, Rc<A>)> {
    let first = |waiters: &Waiters| {
        let waiter = waiters.queues.get(&uid)?.first_of(parts)?;
        Some((waiter.number, Rc::clone(&waiter.ask)))
    };
    let (number, ask) = WAITERS.with_borrow(first)?;
    Some((number, Rc::downcast(ask as Rc<dyn Any>).ok()?))
}

/// Takes the first out of the queue: it gets the answer as soon as the server has done what it does.
pub fn answer_first(uid: u64, answer: Answer) {
    if let Some(waiter) = WAITERS.with_borrow_mut(|waiters| waiters.remove_first(uid)) {
        waiter.answer(answer);
    }
}

/// The same for the one who has this number.
pub fn answer(uid: u64, number: u64, answer: Answer) {
    if let Some(waiter) = WAITERS.with_borrow_mut(|waiters| waiters.remove((uid, number))) {
        waiter.answer(answer);
    }
}

/// Answers those in the queue who ask for the same thing, one answer each, and says how many were. Only the first
/// [`LOOK_MOST`] callers are looked at.
pub fn answer_like<A: Ask>(uid: u64, same: impl Fn(&A) -> bool, answer: impl Fn() -> Answer) -> usize {
    let same = |ask: &dyn Ask| (ask as &dyn Any).downcast_ref().is_some_and(&same);
    let like: Vec<Waiter> = WAITERS.with_borrow_mut(|waiters| {
        let like = waiters.of(uid).take(LOOK_MOST).filter(|waiter| same(&*waiter.ask));
        let like: Vec<_> = like.map(|waiter| (uid, waiter.number)).collect();
        like.into_iter().filter_map(|at| waiters.remove(at)).collect()
    });
    let answered = like.len();
    like.into_iter().for_each(|waiter| waiter.answer(answer()));
    answered
}

impl Waiter {
    fn answer(self, answer: Answer) {
        WAITERS.with_borrow_mut(|waiters| waiters.answered.insert(self.client, (self, answer)));
        turn::request();
    }

    fn answer_nothing(self) {
        let ask = Rc::clone(&self.ask);
        self.answer(Answer::new(move |ctx| ask.nothing(ctx)));
    }
}

/// An answer that is with the server, until its client has it.
struct Delivery {
    ask: Rc<dyn Ask>,
    answer: Answer,
}

/// Hands the answers that were decided to the server, which delivers them before it looks at any client again: to those
/// who came first, first.
fn deliver() {
    let answered = WAITERS.with_borrow_mut(|waiters| std::mem::take(&mut waiters.answered));
    let mut answered: Vec<_> = answered.into_iter().collect();
    answered.sort_unstable_by_key(|(_, (waiter, _))| waiter.number);
    for (client, (waiter, answer)) in answered {
        let delivery = Box::into_raw(Box::new(Delivery { ask: waiter.ask, answer }));
        // SAFETY: the client was blocked by `wait` and is unblocked once: it has left the queue. `free_delivery` frees
        // the delivery. The server takes this at any time: it only notes the client.
        unsafe { api!(RedisModule_UnblockClient(client, delivery.cast())) };
    }
}

/// A value left the keyspace: those who wait for it get nothing, and may ask again for what is there now.
pub fn leave(uid: u64) {
    if anybody(uid) && WAITERS.with_borrow_mut(|waiters| waiters.leave(uid)) {
        turn::request();
    }
}

/// As [`leave`], for all values whose slot is another node's by now, or whose keys were deleted without an event.
pub fn leave_moved(ctx: Ctx<'_>) {
    let values: Vec<_> = WAITERS.with_borrow(|waiters| {
        let first =
            |(uid, queue): (&u64, &Queue)| queue.first().map(|waiter| (*uid, waiter.db, Rc::clone(&waiter.key)));
        waiters.queues.iter().filter_map(first).collect()
    });
    for (uid, db, key) in values {
        if !ctx.select(db) || !query::has_key(ctx, key.get()) {
            leave(uid);
        }
    }
}

/// As [`leave`], for all values of a database, or of all databases (-1).
pub fn leave_db(db: c_int) {
    if WAITING.get() == 0 {
        return;
    }
    let in_db = |queue: &Queue| db == -1 || queue.iter().any(|waiter| waiter.db == db);
    let left: Vec<u64> = WAITERS
        .with_borrow(|waiters| waiters.queues.iter().filter(|(_, queue)| in_db(queue)).map(|(uid, _)| *uid).collect());
    left.into_iter().for_each(leave);
}

/// Has the queue of the value served, after what the server does now. Call it when something may have become available.
#[inline]
pub fn schedule(uid: u64) {
    if anybody(uid) {
        WAITERS.with_borrow_mut(|waiters| waiters.scheduled.insert(uid));
        turn::request();
    }
}

/// The same, if any of those in the queue takes from one of these parts of the value.
#[cold]
pub fn schedule_of<'a>(uid: u64, parts: impl Iterator<Item = &'a [u8]>) {
    let is_wanted = |waiters: &Waiters| waiters.queues.get(&uid)?.first_of(parts).map(drop);
    if WAITERS.with_borrow(is_wanted).is_some() {
        schedule(uid);
    }
}

/// When the next tick has something to do.
pub fn next_tick(_: Ctx<'_>) -> Option<Boot> {
    WAITERS.with_borrow(|waiters| {
        let waits = !waiters.scheduled.is_empty() || !waiters.undelivered.is_empty();
        let leaves = !waiters.leaving.is_empty();
        let pause_ms = if waiters.closed && !leaves { CLOSED_MS } else { 0 };
        let at = (waits || leaves).then(|| Boot::now().plus_ms(pause_ms));
        let timeout = waiters.timeouts.first().map(|(until, _)| *until);
        at.into_iter().chain(timeout).min()
    })
}

/// Sends away those whose time is over or whose value is gone, serves the queues that are to be served, and delivers
/// what was decided.
pub fn tick(ctx: Ctx<'_>, turn: Turn) {
    let now = Boot::now();
    let next = || WAITERS.with_borrow_mut(|waiters| waiters.remove_timed_out(now).or_else(|| waiters.remove_leaving()));
    while let Some(waiter) = next() {
        waiter.answer_nothing();
        if is_over(turn) {
            break;
        }
    }
    if WAITERS.with_borrow(|waiters| !waiters.scheduled.is_empty() || !waiters.undelivered.is_empty()) {
        hand_out(ctx, turn);
    }
    deliver();
}

/// Whether the answers that were decided take the rest of the turn to deliver.
pub fn is_over(turn: Turn) -> bool {
    turn.is_over_after(WAITERS.with_borrow(|waiters| waiters.answered.len() as u64) * DELIVERY_US)
}

fn hand_out(ctx: Ctx<'_>, turn: Turn) {
    if !ctx.is_primary() {
        // The new primary has other callers. What was not delivered comes back by its deadline there.
        return WAITERS.with_borrow_mut(|waiters| (waiters.scheduled.clear(), waiters.undelivered.clear()).0);
    }
    let open = gate::may_write(ctx, &[]);
    WAITERS.with_borrow_mut(|waiters| waiters.closed = !open);
    if open {
        for take_back in WAITERS.with_borrow_mut(|waiters| std::mem::take(&mut waiters.undelivered)) {
            ctx.select(0);
            take_back(ctx);
        }
        serve_scheduled(ctx, turn);
    }
}

/// Serves the queues that are to be served, a piece of each at a time, on a primary that may write.
fn serve_scheduled(ctx: Ctx<'_>, turn: Turn) {
    let mut not_now = Vec::new();
    while let Some(uid) = WAITERS.with_borrow_mut(Waiters::next_scheduled) {
        match serve(ctx, uid, ANSWERS_A_PIECE) {
            None => not_now.push(uid),
            Some(answered) if answered < ANSWERS_A_PIECE => {}
            // Neither the queue nor the goods may be exhausted.
            Some(_) => drop(WAITERS.with_borrow_mut(|waiters| waiters.scheduled.insert(uid))),
        }
        if is_over(turn) {
            break;
        }
    }
    WAITERS.with_borrow_mut(|waiters| {
        waiters.closed = !not_now.is_empty() && waiters.scheduled.is_empty();
        waiters.scheduled.extend(not_now);
    });
}

/// Serves the queue of a value; says how many callers got an answer, or nothing where its key cannot be written now.
fn serve(ctx: Ctx<'_>, uid: u64, most: usize) -> Option<usize> {
    let of_waiter = |waiter: &Waiter| (waiter.db, Rc::clone(&waiter.key), waiter.ask.serve());
    let first = WAITERS.with_borrow(|waiters| waiters.queues.get(&uid)?.first().map(of_waiter));
    let Some((db, key, serve)) = first else { return Some(0) };
    if !ctx.select(db) {
        return Some(0);
    }
    gate::may_write(ctx, &[key.get()]).then(|| serve(ctx, key.get(), uid, most))
}

/// The delivery of a client, if its answer is with the server.
///
/// # Safety
/// The context must be the one of a blocked client's callback. The reference must not outlive the callback.
unsafe fn delivery_of<'a>(ctx: *mut raw::RedisModuleCtx) -> Option<&'a mut Delivery> {
    // SAFETY: the private data of a client that `wait` blocked is null or what `deliver` passed; nobody else uses it
    // now.
    unsafe { api!(RedisModule_GetBlockedClientPrivateData(ctx)).cast::<Delivery>().as_mut() }
}

unsafe extern "C" fn on_reply(ctx: *mut raw::RedisModuleCtx, _: *mut *mut raw::RedisModuleString, _: c_int) -> c_int {
    // SAFETY: the context of this callback, used within it.
    let (delivery, ctx) = unsafe { (delivery_of(ctx), Ctx::new(ctx)) };
    if let Some(reply) = delivery.and_then(|delivery| delivery.answer.reply.take()) {
        reply(ctx);
    }
    raw::REDISMODULE_OK as c_int
}

/// CLIENT UNBLOCK. The server's own timeouts are not used ([`NO_TIMEOUT`]).
unsafe extern "C" fn on_timeout(ctx: *mut raw::RedisModuleCtx, _: *mut *mut raw::RedisModuleString, _: c_int) -> c_int {
    // SAFETY: the context is a blocked client's, and has its handle; it is used within this callback.
    let (client, ctx) = unsafe { (api!(RedisModule_GetBlockedClientHandle(ctx)), Ctx::new(ctx)) };
    if let Some(waiter) = WAITERS.with_borrow_mut(|waiters| waiters.remove_client(client)) {
        waiter.ask.nothing(ctx);
        waiter.release();
    } else if let Some((waiter, mut answer)) = WAITERS.with_borrow_mut(|waiters| waiters.answered.remove(&client)) {
        answer.reply.take().into_iter().for_each(|reply| reply(ctx));
        waiter.release();
    }
    raw::REDISMODULE_OK as c_int
}

/// The client went away, or the server sends it away: it became a replica, the cluster is down, CLIENT UNBLOCK with
/// ERROR.
///
/// Where I/O threads are on, the server can still run commands between the tick and the delivery: CLIENT UNBLOCK then
/// ends up here, with the answer in the server's hands and no reply given. That client gets nothing, and what it would
/// have got is taken back ([`free_delivery`]). To one that is gone the reply does no harm.
unsafe extern "C" fn on_disconnect(ctx: *mut raw::RedisModuleCtx, client: Client) {
    if let Some(waiter) = WAITERS.with_borrow_mut(|waiters| waiters.remove_client(client)) {
        waiter.release();
    } else if let Some((waiter, answer)) = WAITERS.with_borrow_mut(|waiters| waiters.answered.remove(&client)) {
        take_back_later(answer);
        waiter.release();
    // SAFETY: the context of this callback, used within it.
    } else if let Some(delivery) = unsafe { delivery_of(ctx) } {
        // SAFETY: as above.
        delivery.ask.nothing(unsafe { Ctx::new(ctx) });
    }
}

impl Waiter {
    /// Lets the server free its side of a client that has gone or has its reply.
    fn release(self) {
        // SAFETY: as in `deliver`; there is no private data.
        unsafe { api!(RedisModule_UnblockClient(self.client, std::ptr::null_mut())) };
    }
}

/// Has what an answer handed over taken back, unless the client has got it.
fn take_back_later(answer: Answer) {
    let (Some(_), Some(take_back)) = (answer.reply, answer.undelivered) else { return };
    WAITERS.with_borrow_mut(|waiters| waiters.undelivered.push(take_back));
    turn::request();
}

unsafe extern "C" fn free_delivery(_: *mut raw::RedisModuleCtx, delivery: *mut c_void) {
    // SAFETY: boxed by `deliver`, freed once.
    let delivery = unsafe { Box::from_raw(delivery.cast::<Delivery>()) };
    take_back_later(delivery.answer);
}
