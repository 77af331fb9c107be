//! Queues of blocked callers that wait for something to become available, one for each value. First come, first served.
//! Whatever server they are on: the real one is in [`super::waiters`], simulated ones stand in for it in tests.
//!
//! A caller waits for a value, not for a name, at the end of that value's queue. Whoever makes something available
//! calls [`Waiters::schedule`]; the tick at the end of the turn ([`tick`]) then serves the queue, never inside a
//! command: within MULTI or Lua nobody else may get anything. Only a primary serves. A caller leaves the queue by being
//! answered, by its timeout or CLIENT UNBLOCK, by going away, or when the value leaves the keyspace ([`leave`]).
//!
//! An answer that was decided is handed to the server in the tick too. Between the two the server would take a CLIENT
//! UNBLOCK for that caller without calling the module, and would drop the answer: the caller would never get one. So
//! the answer is kept here until no other command can come in between, and CLIENT UNBLOCK delivers it.
//!
//! A caller may want parts of a value alone (lanes of a store). Such callers are also kept by each part that they want:
//! the first who can get something that became available is found without a look at those who cannot.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::c_int;
use std::rc::Rc;

use super::call::{Call, Stop};
use super::clock::Boot;
use super::server::Host;
use super::string::{OwnStr, Str};
use holdfast_engine::base::units::Ms;

/// Callers of one value that a piece of a turn answers, at most. In the simulation there are never many.
pub const ANSWERS_A_PIECE: usize = if cfg!(test) { 2 } else { 32 };

/// What an answer costs the server once the module has handed it over, microseconds: it writes the reply to the socket.
const DELIVERY_US: u64 = 10;

/// Stands for all databases: the server's own number for them.
pub const ALL_DBS: c_int = -1;

/// Callers that are looked at, at most, for one who is in the queue twice.
const LOOK_MOST: usize = 1_000;

/// A kind of servers.
pub trait Kind: 'static {
    /// A server of this kind, in a callback.
    type Ctx<'a>: Callers<Kind = Self>;

    /// A blocked client.
    type Client: Copy + Ord;

    /// A turn of the event loop.
    type Turn: Copy;
}

/// A server whose callers can be blocked.
pub trait Callers: Host {
    type Kind: Kind;

    /// What is known of those who wait.
    fn waiters<T>(self, run: impl FnOnce(&mut Waiters<Self::Kind>) -> T) -> T;

    /// Whether anybody waits, for whatever.
    fn is_anybody_waiting(self) -> bool;

    /// Blocks the caller of the command that runs.
    fn block(self) -> <Self::Kind as Kind>::Client;

    /// Hands an answer to the server, which delivers it before it looks at any client again.
    fn deliver(self, client: <Self::Kind as Kind>::Client, delivery: Delivery<Self::Kind>);

    /// Lets the server free its side of a client that has gone or has its reply.
    fn release(self, client: <Self::Kind as Kind>::Client);

    /// The time since boot.
    fn boot(self) -> Boot;

    /// Begins a turn now.
    fn begin_turn(self) -> <Self::Kind as Kind>::Turn;

    /// Whether what is left has to wait for the next turn, where what was done so far costs as much time afterwards,
    /// microseconds.
    fn is_over_after(self, turn: <Self::Kind as Kind>::Turn, us: u64) -> bool;

    /// Has [`tick`] run at the end of this turn of the event loop.
    fn request_turn(self);

    /// Has it run at a time, or earlier.
    fn wake_at(self, at: Boot);
}

/// What a caller waits for.
pub trait Ask<K: Kind>: Any {
    /// What serves those who ask for this.
    fn serve(&self) -> Serve<K>;

