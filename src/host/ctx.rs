//! A context of the server: its flags, its database, the replies to a command.

use std::ffi::{CStr, CString, c_char, c_int, c_long};
use std::marker::PhantomData;

use redis_module::raw;

use super::api::api;
use super::flags::Flags;
use super::string::Str;

/// A context that the server gave: of a command, a timer, an event. It lives as long as its callback runs.
#[derive(Clone, Copy)]
pub struct Ctx<'a>(*mut raw::RedisModuleCtx, PhantomData<&'a raw::RedisModuleCtx>);

impl<'a> Ctx<'a> {
    /// Wraps a context.
    ///
    /// # Safety
    /// The context must be live for `'a`: at most until the callback that was given it returns.
    pub unsafe fn new(raw: *mut raw::RedisModuleCtx) -> Self {
        debug_assert!(!raw.is_null());
        Ctx(raw, PhantomData)
    }

    /// A context that is there as long as the process, for setting timers.
    pub(super) fn detached(self) -> Ctx<'static> {
        // SAFETY: the context is live; the one that the server makes is never freed.
        unsafe { Ctx::new(api!(RedisModule_GetDetachedThreadSafeContext(self.0))) }
    }

    /// Runs `work` with a context of its own, on the server's main thread, in a callback that has none.
    pub fn with_own<T>(work: impl FnOnce(Ctx<'_>) -> T) -> T {
        // SAFETY: the context is used within this call alone, and freed once.
        unsafe {
            let raw = api!(RedisModule_GetThreadSafeContext(std::ptr::null_mut()));
            let done = work(Ctx::new(raw));
            api!(RedisModule_FreeThreadSafeContext(raw));
            done
        }
    }

    /// The context as the server's functions take it.
    #[inline]
    pub(super) fn raw(self) -> *mut raw::RedisModuleCtx {
        self.0
    }

    /// All flags of the context and the server: the server works them out for each call, so a hot path asks once.
    #[inline]
    pub fn flags(self) -> Flags {
        // SAFETY: the context is live.
        Flags(unsafe { api!(RedisModule_GetContextFlags(self.0)) } as u32)
    }

    /// Whether this server decides: it is no replica.
    pub fn is_primary(self) -> bool {
        self.flags().primary()
    }

    /// Whether the command comes from the primary's stream or from the log that is being loaded.
    pub fn is_replayed(self) -> bool {
        self.flags().replayed()
    }

    /// Whether the caller must not be blocked: MULTI, Lua, a module's call.
    pub fn denies_blocking(self) -> bool {
        self.flags().deny_blocking()
    }

    /// The number of the selected database.
    pub fn db(self) -> c_int {
        // SAFETY: the context is live.
        unsafe { api!(RedisModule_GetSelectedDb(self.0)) }
    }

    /// Selects a database, in a context of our own (timer, event).
    pub fn select(self, db: c_int) -> bool {
        // SAFETY: the context is live; the server checks the number.
        unsafe { api!(RedisModule_SelectDb(self.0, db)) == raw::REDISMODULE_OK as c_int }
    }

    /// Fields of a section of INFO, each empty where it is missing.
    pub fn server_info<const N: usize>(self, section: &CStr, fields: [&CStr; N]) -> [Vec<u8>; N] {
        // SAFETY: the context is live; the texts live as long as the data, which is freed once.
        unsafe {
            let data = api!(RedisModule_GetServerInfo(self.0, section.as_ptr()));
            let text = fields.map(|field| {
                let text = api!(RedisModule_ServerInfoGetFieldC(data, field.as_ptr()));
                if text.is_null() { Vec::new() } else { CStr::from_ptr(text).to_bytes().to_vec() }
            });
            api!(RedisModule_FreeServerInfo(self.0, data));
            text
        }
    }

    /// Writes a line to the server's log.
    pub fn warn(self, text: &str) {
        let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
        // SAFETY: the format takes one string, which is there.
        unsafe { api!(RedisModule_Log(self.0, c"warning".as_ptr(), c"%s".as_ptr(), text.as_ptr())) }
    }

    /// Publishes a keyspace event about a key.
    pub fn notify(self, class: Class, event: &CStr, key: Str<'_>) {
        // SAFETY: the strings live for the call.
        unsafe {
            api!(RedisModule_NotifyKeyspaceEvent(self.0, class as c_int, event.as_ptr(), key.raw()));
        }
    }

    /// Signals that a key was changed, for WATCH and client-side caching.
    pub fn signal_modified(self, key: Str<'_>) {
        // SAFETY: context and name are live.
        unsafe {
            api!(RedisModule_SignalModifiedKey(self.0, key.raw()));
        }
    }

    /// Replies an integer.
    pub fn int(self, n: i64) {
        // SAFETY: the context is live; so below.
        unsafe {
            api!(RedisModule_ReplyWithLongLong(self.0, n));
        }
    }

    /// Replies a string.
    pub fn bulk(self, bytes: &[u8]) {
        // SAFETY: the server copies the bytes.
        unsafe {
            api!(RedisModule_ReplyWithStringBuffer(self.0, bytes.as_ptr().cast::<c_char>(), bytes.len()));
        }
    }

    /// Replies a status, such as `OK`.
    pub fn status(self, text: &CStr) {
        // SAFETY: the server copies the text.
        unsafe {
            api!(RedisModule_ReplyWithSimpleString(self.0, text.as_ptr()));
        }
    }

    /// Replies nil.
    pub fn null(self) {
        // SAFETY: the context is live.
        unsafe {
            api!(RedisModule_ReplyWithNull(self.0));
        }
    }

    /// Begins an array of `len` elements.
    pub fn array(self, len: usize) {
        // SAFETY: the context is live.
        unsafe {
            api!(RedisModule_ReplyWithArray(self.0, len as c_long));
        }
    }

    /// Begins a map of `len` pairs: with RESP2 a flat array.
    pub fn map(self, len: usize) {
        // SAFETY: the context is live.
        unsafe {
            api!(RedisModule_ReplyWithMap(self.0, len as c_long));
        }
    }

    /// Replies an error; the text's first word is its code.
    pub fn error(self, text: &str) {
        let text = CString::new(text.replace(['\0', '\r', '\n'], " ")).unwrap_or_default();
        // SAFETY: the server copies the text.
        unsafe {
            api!(RedisModule_ReplyWithError(self.0, text.as_ptr()));
        }
    }
}

/// The class of a keyspace event, which subscribers choose by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Class {
    /// Events of all types of keys, `del` for example.
    Generic = raw::REDISMODULE_NOTIFY_GENERIC as c_int,
    /// Events of streams.
    Stream = raw::REDISMODULE_NOTIFY_STREAM as c_int,
    /// Events of modules.
    Module = raw::REDISMODULE_NOTIFY_MODULE as c_int,
}

/// A random key for hash tables.
pub fn seed() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the server fills exactly these bytes.
    unsafe { api!(RedisModule_GetRandomBytes(bytes.as_mut_ptr(), bytes.len())) };
    u64::from_ne_bytes(bytes)
}
