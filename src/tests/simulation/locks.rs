//! A lock next to the store: what happens to it, and what has to be true of it.

use super::node::LOCK;
use super::world::World;
use crate::host::callers::{self, Callers};
use crate::host::clock::Boot;
use crate::host::simulated::{Bytes, Part, Sent, Simulation};
use crate::host::{OwnStr, Stop};
use holdfast_engine::base::units::{MAX_QUANTITY, Ms};
use holdfast_engine::calls::locks::{LINGER_MS, Lock};
use holdfast_engine::oracle::command::Id;

/// What is done with a lock.
#[derive(Clone, Debug, PartialEq)]
pub enum LockCall {
    /// An owner takes it, and may wait.
    Acquire { owner: Id, ttl_ms: Ms, wait_ms: Option<Ms> },
    /// Under the token of so many owners ago, its lease begins again.
    Renew { back: usize, ttl_ms: Ms },
    /// The same: it is released.
    Release { back: usize },
}

/// A lock as one would write it down: free, if it has no owner.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    owner: Id,
    token: u64,
    taken_at: Ms,
    deadline: Ms,
    changed_at: Ms,
}

/// What is to be true of the lock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LockTruth {
    lock: Option<Known>,
    floor: u64,
}

impl LockTruth {
    fn holder(&self, now: Ms) -> Option<&Known> {
        self.lock.as_ref().filter(|lock| !lock.owner.is_empty() && lock.deadline > now)
    }

    fn is_held_under(&self, now: Ms, token: u64) -> bool {
        self.holder(now).is_some_and(|lock| lock.token == token)
    }

    fn set_free(&mut self, now: Ms) {
        if let Some(lock) = &mut self.lock {
            *lock = Known { token: lock.token, changed_at: now, ..Known::default() };
        }
    }

    /// Its lease ends, if it is over.
    fn expire(&mut self, now: Ms) {
        if self.lock.as_ref().is_some_and(|lock| !lock.owner.is_empty() && lock.deadline <= now) {
            self.set_free(now);
        }
    }

    /// The token that an owner gets, unless another has the lock.
    fn acquire(&mut self, now: Ms, owner: &Id, ttl_ms: Ms) -> Option<u64> {
        let deadline = (now + ttl_ms).min(MAX_QUANTITY);
        let holder = self.holder(now).cloned();
        if holder.as_ref().is_some_and(|holder| holder.owner != *owner) {
            return None;
        }
        let last = self.lock.as_ref().map_or(self.floor, |lock| lock.token);
        let (token, taken_at) = holder.map_or(((last + 1).max(now * 1_024), now), |lock| (lock.token, lock.taken_at));
        self.lock = Some(Known { owner: owner.clone(), token, taken_at, deadline, changed_at: now });
        self.floor = self.floor.max(token);
        Some(token)
    }

    fn renew(&mut self, now: Ms, token: u64, ttl_ms: Ms) -> bool {
        let is_held = self.is_held_under(now, token);
        if let Some(lock) = self.lock.as_mut().filter(|_| is_held) {
            (lock.deadline, lock.changed_at) = ((now + ttl_ms).min(MAX_QUANTITY), now);
        }
        is_held
    }

    fn release(&mut self, now: Ms, token: u64) -> bool {
        let is_held = self.is_held_under(now, token);
        if is_held {
            self.set_free(now);
        }
        is_held
    }

    /// What was due of it was done.
    fn sweep(&mut self, now: Ms) {
        let before = self.clone();
        self.expire(now);
        let is_idle = |lock: &Known| lock.owner.is_empty() && lock.changed_at + LINGER_MS <= now;
        if *self == before && self.lock.as_ref().is_some_and(is_idle) {
            self.lock = None;
        }
        assert_ne!(*self, before, "nothing is due of the lock");
    }
}

/// A caller who waits for the lock.
pub struct LockCaller {
    client: u64,
    owner: Id,
    ttl_ms: Ms,
    until: Option<Boot>,
    gets: Option<u64>,
    is_sent_away: bool,
    is_going: bool,
}

fn number(n: u64) -> Bytes {
    n.to_string().into_bytes()
}

fn read(word: &Bytes) -> u64 {
    std::str::from_utf8(word).ok().and_then(|text| text.parse().ok()).expect("a number")
}

