//! The one gate in front of everything that writes without a client's command: deadlines, samples, slices of long work,
//! orders and locks for callers who wait.
//!
//! A command has been let in by the server before the module sees it; what the module does by itself has not. It asks
//! here first, and where the answer is no it waits and asks again: nothing is refused for good, as a deadline cannot be
//! refused.

use std::ffi::CStr;

use super::api::api;
use super::ctx::Ctx;
use super::query::{Manner, ask};
use super::string::Str;

/// The command that asks the server. It does nothing, and takes the keys that are to be written.
pub const MAY_WRITE: &CStr = c"HOLDFAST.MAYWRITE";

/// Whether this server writes these keys by itself now. It is a primary that is not loading, and writes are not paused
/// (CLIENT PAUSE, a failover in progress): replicating anything while they are would end the server. And a client's
/// write on the keys would be let in: all of them are here and their slot is this node's, there are enough good
/// replicas (`min-replicas-to-write`), and the disk takes what is written. The server itself is asked; not, if no key
/// is named.
pub fn may_write(ctx: Ctx<'_>, keys: &[Str<'_>]) -> bool {
    let flags = ctx.flags();
    // SAFETY: takes nothing.
    let open = flags.primary() && !flags.loading() && unsafe { api!(RedisModule_AvoidReplicaTraffic()) } == 0;
    open && (keys.is_empty() || is_let_in(ctx, Manner::AS_A_SCRIPT, keys))
}

/// Whether this node serves all these keys to the caller now. While their slot moves, the server says no as soon as one
/// of them is not here.
pub fn serves(ctx: Ctx<'_>, keys: &[Str<'_>]) -> bool {
    is_let_in(ctx, Manner::ERRORS, keys)
}

/// Asks with a command that does nothing: no key is looked up, so none can expire under whoever has it open.
fn is_let_in(ctx: Ctx<'_>, manner: Manner, keys: &[Str<'_>]) -> bool {
    ask(ctx, MAY_WRITE, manner, keys).is_ok_and(|reply| !reply.is_error())
}