    /// The reply to a caller who got nothing.
    fn nothing(&self, ctx: K::Ctx<'_>);

    /// The parts of the value that the caller takes from; empty: all of it.
    fn parts(&self) -> &[Vec<u8>] {
        &[]
    }
}

/// Serves the queue of a value. It hands out to the first in the queue, and so on, until the queue or the goods are
/// exhausted or `most` callers are answered, and says how many were. The database is selected; the key may hold
/// anything by now: compare the value's uid.
pub type Serve<K> = for<'a, 'k> fn(ctx: <K as Kind>::Ctx<'a>, key: Str<'k>, uid: u64, most: usize) -> usize;

/// Something that is done once, later, with the context of that time.
type Later<K> = Box<dyn for<'a> FnOnce(<K as Kind>::Ctx<'a>)>;

/// What a caller gets.
pub struct Answer<K: Kind> {
    /// Writes the reply, in the protocol of the caller; taken when that is done.
    reply: Option<Later<K>>,
    /// Takes back what was handed over to a caller who went away before the reply.
    undelivered: Option<Later<K>>,
}

impl<K: Kind> Answer<K> {
    /// An answer that `reply` writes to the caller.
    pub fn new(reply: impl for<'a> FnOnce(K::Ctx<'a>) + 'static) -> Self {
        Answer { reply: Some(Box::new(reply)), undelivered: None }
    }

    /// What to do when the caller went away between the answer and its reply. It runs outside any command, on a primary
    /// that may write; the context has database 0 selected.
    pub fn or_else(self, undelivered: impl for<'a> FnOnce(K::Ctx<'a>) + 'static) -> Self {
        Answer { undelivered: Some(Box::new(undelivered)), ..self }
    }
}

/// An answer that is with the server, until its client has it.
pub struct Delivery<K: Kind> {
    ask: Rc<dyn Ask<K>>,
    answer: Answer<K>,
}

impl<K: Kind> Delivery<K> {
    /// Writes the reply, once.
    pub fn reply(&mut self, ctx: K::Ctx<'_>) {
        if let Some(reply) = self.answer.reply.take() {
            reply(ctx);
        }
    }

    /// The reply of nothing, to a caller who does not get what was handed out.
    pub fn nothing(&self, ctx: K::Ctx<'_>) {
        self.ask.nothing(ctx);
    }
}

/// A caller who waits.
pub struct Waiter<K: Kind> {
    client: K::Client,
    /// Counts the callers as they came.
    number: u64,
    /// When it gives up.
    until: Option<Boot>,
    db: c_int,
    key: Rc<OwnStr>,
    ask: Rc<dyn Ask<K>>,
}

/// Where a caller is: the value it waits for, and its number.
type At = (u64, u64);

/// Those who wait for a value, by their numbers: in the order of coming.
struct Queue<K: Kind> {
    /// Those who take from all of it.
    of_all: BTreeMap<u64, Waiter<K>>,
    /// Those who take from parts of it.
    of_parts: BTreeMap<u64, Waiter<K>>,
    /// Their numbers, by each part.
    by_part: BTreeMap<Vec<u8>, BTreeSet<u64>>,
}

/// Trees, not hash tables: they never double under a queue of many callers.
pub struct Waiters<K: Kind> {
    /// By the value waited for; none is empty.
    queues: BTreeMap<u64, Queue<K>>,
    /// How many wait in them.
    waiting: usize,
    /// Queues of values that left the keyspace: those in them are sent away in turns.
    leaving: VecDeque<(u64, Queue<K>)>,
    /// Where each client is.
    clients: BTreeMap<K::Client, At>,
    next_number: u64,
    /// Those who give up at some time.
    timeouts: BTreeSet<(Boot, At)>,
    /// Answers that were decided and are not with the server yet.
    answered: BTreeMap<K::Client, (Waiter<K>, Answer<K>)>,
    /// Values whose queues are to be served.
    scheduled: BTreeSet<u64>,
    /// The one that was served last: the next has its turn before those in front of it.
    served: u64,
    /// What was handed to callers who went away, to be taken back.
    undelivered: Vec<Later<K>>,
    /// Whether writes were not possible when the last tick wanted to hand something out.
    closed: bool,
}

impl<K: Kind> Default for Queue<K> {
    fn default() -> Self {
        Queue { of_all: BTreeMap::new(), of_parts: BTreeMap::new(), by_part: BTreeMap::new() }
    }
}

