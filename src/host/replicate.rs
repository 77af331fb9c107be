//! What a primary sends its replicas and its log: `HOLDFAST.APPLY key stamp command [argument …]`.
//!
//! Every change is replicated as the client's command with the primary's time in front, never as its effects: a replica
//! and a log that is replayed do the same work at the same time, streams included. A change in the same millisecond as
//! the store's last one is replicated as the client wrote it: replayed without a stamp, a command happens at the time
//! of the store's last change, which every image carries. Under load that is nearly all of them, and it costs nothing
//! where nobody listens. HOLDFAST.APPLY is refused for clients, so that nobody can forge a stamp.

use std::ffi::CStr;

use redis_module::raw;

use super::api::api;
use super::ctx::Ctx;
use super::string::Str;
use holdfast_engine::base::units::Ms;

/// The internal command.
pub const APPLY: &CStr = c"HOLDFAST.APPLY";

/// Replicates the client's command as it came: it happens at the time of the store's last change.
pub fn verbatim(ctx: Ctx<'_>) {
    // SAFETY: the context is live; outside a client's command the server has no words to replicate and does nothing.
    unsafe {
        api!(RedisModule_ReplicateVerbatim(ctx.raw()));
    }
}

/// Replicates a command with its stamp.
pub fn stamped(ctx: Ctx<'_>, key: Str<'_>, stamp: Ms, name: &CStr, rest: &[Str<'_>]) {
    debug_assert!(i64::try_from(stamp).is_ok(), "a stamp beyond the server's integers");
    // SAFETY: the format takes a string, an integer, a C string and a vector of strings with its length; `Str` is the
    // pointer that the server wants. The server retains what it needs.
    unsafe {
        api!(RedisModule_Replicate(
            ctx.raw(),
            APPLY.as_ptr(),
            c"slcv".as_ptr(),
            key.raw(),
            stamp as i64,
            name.as_ptr(),
            rest.as_ptr().cast::<*mut raw::RedisModuleString>(),
            rest.len(),
        ));
    }
}

/// Writes what another server sent to this one's log, as it came. The server does not: a module's commands are the
/// module's to propagate. Its replicas get what was sent from the server itself.
pub fn log(ctx: Ctx<'_>, name: &CStr, key: Str<'_>, rest: &[Str<'_>]) {
    // SAFETY: the format says not to replicas, and takes a string and a vector of strings with its length; `Str` is the
    // pointer that the server wants. The server retains what it needs.
    unsafe {
        api!(RedisModule_Replicate(
            ctx.raw(),
            name.as_ptr(),
            c"Rsv".as_ptr(),
            key.raw(),
            rest.as_ptr().cast::<*mut raw::RedisModuleString>(),
            rest.len(),
        ));
    }
}