impl World {
    /// A client's command on the lock arrives.
    pub fn call_lock(&mut self, call: &LockCall) {
        if self.is_paused() {
            return;
        }
        let token = |back: &usize| self.tokens.iter().rev().nth(*back).copied().unwrap_or(1);
        let (name, mut rest) = match call {
            LockCall::Acquire { owner, ttl_ms, .. } => (c"LOCK.ACQUIRE", vec![owner.clone(), number(*ttl_ms)]),
            LockCall::Renew { back, ttl_ms } => (c"LOCK.RENEW", vec![number(token(back)), number(*ttl_ms)]),
            LockCall::Release { back } => (c"LOCK.RELEASE", vec![number(token(back))]),
        };
        if let LockCall::Acquire { wait_ms: Some(ms), .. } = call {
            rest.extend([b"WAIT".to_vec(), number(*ms)]);
        }
        let now = self.primary().lock_time();
        let (mut wanted, is_full) = (self.truth.lock.clone(), self.primary().server.memory_full.get());
        let is_refused = is_full && wanted.lock.is_none() && matches!(call, LockCall::Acquire { .. });
        let reply = if is_refused { None } else { self.expected(&mut wanted, now, call, &rest) };
        let (turn, before) = (self.begin_turn(), self.primary().server.blocked.get());
        let done = self.primary().command_at(LOCK, name, &rest).map(drop);
        let server = &self.primary().server;
        let (parts, client, boot) = (server.replies.take(), server.blocked.get(), server.boot());
        self.end_turn(turn, None);
        assert_eq!(self.truth.lock, wanted, "{call:?}");
        match (call, done) {
            (_, Err(Stop::Server(text))) => assert!(is_refused && text.starts_with("OOM"), "{call:?}: {text}"),
            (LockCall::Acquire { owner, ttl_ms, wait_ms: Some(ms) }, Err(Stop::Replied)) => {
                assert!(client > before && reply == Some(Part::Nil), "{call:?} waits for nothing");
                let (owner, until) = (owner.clone(), (*ms > 0).then(|| boot.plus_ms(*ms)));
                let ttl_ms = *ttl_ms;
                let caller =
                    LockCaller { client, owner, ttl_ms, until, gets: None, is_sent_away: false, is_going: false };
                self.lock_callers.push(caller);
            }
            (_, Ok(())) => assert_eq!(Some(&parts[..]), reply.as_ref().map(std::slice::from_ref), "{call:?}"),
            (_, Err(stop)) => panic!("{call:?}: {stop:?}"),
        }
    }

    /// What a call replies, and makes of the lock: who waits comes first.
    fn expected(&self, lock: &mut LockTruth, now: Ms, call: &LockCall, rest: &[Bytes]) -> Option<Part> {
        let exists = lock.lock.is_some();
        lock.expire(now);
        Some(match call {
            LockCall::Acquire { owner, ttl_ms, .. } => {
                let is_behind = self.lock_callers.iter().any(|caller| caller.gets.is_none() && !caller.is_sent_away);
                let is_own = lock.holder(now).is_some_and(|holder| holder.owner == *owner);
                let token = (!exists || !is_behind || is_own).then(|| lock.acquire(now, owner, *ttl_ms)).flatten();
                token.map_or(Part::Nil, |token| Part::Int(token as i64))
            }
            LockCall::Renew { ttl_ms, .. } => Part::Int(i64::from(lock.renew(now, read(&rest[0]), *ttl_ms))),
            LockCall::Release { .. } => Part::Int(i64::from(lock.release(now, read(&rest[0])))),
        })
    }

    /// Something that was replicated of the lock.
    pub fn follow_lock(&mut self, sent: &Sent) {
        let now = sent.stamp.expect("a lock is replicated with its time");
        let lock = &mut self.truth.lock;
        match &sent.name[..] {
            b"LOCK.ACQUIRE" => {
                let token = lock.acquire(now, &sent.rest[0], read(&sent.rest[1])).expect("a lock that is free");
                self.tokens.push(token);
                self.note_served(&sent.rest, token);
            }
            b"LOCK.RENEW" => assert!(lock.renew(now, read(&sent.rest[0]), read(&sent.rest[1])), "{sent:?}"),
            b"LOCK.RELEASE" => assert!(lock.release(now, read(&sent.rest[0])), "{sent:?}"),
            b"LOCKSWEEP" => lock.sweep(now),
            _ => panic!("{sent:?} is replicated of a lock"),
        }
    }

