//! The changes of a lock: the server's side of LOCK.RENEW, LOCK.RELEASE and LOCK.GET, and what [`super::waiting`] and
//! [`super::due`] build on.

use std::ffi::CStr;

use super::value::{LockValue, Opened, check_name, open, raise_floor};
use crate::host::ctx::Class;
use crate::host::key::Mode;
use crate::host::opened::Read;
use crate::host::server::HostKey;
use crate::host::{Call, Host, Stop};
use holdfast_engine::base::units::Ms;
use holdfast_engine::calls::locks::{Lock, Taken};

/// `LOCKSWEEP`: ends the lease of a lock that is due, or removes a lock that is idle.
pub const LOCK_SWEEP: &CStr = c"LOCKSWEEP";

/// A lock is only ever replicated with its time: whatever comes from a primary without one is not the module's.
///
/// # Errors
/// The command came from a primary without a stamp.
pub fn check_stamp<H: Host>(call: &Call<'_, H>) -> Result<(), Stop> {
    if call.stamp.is_none() && call.ctx.flags().replayed() {
        return Err(Stop::Server("ERR a replicated lock command must have its time".into()));
    }
    Ok(())
}

/// After an owner has taken the lock, or renewed it: replicates that, and says the token.
pub fn acquired<H: Host>(call: &Call<'_, H>, value: &mut LockValue, now: Ms, taken: Taken) -> u64 {
    raise_floor(taken.token);
    // Owner and ttl: nobody waits on a replica.
    let rest = call.rest.get(..2).unwrap_or(call.rest);
    let event = if taken.is_new { c"lock.acquired" } else { c"lock.renewed" };
    changed(&Call { rest, ..*call }, value, now, event);
    taken.token
}

/// Begins the lease again; false if the lock is not held under this token any more.
///
/// # Errors
/// The key is of another type.
pub fn renew<H: Host>(call: &Call<'_, H>, token: u64, ttl_ms: Ms) -> Result<bool, Stop> {
    change(call, c"lock.renewed", |lock, now| lock.renew(now, token, ttl_ms))
}

/// Releases the lock; false if it is not held under this token any more.
///
/// # Errors
/// The key is of another type.
pub fn release<H: Host>(call: &Call<'_, H>, token: u64) -> Result<bool, Stop> {
    change(call, c"lock.released", |lock, now| lock.release(now, token))
}

fn change<H: Host>(call: &Call<'_, H>, event: &CStr, run: impl FnOnce(&mut Lock, Ms) -> bool) -> Result<bool, Stop> {
    check_stamp(call)?;
    let Opened::Lock(mut value) = open(call)? else { return Ok(false) };
    let now = value.time_of(call);
    expire(call, &mut value, now);
    let done = run(&mut value.lock, now);
    if done {
        changed(call, &mut value, now, event);
    }
    Ok(done)
}

/// After a change: replicates it, publishes its event, and looks for someone to hand the lock to.
pub fn changed<H: Host>(call: &Call<'_, H>, value: &mut LockValue, now: Ms, event: &CStr) {
    value.changes += 1;
    if call.stamp.is_none() {
        call.ctx.replicate(call.key, now, call.name, call.rest);
    }
    call.ctx.notify(Class::Module, event, call.key);
    call.ctx.signal_modified(call.key);
    // One that is due later than it is registered is found out when the timer comes.
    if value.due == 0 || value.lock.next_due() < value.due {
        value.register(call.ctx, call.key);
        call.ctx.arm();
    }
    if value.lock.holder(now).is_none() {
        call.ctx.wake_all(value.uid);
    }
}

/// A lease that is over by now ends first, as a change of its own. Only a primary decides that by its clock.
pub fn expire<H: Host>(call: &Call<'_, H>, value: &mut LockValue, now: Ms) {
    let decides = call.stamp.is_none() && call.ctx.flags().primary();
    if decides && value.lock.expire(now) {
        let sweep = Call { name: LOCK_SWEEP, rest: &[], ..*call };
        changed(&sweep, value, now, c"lock.expired");
    }
}

/// Who holds a lock, for a reader.
#[derive(Default)]
pub struct View {
    pub owner: Vec<u8>,
    /// The holder's; 0 if the lock is free. So are the times, Unix milliseconds.
    pub token: u64,
    pub taken_at: Ms,
    pub deadline: Ms,
    /// What is left of the lease, milliseconds.
    pub ttl_ms: Ms,
    /// Callers that wait for it on this server.
    pub waiting: usize,
}

/// Reads a lock; one that is not there is as good as free. A replica does not judge by its own clock whether a lease is
/// over.
///
/// # Errors
/// The key is of another type.
pub fn view<H: Host>(call: &Call<'_, H>) -> Result<View, Stop> {
    check_name(call.key)?;
    let key = call.ctx.open(call.key, Mode::Read).filter(|key| !key.is_empty());
    let Some(key) = key else { return Ok(View::default()) };
    let value = Read::<_, LockValue>::open(key)?;
    let time = value.time_of(call);
    let now = if call.ctx.flags().primary() { time } else { 0 };
    let waiting = call.ctx.count_waiting(value.uid);
    Ok(match value.lock.holder(now) {
        None => View { waiting, ..View::default() },
        Some(holder) => View {
            owner: holder.owner.to_vec(),
            token: holder.token,
            taken_at: holder.taken_at,
            deadline: holder.deadline,
            ttl_ms: holder.deadline.saturating_sub(time),
            waiting,
        },
    })
}
