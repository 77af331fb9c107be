//! Defragmentation of memory, which a server can do whose allocator says where a piece would be better.

use std::ffi::c_ulong;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use redis_module::raw;

use super::api::api;

/// A look of the server at one value.
pub struct Defrag<'a> {
    ctx: *mut raw::RedisModuleDefragCtx,
    callback: PhantomData<&'a ()>,
}

impl Defrag<'_> {
    /// # Safety
    /// The server must have passed the context to a callback, and it must be used within that.
    pub(super) unsafe fn new(ctx: *mut raw::RedisModuleDefragCtx) -> Self {
        Defrag { ctx, callback: PhantomData }
    }

    /// Where the last look at the value stopped; 0 for one that is looked at all at once.
    pub(super) fn cursor(&self) -> u64 {
        let mut cursor: c_ulong = 0;
        // SAFETY: a live context. Without a cursor the server leaves the 0.
        unsafe { api!(RedisModule_DefragCursorGet(self.ctx, &mut cursor)) };
        cursor
    }

    /// Whether time is up and the server will ask again from `cursor` on.
    pub(super) fn stops_at(&self, cursor: u64) -> bool {
        // SAFETY: a live context.
        unsafe {
            api!(RedisModule_DefragShouldStop(self.ctx)) != 0
                && api!(RedisModule_DefragCursorSet(self.ctx, cursor)) == raw::REDISMODULE_OK as i32
        }
    }

    /// Puts a piece of memory where the allocator wants it.
    pub(super) fn put(&self, piece: Vec<u8>) -> Vec<u8> {
        let mut piece = ManuallyDrop::new(piece);
        let (len, capacity) = (piece.len(), piece.capacity());
        // SAFETY: the module's allocator is the server's, so the piece is one that the server allocated. What is moved
        // has the same bytes and as much room, and the server has freed the old piece; null: it was not moved.
        unsafe {
            let moved: *mut u8 = api!(RedisModule_DefragAlloc(self.ctx, piece.as_mut_ptr().cast())).cast();
            let at = if moved.is_null() { piece.as_mut_ptr() } else { moved };
            Vec::from_raw_parts(at, len, capacity)
        }
    }
}
