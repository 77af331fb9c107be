//! Open keys of the server.

use std::marker::PhantomData;

use redis_module::raw;

use super::api::api;
use super::ctx::Ctx;
use super::string::Str;

/// How the server opens a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For reading: there is none if the key is empty. One whose time to live is over stays until the server removes
    /// it.
    Read,
    /// For writing: there is always one. One whose time to live is over is deleted now, and that is replicated.
    Write,
}

/// An open key. Closing it wakes those who wait for a stream that was added to.
pub struct Key<'a>(*mut raw::RedisModuleKey, PhantomData<Ctx<'a>>);

impl Drop for Key<'_> {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, closed once.
        unsafe { api!(RedisModule_CloseKey(self.0)) }
    }
}

impl<'a> Key<'a> {
    /// Opens a key.
    #[inline]
    pub fn open(ctx: Ctx<'a>, name: Str<'_>, mode: Mode) -> Option<Key<'a>> {
        let mode = match mode {
            Mode::Read => raw::REDISMODULE_READ,
            Mode::Write => raw::REDISMODULE_READ | raw::REDISMODULE_WRITE,
        };
        // SAFETY: context and name are live; the key is closed before the context's callback returns.
        let key = unsafe { api!(RedisModule_OpenKey(ctx.raw(), name.raw(), mode as i32)) };
        (!key.is_null()).then_some(Key(key, PhantomData))
    }

    /// The key as the server's functions take it.
    #[inline]
    pub(super) fn raw(&self) -> *mut raw::RedisModuleKey {
        self.0
    }

    /// The type of what is there.
    #[inline]
    pub(super) fn kind(&self) -> isize {
        // SAFETY: the key is open.
        unsafe { api!(RedisModule_KeyType(self.0)) as isize }
    }

    /// Entries of a stream, elements of another type, 0 where the key is empty.
    pub(super) fn value_len(&self) -> u64 {
        // SAFETY: the key is open.
        unsafe { api!(RedisModule_ValueLength(self.0)) as u64 }
    }

    /// Removes the key; what it held is freed off the main thread where it is large.
    pub(super) fn remove(&self) {
        // SAFETY: the key is open; one that is not open for writing is left as it is.
        unsafe {
            api!(RedisModule_UnlinkKey(self.0));
        }
    }
}
