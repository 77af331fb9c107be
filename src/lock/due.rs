//! What is due of a lock without a command, and what a log or a primary says of locks.

use super::change::{LOCK_SWEEP, changed};
use super::value::{LOCK_LOAD, LockValue, Opened, Writing, find, open, raise_floor};
use crate::host::ctx::Class;
use crate::host::deadlines::{Due, look_again};
use crate::host::key::Mode;
use crate::host::opened::ValueKey;
use crate::host::server::HostKey;
use crate::host::{Call, Ctx, Host, Stop};
use holdfast_engine::base::units::Ms;
use holdfast_engine::calls::locks::Lock;

/// Ends a lease that is due and removes a lock that is idle, for the tick of deadlines. False if the key does not hold
/// the lock.
pub fn handle(ctx: Ctx<'_>, due: &Due<'_>) -> bool {
    do_due(ctx, due)
}

/// The same on any server.
pub fn do_due<H: Host>(ctx: H, due: &Due<'_>) -> bool {
    let Some(value) = find(ctx, due.key, due.uid) else { return false };
    if ctx.may_write(&[due.key]) {
        let time = value.time_at(due.now);
        sweep(&Call { ctx, name: LOCK_SWEEP, key: due.key, rest: &[], stamp: None }, value, time);
    } else {
        ctx.look_at(due.uid, due.key, Some(look_again(due.now)));
    }
    true
}

/// What a primary, or a log, says of a lock in a word of its own; none if it is not one of these words.
pub fn apply<H: Host>(call: &Call<'_, H>, word: &[u8]) -> Option<Result<(), Stop>> {
    match word {
        word if word == LOCK_SWEEP.to_bytes() => Some(apply_sweep(call)),
        word if word == LOCK_LOAD.to_bytes() => Some(apply_load(call)),
        _ => None,
    }
}

/// LOCKSWEEP: what a primary's timer did.
fn apply_sweep<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    if let Opened::Lock(value) = open(call)? {
        let now = value.time_of(call);
        sweep(call, value, now);
    }
    Ok(())
}

fn sweep<H: Host>(call: &Call<'_, H>, mut value: Writing<H>, now: Ms) {
    if value.lock.expire(now) {
        changed(call, &mut value, now, c"lock.expired");
    } else if value.lock.is_idle(now) && !call.ctx.is_waited_for(value.uid) {
        if call.stamp.is_none() {
            call.ctx.replicate(call.key, now, call.name, call.rest);
        }
        value.into_key().unlink();
        call.ctx.signal_modified(call.key);
        call.ctx.notify(Class::Generic, c"del", call.key);
        return;
    }
    value.register(call.ctx, call.key);
}

/// LOCKLOAD: a whole lock and the floor, in a rewritten log.
fn apply_load<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    let malformed = || Stop::Server("ERR HOLDFAST.APPLY with a LOCKLOAD this version does not know".into());
    let [image, floor] = call.rest else { return Err(malformed()) };
    let floor = floor.integer().and_then(|n| u64::try_from(n).ok()).ok_or_else(malformed)?;
    let lock = Lock::load(image.bytes()).map_err(|problem| Stop::Server(format!("ERR {problem}")))?;
    raise_floor(floor.max(lock.floor()));
    if let Some(mut key) = call.ctx.open(call.key, Mode::Write) {
        key.unlink();
        let mut value = LockValue::new(lock);
        value.register(call.ctx, call.key);
        key.put(value);
        call.ctx.arm();
    }
    Ok(())
}
