//! A command's context and its strings: replies, flags, notifications, in safe clothes.

use std::ffi::{CStr, CString, c_char, c_int, c_long};

use redis_module::raw;

use super::migration;

/// Calls a function of the server's module API. All that the module uses exist since Redis 7.0; loading the module
/// checks that they are there ([`super::register::check_api`]).
macro_rules! api {
    ($name:ident ( $($argument:expr),* $(,)? )) => {{
        let function = raw::$name.expect(concat!(stringify!($name), " exists since Redis 7.0"));
        function($($argument),*)
    }};
}
pub(super) use api;

/// A string of the server: an argument, a key's name.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Str(pub(super) *mut raw::RedisModuleString);

impl Str {
    /// Its bytes. They live as long as the string: for arguments, as long as the command runs.
    pub fn bytes<'a>(self) -> &'a [u8] {
        let mut len = 0;
        // SAFETY: the pointer is a live string of the server; the server keeps it unchanged while a command runs.
        unsafe {
            let ptr = api!(RedisModule_StringPtrLen(self.0, &mut len));
            std::slice::from_raw_parts(ptr.cast(), len)
        }
    }
}

impl Str {
    /// Its value as an integer, read as the server reads integers; none if it is none.
    pub fn integer(self) -> Option<i64> {
        let mut n = 0;
        // SAFETY: the pointer is a live string of the server.
        let status = unsafe { api!(RedisModule_StringToLongLong(self.0, &mut n)) };
        (status == raw::REDISMODULE_OK as c_int).then_some(n)
    }
}

/// A string of our own, freed when it goes.
pub struct OwnStr(Str);

impl OwnStr {
    /// A copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        // SAFETY: the server copies `len` bytes; without a context the string is ours to free.
        OwnStr(Str(unsafe { api!(RedisModule_CreateString(std::ptr::null_mut(), bytes.as_ptr().cast(), bytes.len())) }))
    }

    /// Takes over a string that the server made for us.
    ///
    /// # Safety
    /// The string must be live, of a context without automatic memory, and freed by nobody else.
    pub(super) unsafe fn adopt(raw: *mut raw::RedisModuleString) -> Self {
        OwnStr(Str(raw))
    }

    /// The string, for as long as `self` lives.
    pub fn get(&self) -> Str {
        self.0
    }
}

impl Drop for OwnStr {
    fn drop(&mut self) {
        // SAFETY: made by `new` without a context, freed once.
        unsafe { api!(RedisModule_FreeString(std::ptr::null_mut(), self.0.0)) }
    }
}

/// What the server says of a context and of itself, all at one time.
#[derive(Clone, Copy)]
pub struct Flags(u32);

impl Flags {
    /// Whether the command comes from the primary's stream, from the old owner of a slot that is being imported, or from
    /// the log that is being loaded.
    pub fn replayed(self) -> bool {
        let flags = raw::REDISMODULE_CTX_FLAGS_REPLICATED | raw::REDISMODULE_CTX_FLAGS_LOADING;
        self.0 & (flags | migration::import_flag()) != 0
    }

    /// Whether what is replayed has to be written to a log: a replica with a log of its own, or a node that imports a slot.
    pub fn logs_replayed(self) -> bool {
        self.replayed()
            && self.0 & raw::REDISMODULE_CTX_FLAGS_AOF != 0
            && self.0 & raw::REDISMODULE_CTX_FLAGS_LOADING == 0
    }

    /// Whether more memory is used than `maxmemory` allows. The server may be about to evict some.
    pub fn memory_full(self) -> bool {
        self.0 & raw::REDISMODULE_CTX_FLAGS_OOM != 0
    }
}

/// A context the server gave: of a command, a timer, an event.
#[derive(Clone, Copy)]
pub struct Ctx(pub(super) *mut raw::RedisModuleCtx);

impl Ctx {
    /// Wraps a context.
    ///
    /// # Safety
    /// `raw` must be the context of the callback that is running, and not be used after it.
    pub unsafe fn new(raw: *mut raw::RedisModuleCtx) -> Self {
        Ctx(raw)
    }

    fn has(self, flag: u32) -> bool {
        self.flags().0 & flag != 0
    }

    /// All flags of the context and the server: the server works them out for each call, so a hot path asks once.
    #[inline]
    pub fn flags(self) -> Flags {
        // SAFETY: the context is live.
        Flags(unsafe { api!(RedisModule_GetContextFlags(self.0)) } as u32)
    }

    /// Whether this server decides: it is no replica.
    pub fn is_primary(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_MASTER)
    }

    /// Whether the command comes from the primary's stream or from the log that is being loaded.
    pub fn is_replayed(self) -> bool {
        self.flags().replayed()
    }

    /// Whether a data set is being loaded.
    pub fn is_loading(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_LOADING)
    }

    /// Whether the server is part of a cluster.
    pub fn in_cluster(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_CLUSTER)
    }

    /// Whether the caller must not be blocked: MULTI, Lua, a module's call.
    pub fn denies_blocking(self) -> bool {
        let flags = raw::REDISMODULE_CTX_FLAGS_DENY_BLOCKING
            | raw::REDISMODULE_CTX_FLAGS_MULTI
            | raw::REDISMODULE_CTX_FLAGS_LUA;
        self.has(flags) || self.is_replayed()
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

    /// Fields of a section of INFO, each empty where there is none.
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

    /// Whether a client would find the key here: in a cluster, its slot must be this node's.
    pub fn has_key(self, key: Str) -> bool {
        // SAFETY: the format takes a string; the reply, if the call was let in, is ours to free.
        unsafe {
            let reply = api!(RedisModule_Call(self.0, c"EXISTS".as_ptr(), c"s".as_ptr(), key.0));
            if reply.is_null() {
                return false;
            }
            let found = api!(RedisModule_CallReplyInteger(reply)) == 1;
            api!(RedisModule_FreeCallReply(reply));
            found
        }
    }

    /// Tells subscribers of keyspace events about a key.
    pub fn notify(self, class: c_int, event: &CStr, key: Str) {
        // SAFETY: the strings live for the call.
        unsafe {
            api!(RedisModule_NotifyKeyspaceEvent(self.0, class, event.as_ptr(), key.0));
        }
    }

    /// Tells subscribers that a key was deleted.
    pub fn notify_deleted(self, key: Str) {
        self.notify(raw::REDISMODULE_NOTIFY_GENERIC, c"del", key);
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
