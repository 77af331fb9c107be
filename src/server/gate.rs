//! The one gate in front of everything that writes without a client's command: deadlines, samples, slices of long work,
//! orders and locks for callers who wait.
//!
//! A command has been let in by the server before the module sees it; what the module does by itself has not. It asks here
//! first, and where the answer is no it waits and asks again: nothing is refused for good, as a deadline cannot be refused.

use std::ffi::{CStr, c_int};
use std::rc::Rc;

use redis_module::raw;
use smallvec::SmallVec;

use super::ctx::{Ctx, OwnStr, Str, api};
use super::keys::{has_streams, stream_name};
use holdfast_engine::store::Store;
use holdfast_engine::terms::streams::StreamKind;

/// The command that asks the server. It does nothing, and takes the keys that are to be written.
pub const MAY_WRITE: &CStr = c"HOLDFAST.MAYWRITE";

/// Whether this server writes by itself now: it is a primary that is not loading, and writes are not paused (CLIENT PAUSE,
/// a failover in progress). Replicating anything while they are would end the server.
pub fn may_write(ctx: Ctx) -> bool {
    // SAFETY: takes nothing.
    ctx.is_primary() && !ctx.is_loading() && unsafe { api!(RedisModule_AvoidReplicaTraffic()) } == 0
}

/// Whether a client's write on these keys would be let in now: all of them are here and their slot is this node's, there are
/// enough good replicas (`min-replicas-to-write`), and the disk takes what is written. The server itself is asked.
pub fn may_write_keys(ctx: Ctx, keys: &[Str]) -> bool {
    // S: with the checks that a script's command passes.
    ask(ctx, c"SEv", keys)
}

/// Whether this node serves all these keys to the caller now. While their slot moves, the server says no as soon as one of
/// them is not here.
pub fn serves(ctx: Ctx, keys: &[Str]) -> bool {
    ask(ctx, c"Ev", keys)
}

/// Asks with a command that does nothing: no key is looked up, so none can expire under whoever has it open.
fn ask(ctx: Ctx, format: &CStr, keys: &[Str]) -> bool {
    // SAFETY: the formats say: errors as replies (Valkey 9.1 reads past its memory where it makes none), a vector of strings
    // with its length; `Str` is the pointer the server wants. The reply is ours to free.
    unsafe {
        let reply = api!(RedisModule_Call(ctx.0, MAY_WRITE.as_ptr(), format.as_ptr(), keys.as_ptr(), keys.len()));
        if reply.is_null() {
            return false;
        }
        let refused = api!(RedisModule_CallReplyType(reply)) == raw::REDISMODULE_REPLY_ERROR as c_int;
        api!(RedisModule_FreeCallReply(reply));
        !refused
    }
}

/// What of the work that is due in a store may be done now. While its slot moves, some of its streams may be on another node,
/// those that the store has not made among them: a consumer can make one, with its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// All of it.
    All,
    /// What writes no stream of orders: holds, samples.
    Holds,
    /// None: the store is not to be written.
    Nothing,
}

/// Asks for a store.
pub fn may_write_store(ctx: Ctx, name: Str, store: &Store) -> Open {
    const OF_ORDERS: [StreamKind; 3] = [StreamKind::Orders, StreamKind::Retry, StreamKind::Dead];
    if !ctx.in_cluster() || !has_streams(name.bytes()) {
        return if may_write_keys(ctx, &[name]) { Open::All } else { Open::Nothing };
    }
    let journal = (store.settings().journal > 0).then_some(StreamKind::Journal);
    if with_streams(ctx, name, OF_ORDERS.into_iter().chain(journal)) {
        Open::All
    } else if with_streams(ctx, name, journal.into_iter()) {
        Open::Holds
    } else {
        Open::Nothing
    }
}

fn with_streams(ctx: Ctx, name: Str, kinds: impl Iterator<Item = StreamKind>) -> bool {
    let streams: SmallVec<[Rc<OwnStr>; 4]> = kinds.map(|kind| stream_name(name.bytes(), kind)).collect();
    let keys: SmallVec<[Str; 5]> = [name].into_iter().chain(streams.iter().map(|stream| stream.get())).collect();
    may_write_keys(ctx, &keys)
}
