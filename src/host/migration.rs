//! Atomic slot migration: CLUSTER MIGRATESLOTS of Valkey 9, CLUSTER MIGRATION of Redis 8.4.
//!
//! The server copies a slot's keys to their new owner while the old one goes on, sends what changes meanwhile after
//! them, and hands over ownership in one moment. Until then the keys are on the new owner but not its own: it does what
//! the old owner did, as a replica does, and nothing by itself ([`super::gate`]). Afterwards the old owner drops the
//! keys, on Redis without a word about each of them: so what the module keeps about the keys is checked when the
//! server says that a migration is over.

use std::ffi::{c_int, c_void};

use redis_module::raw;

use super::ctx::Ctx;
use super::events::to_event;
use super::flags::{has_import_flag, set_import_flag};
use super::{deadlines, waiters};

/// Valkey: the module can cope with keys that are here before their slot is. Without it, CLUSTER MIGRATESLOTS is
/// refused.
const OPTION_ATOMIC: u32 = 1 << 5;

/// Valkey: the command comes from the slot's old owner. (To Redis, which marks such commands as a primary's, the same
/// bit says that DEBUG is enabled.)
const FLAG_IMPORT: u32 = 1 << 25;

/// Valkey's event. (Redis has another of this number.)
const EVENT_VALKEY: u64 = 19;

/// Its subevents that say that an import was aborted or completed, or that an export was completed.
const VALKEY_ENDS: [u64; 3] = [2, 4, 5];

/// Learns what this server is, and gives the module options that atomic slot migration takes there.
pub fn options(ctx: Ctx<'_>) -> u32 {
    let [valkey] = ctx.server_info(c"server", [c"valkey_version"]);
    // SAFETY: take nothing; servers without them have no such migration.
    let (flags, options) = unsafe {
        let all = |function: Option<unsafe extern "C" fn() -> c_int>| function.map_or(0, |all| all()) as u32;
        (all(raw::RedisModule_GetContextFlagsAll), all(raw::RedisModule_GetModuleOptionsAll))
    };
    if valkey.is_empty() {
        return 0;
    }
    set_import_flag(flags & FLAG_IMPORT);
    options & OPTION_ATOMIC
}

/// Subscribes to the ends of migrations, where the server has them.
pub fn subscribe(ctx: Ctx<'_>) -> bool {
    // SAFETY: reads a pointer that the server set before it called us.
    let of_redis = unsafe { raw::RedisModule_ClusterCanAccessKeysInSlot };
    let events: &[(u64, raw::RedisModuleEventCallback)] = match (of_redis.is_some(), has_import_flag()) {
        (true, _) => &[
            (raw::REDISMODULE_EVENT_CLUSTER_SLOT_MIGRATION, Some(changed)),
            (raw::REDISMODULE_EVENT_CLUSTER_SLOT_MIGRATION_TRIM, Some(trimmed)),
        ],
        (false, false) => &[],
        (false, true) => &[(EVENT_VALKEY, Some(changed_valkey))],
    };
    events.iter().all(|(id, callback)| to_event(ctx, *id, *callback))
}

/// Some subevents come in the process that copies the keys: nothing is done there.
unsafe extern "C" fn changed(ctx: *mut raw::RedisModuleCtx, _: raw::RedisModuleEvent, sub: u64, _: *mut c_void) {
    let ends = [
        raw::REDISMODULE_SUBEVENT_CLUSTER_SLOT_MIGRATION_IMPORT_COMPLETED,
        raw::REDISMODULE_SUBEVENT_CLUSTER_SLOT_MIGRATION_IMPORT_FAILED,
        raw::REDISMODULE_SUBEVENT_CLUSTER_SLOT_MIGRATION_MIGRATE_COMPLETED,
    ];
    if ends.map(u64::from).contains(&sub) {
        // SAFETY: the context of this callback, used within it.
        look_around(unsafe { Ctx::new(ctx) });
    }
}

unsafe extern "C" fn trimmed(ctx: *mut raw::RedisModuleCtx, _: raw::RedisModuleEvent, _: u64, _: *mut c_void) {
    // SAFETY: the context of this callback, used within it.
    look_around(unsafe { Ctx::new(ctx) });
}

unsafe extern "C" fn changed_valkey(ctx: *mut raw::RedisModuleCtx, _: raw::RedisModuleEvent, sub: u64, _: *mut c_void) {
    if VALKEY_ENDS.contains(&sub) {
        // SAFETY: the context of this callback, used within it.
        look_around(unsafe { Ctx::new(ctx) });
    }
}

/// Whoever waits for a value that is not this node's any more is sent away. All deadlines are looked at: those of a
/// slot that has become this node's are met, those of values that are gone are forgotten.
fn look_around(ctx: Ctx<'_>) {
    waiters::leave_moved(ctx);
    deadlines::look_at_all();
}