impl<K: Kind> Default for Waiters<K> {
    fn default() -> Self {
        Waiters {
            queues: BTreeMap::new(),
            waiting: 0,
            leaving: VecDeque::new(),
            clients: BTreeMap::new(),
            next_number: 0,
            timeouts: BTreeSet::new(),
            answered: BTreeMap::new(),
            scheduled: BTreeSet::new(),
            served: 0,
            undelivered: Vec::new(),
            closed: false,
        }
    }
}

impl<K: Kind> Queue<K> {
    fn insert(&mut self, waiter: Waiter<K>) {
        for part in waiter.ask.parts() {
            self.by_part.entry(part.clone()).or_default().insert(waiter.number);
        }
        let of = if waiter.ask.parts().is_empty() { &mut self.of_all } else { &mut self.of_parts };
        of.insert(waiter.number, waiter);
    }

    fn remove(&mut self, number: u64) -> Option<Waiter<K>> {
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
    fn iter(&self) -> impl Iterator<Item = &Waiter<K>> {
        self.of_all.values().chain(self.of_parts.values())
    }

    fn first(&self) -> Option<&Waiter<K>> {
        let firsts = [&self.of_all, &self.of_parts].into_iter().filter_map(|of| of.values().next());
        firsts.min_by_key(|waiter| waiter.number)
    }

    /// The first who takes from one of these parts.
    fn first_of<'a>(&self, parts: impl Iterator<Item = &'a [u8]>) -> Option<&Waiter<K>> {
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

impl<K: Kind> Waiters<K> {
    fn push(&mut self, uid: u64, mut waiter: Waiter<K>) {
        waiter.number = self.next_number;
        let at = (uid, waiter.number);
        self.next_number += 1;
        self.clients.insert(waiter.client, at);
        self.timeouts.extend(waiter.until.map(|until| (until, at)));
        self.queues.entry(uid).or_default().insert(waiter);
        self.waiting += 1;
    }

    fn of(&self, uid: u64) -> impl Iterator<Item = &Waiter<K>> {
        self.queues.get(&uid).into_iter().flat_map(Queue::iter)
    }

    fn remove(&mut self, at: At) -> Option<Waiter<K>> {
        let waiter = self.take(at)?;
        self.clients.remove(&waiter.client);
        if let Some(until) = waiter.until {
            self.timeouts.remove(&(until, at));
        }
        Some(waiter)
    }

    /// Takes a caller out of its queue, or out of one that is leaving.
    fn take(&mut self, (uid, number): At) -> Option<Waiter<K>> {
        if let Some(queue) = self.queues.get_mut(&uid)
            && let Some(waiter) = queue.remove(number)
        {
            if queue.is_empty() {
                self.queues.remove(&uid);
            }
            self.waiting -= 1;
            return Some(waiter);
        }
        self.leaving.iter_mut().filter(|(of, _)| *of == uid).find_map(|(_, queue)| queue.remove(number))
    }

    fn remove_first(&mut self, uid: u64) -> Option<Waiter<K>> {
        let number = self.queues.get(&uid)?.first()?.number;
        self.remove((uid, number))
    }

    /// Has the queue of a value sent away; whether anybody is in it.
    pub fn leave(&mut self, uid: u64) -> bool {
        let Some(queue) = self.queues.remove(&uid) else { return false };
        self.waiting -= queue.len();
        self.leaving.push_back((uid, queue));
        true
    }

    /// The next who is sent away.
    fn remove_leaving(&mut self) -> Option<Waiter<K>> {
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

    fn remove_timed_out(&mut self, now: Boot) -> Option<Waiter<K>> {
        let (_, at) = self.timeouts.first().copied().filter(|(until, _)| *until <= now)?;
        self.remove(at)
    }

    fn remove_client(&mut self, client: K::Client) -> Option<Waiter<K>> {
        self.clients.get(&client).copied().and_then(|at| self.remove(at))
    }

    /// How many wait, for whatever.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many wait for the value.
    pub fn count(&self, uid: u64) -> usize {
        self.queues.get(&uid).map_or(0, Queue::len)
    }

    /// Has the queue of the value served, after what the server does now; whether anybody is in it.
    pub fn schedule(&mut self, uid: u64) -> bool {
        let is_waited_for = self.queues.contains_key(&uid);
        if is_waited_for {
            self.scheduled.insert(uid);
        }
        is_waited_for
    }

    /// The same, if any of those in the queue takes from one of these parts of the value.
    pub fn schedule_of<'a>(&mut self, uid: u64, parts: impl Iterator<Item = &'a [u8]>) -> bool {
        let is_wanted = self.queues.get(&uid).is_some_and(|queue| queue.first_of(parts).is_some());
        is_wanted && self.schedule(uid)
    }

    /// Has what an answer handed over taken back, unless the client has got it; whether that is so.
    pub fn take_back_later(&mut self, answer: Answer<K>) -> bool {
        let (Some(_), Some(take_back)) = (answer.reply, answer.undelivered) else { return false };
        self.undelivered.push(take_back);
        true
    }

    /// The values that are waited for, each with where its first caller found it.
    pub fn values(&self) -> Vec<(u64, c_int, Rc<OwnStr>)> {
        let first =
            |(uid, queue): (&u64, &Queue<K>)| queue.first().map(|waiter| (*uid, waiter.db, Rc::clone(&waiter.key)));
        self.queues.iter().filter_map(first).collect()
    }

    /// The values of a database, or of all databases (-1), that are waited for.
    pub fn in_db(&self, db: c_int) -> Vec<u64> {
        let is_in = |queue: &Queue<K>| db == ALL_DBS || queue.iter().any(|waiter| waiter.db == db);
        self.queues.iter().filter(|(_, queue)| is_in(queue)).map(|(uid, _)| *uid).collect()
    }

    /// When the next tick has something to do.
    pub fn next_tick(&self, now: Boot, closed_ms: Ms) -> Option<Boot> {
        let waits = !self.scheduled.is_empty() || !self.undelivered.is_empty();
        let leaves = !self.leaving.is_empty();
        let pause_ms = if self.closed && !leaves { closed_ms } else { 0 };
        let at = (waits || leaves).then(|| now.plus_ms(pause_ms));
        let timeout = self.timeouts.first().map(|(until, _)| *until);
        at.into_iter().chain(timeout).min()
    }
}

/// Blocks the caller at the end of the queue of the value `uid`, which is at the call's key; 0 waits for ever. The
/// call's context must be one that may block ([`super::flags::Flags::deny_blocking`]), on a primary: nobody serves a
/// queue on a replica. The command ends with what this gives: its reply comes later.
pub fn wait<H: Callers>(call: &Call<'_, H>, uid: u64, ask: impl Ask<H::Kind>, timeout_ms: Ms) -> Stop {
    debug_assert!(!call.ctx.flags().deny_blocking());
    let client = call.ctx.block();
    let until = (timeout_ms > 0).then(|| call.ctx.boot().plus_ms(timeout_ms));
    let key = Rc::new(OwnStr::new(call.key.bytes()));
    let waiter = Waiter { client, number: 0, until, db: call.ctx.db(), key, ask: Rc::new(ask) };
    call.ctx.waiters(|waiters| waiters.push(uid, waiter));
    until.into_iter().for_each(|until| call.ctx.wake_at(until));
    Stop::Replied
}

/// What the first in the queue asks for, if it is an `A`.
pub fn first<A: Ask<H::Kind>, H: Callers>(host: H, uid: u64) -> Option<Rc<A>> {
    let first = |waiters: &mut Waiters<H::Kind>| Some(Rc::clone(&waiters.queues.get(&uid)?.first()?.ask));
    Rc::downcast(host.waiters(first)? as Rc<dyn Any>).ok()
}

/// The number of the first in the queue who takes from one of these parts of the value, and what it asks for, if that
/// is an `A`.
pub fn first_of<'a, A: Ask<H::Kind>, H: Callers>(
    host: H,
    uid: u64,
    parts: impl Iterator<Item = &'a [u8]>,
) -> Option<(u64, Rc<A>)> {
    let first = |waiters: &mut Waiters<H::Kind>| {
        let waiter = waiters.queues.get(&uid)?.first_of(parts)?;
        Some((waiter.number, Rc::clone(&waiter.ask)))
    };
    let (number, ask) = host.waiters(first)?;
    Some((number, Rc::downcast(ask as Rc<dyn Any>).ok()?))
}

/// Takes the first out of the queue: it gets the answer as soon as the server has done what it does.
pub fn answer_first<H: Callers>(host: H, uid: u64, answer: Answer<H::Kind>) {
    if let Some(waiter) = host.waiters(|waiters| waiters.remove_first(uid)) {
        waiter.answer(host, answer);
    }
}

/// The same for the one who has this number.
pub fn answer<H: Callers>(host: H, uid: u64, number: u64, answer: Answer<H::Kind>) {
    if let Some(waiter) = host.waiters(|waiters| waiters.remove((uid, number))) {
        waiter.answer(host, answer);
    }
}

/// Answers those in the queue who ask for the same thing, one answer each, and says how many were. Only the first
/// [`LOOK_MOST`] callers are looked at.
pub fn answer_like<A: Ask<H::Kind>, H: Callers>(
    host: H,
    uid: u64,
    same: impl Fn(&A) -> bool,
    answer: impl Fn() -> Answer<H::Kind>,
) -> usize {
    let same = |ask: &dyn Ask<H::Kind>| (ask as &dyn Any).downcast_ref().is_some_and(&same);
    let like: Vec<_> = host.waiters(|waiters| {
        let like = waiters.of(uid).take(LOOK_MOST).filter(|waiter| same(&*waiter.ask));
        let like: Vec<_> = like.map(|waiter| (uid, waiter.number)).collect();
        like.into_iter().filter_map(|at| waiters.remove(at)).collect()
    });
    let answered = like.len();
    like.into_iter().for_each(|waiter| waiter.answer(host, answer()));
    answered
}

impl<K: Kind> Waiter<K> {
    fn answer<H: Callers<Kind = K>>(self, host: H, answer: Answer<K>) {
        host.waiters(|waiters| waiters.answered.insert(self.client, (self, answer)));
        host.request_turn();
    }

