//! LOCK.ACQUIRE, and the callers who wait for a lock ([`crate::host::callers`]).

use std::cell::Cell;
use std::ffi::c_int;
use std::rc::Rc;

use super::change::{acquired, changed, check_stamp, expire};
use super::value::{LockValue, Opened, find, floor, open};
use crate::host::callers::{self, Answer, Ask, Callers, Kind, Serve};
use crate::host::opened::{ValueKey, Write};
use crate::host::server::Host;
use crate::host::{Call, OwnStr, Stop, Str};
use holdfast_engine::base::units::Ms;
use holdfast_engine::calls::locks::{Lock, Taken};

/// What a caller who waits for a lock asked for.
struct Wanted {
    owner: Vec<u8>,
    ttl_ms: Ms,
}

impl<K: Kind> Ask<K> for Wanted {
    fn serve(&self) -> Serve<K> {
        fn of<K: Kind>(ctx: K::Ctx<'_>, key: Str<'_>, uid: u64, most: usize) -> usize {
            serve(ctx, key, uid, most)
        }
        of::<K>
    }

    fn nothing(&self, ctx: K::Ctx<'_>) {
        ctx.null();
    }
}

/// Takes the lock for the caller, who may be made to wait (`wait_ms`, 0 for ever); none if it is another's.
///
/// # Errors
/// The key is of another type, memory is full, or the caller has been made to wait.
pub fn acquire<H: Callers>(
    call: &Call<'_, H>,
    owner: &[u8],
    ttl_ms: Ms,
    wait_ms: Option<Ms>,
) -> Result<Option<u64>, Stop> {
    check_stamp(call)?;
    let mut value = match open(call)? {
        Opened::Empty(key) => return make(call, key, owner, ttl_ms),
        Opened::Lock(value) => value,
    };
    let now = value.time_of(call);
    expire(call, &mut value, now);
    // Whoever came first is first served; one that holds it already takes nothing from anybody.
    let behind = call.stamp.is_none() && call.ctx.is_waited_for(value.uid) && !value.lock.is_held_by(now, owner);
    let taken = if behind { None } else { value.lock.acquire(now, owner, ttl_ms)? };
    match (taken, wait_ms) {
        (Some(taken), _) => Ok(Some(acquired(call, &mut value, now, taken))),
        (None, Some(wait_ms)) if !call.ctx.flags().deny_blocking() && call.ctx.flags().primary() => {
            Err(callers::wait(call, value.uid, Wanted { owner: owner.to_vec(), ttl_ms }, wait_ms))
        }
        (None, _) => Ok(None),
    }
}

/// Makes a lock that the caller has.
fn make<H: Host>(call: &Call<'_, H>, mut key: H::Key, owner: &[u8], ttl_ms: Ms) -> Result<Option<u64>, Stop> {
    call.admit(call.ctx.flags(), || true)?;
    let now = call.time_without_value();
    let mut lock = Lock::new(floor());
    let taken = lock.acquire(now, owner, ttl_ms)?;
    key.put(LockValue::new(lock));
    let mut value = Write::<_, LockValue>::open(key)?;
    Ok(taken.map(|taken| acquired(call, &mut value, now, taken)))
}

/// Hands a lock that is free to the first in its queue, and says how many callers got an answer.
fn serve<H: Callers>(ctx: H, name: Str<'_>, uid: u64, most: usize) -> usize {
    let Some(mut value) = find(ctx, name, uid) else {
        callers::leave(ctx, uid);
        return 0;
    };
    let now = value.time_at(ctx.now());
    let call = Call { ctx, name: c"LOCK.ACQUIRE", key: name, rest: &[], stamp: None };
    expire(&call, &mut value, now);
    let mut answered = 0;
    while answered < most {
        let Some(wanted) = callers::first::<Wanted, H>(ctx, uid) else { break };
        match value.lock.acquire(now, &wanted.owner, wanted.ttl_ms) {
            Ok(None) => break,
            Ok(Some(taken)) => answered += hand_over(&call, &mut value, now, &wanted, taken),
            Err(refusal) => {
                callers::answer_first(ctx, uid, Answer::<H::Kind>::new(move |ctx| ctx.error(&refusal.to_string())));
                answered += 1;
            }
        }
    }
    answered
}

/// The first in the queue has the lock. Those behind with the same owner are the same one, who asked again, perhaps
/// over a new connection while the server has not noticed the end of the old: they get the same answer.
fn hand_over<H: Callers>(call: &Call<'_, H>, value: &mut LockValue, now: Ms, wanted: &Wanted, taken: Taken) -> usize {
    let words = [OwnStr::new(&wanted.owner), OwnStr::number(wanted.ttl_ms)];
    let token = acquired(&Call { rest: &words.each_ref().map(OwnStr::get), ..*call }, value, now, taken);
    let gift =
        Gift { db: call.ctx.db(), key: call.key.bytes().to_vec(), uid: value.uid, token, changes: value.changes };
    let (gift, delivered) = (Rc::new(gift), Rc::new(Cell::new(false)));
    let answer = || {
        let (gift, delivered, replied) = (Rc::clone(&gift), Rc::clone(&delivered), Rc::clone(&delivered));
        let answer = Answer::<H::Kind>::new(move |ctx| {
            replied.set(true);
            ctx.int(token as i64);
        });
        answer.or_else(move |ctx| {
            if !delivered.get() {
                gift.take_back(ctx);
            }
        })
    };
    callers::answer_first(call.ctx, value.uid, answer());
    1 + callers::answer_like(call.ctx, value.uid, |other: &Wanted| other.owner == wanted.owner, answer)
}

/// A lock that was handed to a caller who may not have got the reply.
struct Gift {
    db: c_int,
    key: Vec<u8>,
    uid: u64,
    token: u64,
    /// How often the lock had changed by then.
    changes: u64,
}

impl Gift {
    /// Releases the lock, unless something has been done with it since: then its owner knows that it has it.
    fn take_back<H: Host>(&self, ctx: H) {
        let name = OwnStr::new(&self.key);
        let found = if ctx.select(self.db) { find(ctx, name.get(), self.uid) } else { None };
        let Some(mut value) = found.filter(|value| value.changes == self.changes) else { return };
        let now = value.time_at(ctx.now());
        if value.lock.release(now, self.token) {
            let rest = [OwnStr::number(self.token)];
            let rest = rest.each_ref().map(OwnStr::get);
            let call = Call { ctx, name: c"LOCK.RELEASE", key: name.get(), rest: &rest, stamp: None };
            changed(&call, &mut value, now, c"lock.released");
        }
    }
}
