//! The one gate in front of everything that writes without a client's command: deadlines, samples, slices of long work,
//! orders and locks for callers who wait.
//!
//! A command has been let in by the server before the module sees it; what the module does by itself has not. It asks here
//! first, and where the answer is no it waits and asks again: nothing is refused for good, as a deadline cannot be refused.

use std::ffi::c_int;

use redis_module::raw;
use smallvec::SmallVec;

use super::ctx::{api, Ctx, OwnStr, Str};
use super::keys::{has_streams, stream_name};
use crate::engine::{EntryId, Store, StreamKind};

/// The command that asks the server. It does nothing, and takes the keys that are to be written.
pub const MAY_WRITE: &std::ffi::CStr = c"HOLDFAST.MAYWRITE";

/// Whether this server writes by itself now: it is a primary that is not loading, and writes are not paused (CLIENT PAUSE,
/// a failover in progress). Replicating anything while they are would end the server.
pub fn may_write(ctx: Ctx) -> bool {
    // SAFETY: takes nothing.
    ctx.is_primary() && !ctx.is_loading() && unsafe { api!(RedisModule_AvoidReplicaTraffic()) } == 0
}

/// Whether a client's write on these keys would be let in now: all of them are here and their slot is this node's, there are
/// enough good replicas (`min-replicas-to-write`), and the disk takes what is written. The server itself is asked.
pub fn may_write_keys(ctx: Ctx, keys: &[Str]) -> bool {
    // SAFETY: the format says: with the checks a script's command passes, errors as replies (Valkey 9.1 reads past its memory
    // where it makes none), a vector of strings with its length; `Str` is the pointer the server wants. The reply is ours
    // to free.
    unsafe {
        let reply = api!(RedisModule_Call(ctx.0, MAY_WRITE.as_ptr(), c"SEv".as_ptr(), keys.as_ptr(), keys.len()));
        if reply.is_null() {
            return false;
        }
        let refused = api!(RedisModule_CallReplyType(reply)) == raw::REDISMODULE_REPLY_ERROR as c_int;
        api!(RedisModule_FreeCallReply(reply));
        !refused
    }
}

/// The same for a store with all streams it has made: while its slot moves, some of them may be on another node, and what
/// is due waits until they are together again.
pub fn may_write_store(ctx: Ctx, name: Str, store: &Store) -> bool {
    let mut streams: SmallVec<[std::rc::Rc<OwnStr>; StreamKind::ALL.len()]> = SmallVec::new();
    if ctx.in_cluster() && has_streams(name.bytes()) {
        let made = |kind: &StreamKind| store.last_entry(*kind) != EntryId::default();
        streams.extend(StreamKind::ALL.into_iter().filter(made).map(|kind| stream_name(name.bytes(), kind)));
    }
    let mut keys: SmallVec<[Str; StreamKind::ALL.len() + 1]> = SmallVec::new();
    keys.push(name);
    keys.extend(streams.iter().map(|stream| stream.get()));
    may_write_keys(ctx, &keys)
}