    fn answer_nothing<H: Callers<Kind = K>>(self, host: H) {
        let ask = Rc::clone(&self.ask);
        self.answer(host, Answer::new(move |ctx| ask.nothing(ctx)));
    }
}

/// Hands the answers that were decided to the server: those of callers who came first, first.
fn deliver<K: Kind>(host: K::Ctx<'_>) {
    let answered = host.waiters(|waiters| std::mem::take(&mut waiters.answered));
    let mut answered: Vec<_> = answered.into_iter().collect();
    answered.sort_unstable_by_key(|(_, (waiter, _))| waiter.number);
    for (client, (waiter, answer)) in answered {
        host.deliver(client, Delivery { ask: waiter.ask, answer });
    }
}

/// A value left the keyspace: those who wait for it get nothing, and may ask again for what is there now.
pub fn leave<H: Callers>(host: H, uid: u64) {
    if host.waiters(|waiters| waiters.leave(uid)) {
        host.request_turn();
    }
}

/// Sends away those whose time is over or whose value is gone, serves the queues that are to be served, and delivers
/// what was decided.
pub fn tick<K: Kind>(host: K::Ctx<'_>, turn: K::Turn) {
    let now = host.boot();
    let next = || host.waiters(|waiters| waiters.remove_timed_out(now).or_else(|| waiters.remove_leaving()));
    while let Some(waiter) = next() {
        waiter.answer_nothing(host);
        if is_over(host, turn) {
            break;
        }
    }
    if host.waiters(|waiters| !waiters.scheduled.is_empty() || !waiters.undelivered.is_empty()) {
        hand_out::<K>(host, turn);
    }
    deliver::<K>(host);
}

/// Whether the answers that were decided take the rest of the turn to deliver.
pub fn is_over<H: Callers>(host: H, turn: <H::Kind as Kind>::Turn) -> bool {
    host.is_over_after(turn, host.waiters(|waiters| waiters.answered.len() as u64) * DELIVERY_US)
}

fn hand_out<K: Kind>(host: K::Ctx<'_>, turn: K::Turn) {
    if !host.flags().primary() {
        // The new primary has other callers. What was not delivered comes back by its deadline there.
        return host.waiters(|waiters| (waiters.scheduled.clear(), waiters.undelivered.clear()).0);
    }
    let open = host.may_write(&[]);
    host.waiters(|waiters| waiters.closed = !open);
    if open {
        for take_back in host.waiters(|waiters| std::mem::take(&mut waiters.undelivered)) {
            host.select(0);
            take_back(host);
        }
        serve_scheduled::<K>(host, turn);
    }
}

/// Serves the queues that are to be served, a piece of each at a time, on a primary that may write.
fn serve_scheduled<K: Kind>(host: K::Ctx<'_>, turn: K::Turn) {
    let mut not_now = Vec::new();
    while let Some(uid) = host.waiters(Waiters::next_scheduled) {
        match serve::<K>(host, uid, ANSWERS_A_PIECE) {
            None => not_now.push(uid),
            Some(answered) if answered < ANSWERS_A_PIECE => {}
            // Neither the queue nor the goods may be exhausted.
            Some(_) => host.waiters(|waiters| waiters.scheduled.extend([uid])),
        }
        if is_over(host, turn) {
            break;
        }
    }
    host.waiters(|waiters| {
        waiters.closed = !not_now.is_empty() && waiters.scheduled.is_empty();
        waiters.scheduled.extend(not_now);
    });
}

/// Serves the queue of a value; says how many callers got an answer, or nothing where its key cannot be written now.
fn serve<K: Kind>(host: K::Ctx<'_>, uid: u64, most: usize) -> Option<usize> {
    let of_waiter = |waiter: &Waiter<K>| (waiter.db, Rc::clone(&waiter.key), waiter.ask.serve());
    let first = host.waiters(|waiters| waiters.queues.get(&uid)?.first().map(of_waiter));
    let Some((db, key, serve)) = first else { return Some(0) };
    if !host.select(db) {
        return Some(0);
    }
    host.may_write(&[key.get()]).then(|| serve(host, key.get(), uid, most))
}

/// A caller is unblocked before its time: it gets what was decided for it, or nothing.
pub fn unblocked<K: Kind>(host: K::Ctx<'_>, client: K::Client) {
    if let Some(waiter) = host.waiters(|waiters| waiters.remove_client(client)) {
        waiter.ask.nothing(host);
        host.release(client);
    } else if let Some((_, mut answer)) = host.waiters(|waiters| waiters.answered.remove(&client)) {
        answer.reply.take().into_iter().for_each(|reply| reply(host));
        host.release(client);
    }
}

/// A caller is gone: what was decided for it is taken back. False if it neither waits nor has an answer that is to be
/// delivered.
pub fn is_gone<H: Callers>(host: H, client: <H::Kind as Kind>::Client) -> bool {
    if host.waiters(|waiters| waiters.remove_client(client)).is_some() {
        host.release(client);
        return true;
    }
    let Some((_, answer)) = host.waiters(|waiters| waiters.answered.remove(&client)) else { return false };
    if host.waiters(|waiters| waiters.take_back_later(answer)) {
        host.request_turn();
    }
    host.release(client);
    true
}

/// An answer leaves the server's hands: what the client has not got is taken back.
pub fn delivered<H: Callers>(host: H, delivery: Delivery<H::Kind>) {
    if host.waiters(|waiters| waiters.take_back_later(delivery.answer)) {
        host.request_turn();
    }
}