    /// In a tick the lock goes to the first who waits, and to whoever waits in the same name.
    fn note_served(&mut self, words: &[Bytes], token: u64) {
        if !self.is_ticking {
            return;
        }
        let boot = self.primary().server.boot();
        let waits = |caller: &LockCaller| caller.gets.is_none() && !caller.is_sent_away;
        let is_meant = |caller: &LockCaller| caller.owner == words[0] && number(caller.ttl_ms) == words[1];
        let is_late = |caller: &LockCaller| caller.until.is_some_and(|until| until <= boot);
        let mut waiting = self.lock_callers.iter_mut().filter(|caller| waits(caller));
        let first = waiting.find(|caller| is_meant(caller) || !is_late(caller)).expect("one who waits for the lock");
        assert!(is_meant(first), "{words:?} has the lock, and {:?} came first", first.owner);
        let owner = first.owner.clone();
        let same = self.lock_callers.iter_mut().filter(|caller| waits(caller) && caller.owner == owner);
        same.for_each(|caller| caller.gets = Some(token));
    }

    /// The lock is what it has to be, here.
    pub fn check_lock(&self) {
        let node = self.primary();
        let known = node.lock(|lock: &Lock| {
            let holder = lock.holder(0);
            Known {
                owner: holder.map_or_else(Vec::new, |holder| holder.owner.to_vec()),
                token: holder.map_or(lock.floor(), |holder| holder.token),
                taken_at: holder.map_or(0, |holder| holder.taken_at),
                deadline: holder.map_or(0, |holder| holder.deadline),
                changed_at: lock.changed_at(),
            }
        });
        assert_eq!(LockTruth { lock: known, floor: node.floor.get() }, self.truth.lock, "the lock");
    }

    /// What those who wait for the lock got; false if a client waits for something else.
    pub fn take_lock_reply(&mut self, client: u64, parts: &[Part]) -> bool {
        let Some(at) = self.lock_callers.iter().position(|caller| caller.client == client) else { return false };
        let (caller, boot) = (self.lock_callers.remove(at), self.primary().server.boot());
        let is_over = caller.is_sent_away || caller.until.is_some_and(|until| until <= boot);
        match caller.gets {
            // Who waits too long may have been told so before another of the same name got the lock.
            Some(_) if is_over && parts == [Part::Nil] => {}
            Some(token) => assert_eq!(parts, [Part::Int(token as i64)], "{:?}", caller.owner),
            None => assert!(parts == [Part::Nil] && is_over, "{:?}: {parts:?}", caller.owner),
        }
        true
    }

    /// Those who went away before their reply wait no more.
    pub fn forget_lock_callers(&mut self) {
        let going = self.primary().server.going.borrow().clone();
        self.lock_callers.retain(|caller| !caller.is_going || going.contains(&caller.client));
    }

    /// Whoever could have the lock has it.
    pub fn check_lock_served(&self) {
        let (boot, time) = (self.primary().server.boot(), self.primary().lock_time());
        for caller in &self.lock_callers {
            assert!(caller.until.is_none_or(|until| until > boot), "{:?} waits too long", caller.owner);
            assert!(caller.gets.is_none() && !caller.is_sent_away, "{:?} has no reply", caller.owner);
        }
        let is_free = self.truth.lock.holder(time).is_none();
        assert!(self.lock_callers.is_empty() || !is_free, "somebody waits for a lock that is free");
    }

    /// One of those who wait goes away; in the moment of the answer; or is unblocked.
    pub fn hang_up_lock(&mut self, number: usize) {
        if !self.lock_callers.is_empty() {
            let caller = self.lock_callers.remove(number % self.lock_callers.len());
            assert!(callers::is_gone(&self.primary().server, caller.client), "one who waits is known");
        }
    }

    pub fn miss_lock_reply(&mut self, number: usize) {
        let len = self.lock_callers.len();
        if len > 0 {
            let caller = &mut self.lock_callers[number % len];
            caller.is_going = true;
            let client = caller.client;
            self.primary().server.going.borrow_mut().insert(client);
        }
    }

    pub fn unblock_lock(&mut self, number: usize) {
        if !self.lock_callers.is_empty() {
            let caller = self.lock_callers.remove(number % self.lock_callers.len());
            let server = &self.primary().server;
            server.going.borrow_mut().remove(&caller.client);
            callers::unblocked::<Simulation>(server, caller.client);
            let wanted = caller.gets.map_or(Part::Nil, |token| Part::Int(token as i64));
            assert_eq!(server.replies.take(), [wanted], "{:?} is unblocked", caller.owner);
        }
    }

    /// The lock leaves the keyspace, as its server loads everything anew.
    pub fn leave_lock(&mut self) {
        let key = OwnStr::new(LOCK);
        let uid = self.primary().lock_uid(key.get());
        if let Some(uid) = uid {
            callers::leave(&self.primary().server, uid);
        }
        self.lock_callers.iter_mut().for_each(|caller| caller.is_sent_away = true);
    }
}
