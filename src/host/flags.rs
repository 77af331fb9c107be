//! The flags of a context: what the server says of a call and of itself, all at one time.

use std::sync::atomic::{AtomicU32, Ordering};

use redis_module::raw;

/// The flag of a context whose command comes from a slot's old owner; 0 where the server has none.
static IMPORT: AtomicU32 = AtomicU32::new(0);

/// Sets which flag says that a command comes from a slot's old owner ([`super::migration`] knows the servers).
pub(super) fn set_import_flag(flag: u32) {
    IMPORT.store(flag, Ordering::Relaxed);
}

/// Whether the server has a flag for commands from a slot's old owner.
pub(super) fn has_import_flag() -> bool {
    IMPORT.load(Ordering::Relaxed) != 0
}

/// What the server says of a context and of itself, all at one time.
#[derive(Clone, Copy)]
pub struct Flags(pub(super) u32);

impl Flags {
    fn has(self, flags: u32) -> bool {
        self.0 & flags != 0
    }

    /// Whether the command comes from the primary's stream, from the old owner of a slot that is being imported, or
    /// from the log that is being loaded.
    pub fn replayed(self) -> bool {
        let flags = raw::REDISMODULE_CTX_FLAGS_REPLICATED | raw::REDISMODULE_CTX_FLAGS_LOADING;
        self.has(flags | IMPORT.load(Ordering::Relaxed))
    }

    /// Whether what is replayed has to be written to a log: a replica with a log of its own, or a node that imports a
    /// slot.
    pub fn logs_replayed(self) -> bool {
        self.replayed() && self.has(raw::REDISMODULE_CTX_FLAGS_AOF) && !self.loading()
    }

    /// Whether more memory is used than `maxmemory` allows. The server may be about to evict some.
    pub fn memory_full(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_OOM)
    }

    /// Whether this server decides: it is no replica.
    pub fn primary(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_MASTER)
    }

    /// Whether a data set is being loaded.
    pub fn loading(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_LOADING)
    }

    /// Whether the server is part of a cluster.
    pub fn cluster(self) -> bool {
        self.has(raw::REDISMODULE_CTX_FLAGS_CLUSTER)
    }

    /// Whether the caller must not be blocked: MULTI, Lua, a module's call, a replayed command.
    pub fn deny_blocking(self) -> bool {
        let flags = raw::REDISMODULE_CTX_FLAGS_DENY_BLOCKING
            | raw::REDISMODULE_CTX_FLAGS_MULTI
            | raw::REDISMODULE_CTX_FLAGS_LUA;
        self.has(flags) || self.replayed()
    }
}
