//! A caller who is blocked until a piece of work is done. Those who wait for something to become available have a
//! queue: [`super::waiters`].

use std::ffi::{c_int, c_void};

use redis_module::raw;

use super::api::api;
use super::ctx::Ctx;

/// What writes the reply.
type Reply = Box<dyn Fn(Ctx<'_>)>;

/// A caller whose reply comes later. It waits until it gets one.
#[must_use]
pub struct Blocked(*mut raw::RedisModuleBlockedClient);

impl Blocked {
    /// Blocks the caller of a command, in a context that may block ([`super::flags::Flags::deny_blocking`]).
    pub fn new(ctx: Ctx<'_>) -> Self {
        debug_assert!(!ctx.denies_blocking());
        // SAFETY: the context is a command's, which may block; the callbacks are functions of this module, which is
        // never unloaded.
        Blocked(unsafe { api!(RedisModule_BlockClient(ctx.raw(), Some(on_reply), None, Some(free_reply), 0)) })
    }

    /// Has `reply` written to the caller, if it is still there.
    pub fn reply(self, reply: impl Fn(Ctx<'_>) + 'static) {
        let reply: Box<Reply> = Box::new(Box::new(reply));
        // SAFETY: the client was blocked by `new` and is unblocked once; `free_reply` frees the reply, also if it went
        // away.
        unsafe { api!(RedisModule_UnblockClient(self.0, Box::into_raw(reply).cast())) };
    }
}

unsafe extern "C" fn on_reply(ctx: *mut raw::RedisModuleCtx, _: *mut *mut raw::RedisModuleString, _: c_int) -> c_int {
    // SAFETY: the private data is what `reply` passed; the server frees it afterwards. The context is the one of this
    // callback, used within it.
    unsafe {
        let reply = api!(RedisModule_GetBlockedClientPrivateData(ctx)).cast::<Reply>();
        (*reply)(Ctx::new(ctx));
    }
    raw::REDISMODULE_OK as c_int
}

unsafe extern "C" fn free_reply(_: *mut raw::RedisModuleCtx, reply: *mut c_void) {
    // SAFETY: boxed by `Blocked::reply`, freed once.
    drop(unsafe { Box::from_raw(reply.cast::<Reply>()) });
}
