//! What a primary sends its replicas and its log: `HOLDFAST.APPLY key stamp command [argument …]`.
//!
//! Every change is replicated as the client's command with the primary's time in front, never as its effects: a replica
//! and a log that is replayed do the same work at the same time, streams included. A change in the same millisecond as
//! the store's last one goes as the client wrote it: replayed without a stamp, a command happens at the time of the
//! store's last change, which every image carries. Under load that is nearly all of them, and it costs nothing where
//! nobody listens. HOLDFAST.APPLY is refused for clients, so that nobody can forge a stamp. Beside the client's commands it carries those that only a primary or a rewritten
//! log makes: SWEEP, SAMPLE, REENTRY, REMOVED, LOAD, and LOCKSWEEP and LOCKLOAD for locks.

use std::ffi::CStr;

use redis_module::raw;

use super::ctx::{Ctx, OwnStr, Str, api};
use holdfast_engine::base::units::Ms;
use holdfast_engine::terms::metrics::Refused;
use holdfast_engine::terms::refusal::Code;
use holdfast_engine::terms::streams::EntryId;

/// The internal command.
pub const APPLY: &CStr = c"HOLDFAST.APPLY";

/// `SWEEP budget`: do what is due, about so much of it.
pub const SWEEP: &CStr = c"SWEEP";

/// `SAMPLE [code count …]`: take a sample; so many calls were refused since the last one, by code.
pub const SAMPLE: &CStr = c"SAMPLE";

/// `TAKEBACK order token`: a caller went away before it got the order it was handed.
pub const TAKE_BACK: &CStr = c"TAKEBACK";

/// `REENTRY stream order ms seq [value …]`: an entry got another id than the engine gave it, or was written back. An entry
/// that is no order's carries its values: nothing else knows them any more.
pub const REENTRY: &CStr = c"REENTRY";

/// `REMOVED stream ms seq [ms seq …]`: entries that belonged to nothing were removed from a stream.
pub const REMOVED: &CStr = c"REMOVED";

/// `LOAD piece`: a piece of a whole store, in a rewritten log.
pub const LOAD: &CStr = c"LOAD";

/// `LOCKSWEEP`: end the lease of a lock that is due, or remove a lock that is idle.
pub const LOCK_SWEEP: &CStr = c"LOCKSWEEP";

/// `LOCKLOAD image floor`: a whole lock, in a rewritten log, and the highest token of any.
pub const LOCK_LOAD: &CStr = c"LOCKLOAD";

/// Replicates the client's command as it came: it happens at the time of the store's last change.
pub fn replicate_verbatim(ctx: Ctx) {
    // SAFETY: the context is of a client's command, whose words the server still has.
    unsafe {
        api!(RedisModule_ReplicateVerbatim(ctx.0));
    }
}

/// Replicates a client's command with its stamp.
pub fn replicate(ctx: Ctx, key: Str, stamp: Ms, name: &CStr, rest: &[Str]) {
    // SAFETY: the format takes a string, an integer, a C string and a vector of strings with its length; `Str` is the
    // pointer the server wants. The server retains what it needs.
    unsafe {
        let rest_ptr: *const Str = rest.as_ptr();
        api!(RedisModule_Replicate(
            ctx.0,
            APPLY.as_ptr(),
            c"slcv".as_ptr(),
            key.0,
            stamp as i64,
            name.as_ptr(),
            rest_ptr.cast::<*mut raw::RedisModuleString>(),
            rest.len(),
        ));
    }
}

/// Writes what another server sent to this one's log, as it came. The server does not: a module's commands are the module's
/// to propagate. Its replicas get what was sent from the server itself.
pub fn log(ctx: Ctx, name: &CStr, key: Str, rest: &[Str]) {
    // SAFETY: the format says not to replicas, and takes a string and a vector of strings with its length; `Str` is the
    // pointer the server wants. The server retains what it needs.
    unsafe {
        let rest_ptr: *const Str = rest.as_ptr();
        api!(RedisModule_Replicate(
            ctx.0,
            name.as_ptr(),
            c"Rsv".as_ptr(),
            key.0,
            rest_ptr.cast::<*mut raw::RedisModuleString>(),
            rest.len(),
        ));
    }
}

/// Replicates a slice of work on deadlines.
pub fn replicate_sweep(ctx: Ctx, key: Str, stamp: Ms, budget: u64) {
    // SAFETY: the format takes a string, an integer, a C string and an integer.
    unsafe {
        api!(RedisModule_Replicate(
            ctx.0,
            APPLY.as_ptr(),
            c"slcl".as_ptr(),
            key.0,
            stamp as i64,
            SWEEP.as_ptr(),
            budget as i64,
        ));
    }
}

/// Replicates a sample, with what was refused since the last one.
pub fn replicate_sample(ctx: Ctx, key: Str, stamp: Ms, refused: &Refused) {
    let counted = Code::ALL.iter().map(|code| code.metric()).zip(refused.0).filter(|(_, count)| *count > 0);
    let words: Vec<OwnStr> = counted
        .flat_map(|(name, count)| [OwnStr::new(name.as_bytes()), OwnStr::new(count.to_string().as_bytes())])
        .collect();
    let words: Vec<Str> = words.iter().map(OwnStr::get).collect();
    replicate(ctx, key, stamp, SAMPLE, &words);
}

/// Replicates that an entry has another id. `order` is empty for an entry that is no order's, which has `values`.
pub fn replicate_reentry(ctx: Ctx, key: Str, stamp: Ms, stream: &CStr, order: &[u8], id: EntryId, values: &[Str]) {
    // An outsider can push a stream past what an integer of the format holds.
    let ms = OwnStr::new(id.ms.to_string().as_bytes());
    // SAFETY: the format takes a string, an integer, two C strings, a buffer with its length, a string, an integer and a
    // vector of strings with its length; `Str` is the pointer the server wants.
    unsafe {
        api!(RedisModule_Replicate(
            ctx.0,
            APPLY.as_ptr(),
            c"slccbslv".as_ptr(),
            key.0,
            stamp as i64,
            REENTRY.as_ptr(),
            stream.as_ptr(),
            order.as_ptr(),
            order.len(),
            ms.get(),
            i64::from(id.seq),
            values.as_ptr().cast::<*mut raw::RedisModuleString>(),
            values.len(),
        ));
    }
}
