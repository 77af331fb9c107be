//! What happens to the server and to keys behind the module's back: loading, promotion, flushes, renames.

use std::ffi::{CStr, c_char, c_int, c_void};

use redis_module::raw;

use super::ctx::{Ctx, Str, api};
use super::deadlines;
use super::keys::{Key, note_arrival};
use super::value::forget_pieces;
use super::{line, locks};

/// Subscribes to everything that moves a store or decides who acts on deadlines.
pub fn subscribe(ctx: Ctx) -> bool {
    let events: [(u64, raw::RedisModuleEventCallback); 4] = [
        (raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED, Some(role_changed)),
        (raw::REDISMODULE_EVENT_LOADING, Some(loading)),
        (raw::REDISMODULE_EVENT_FLUSHDB, Some(flushed)),
        (raw::REDISMODULE_EVENT_SWAPDB, Some(swapped)),
    ];
    let subscribed = events.into_iter().all(|(id, callback)| {
        let event = raw::RedisModuleEvent { id, dataver: 1 };
        // SAFETY: called while the module loads; the callbacks are functions of this module.
        unsafe { api!(RedisModule_SubscribeToServerEvent(ctx.0, event, callback)) == raw::REDISMODULE_OK as c_int }
    });
    // SAFETY: as above.
    subscribed
        && unsafe {
            api!(RedisModule_SubscribeToKeyspaceEvents(ctx.0, raw::REDISMODULE_NOTIFY_GENERIC, Some(key_moved)))
        } == raw::REDISMODULE_OK as c_int
}

/// A promoted server goes on where its primary left off.
extern "C" fn role_changed(_: *mut raw::RedisModuleCtx, _: raw::RedisModuleEvent, _: u64, _: *mut c_void) {
    deadlines::look_at_all();
}

/// No timer fires while loading: what was loaded is armed at its end.
extern "C" fn loading(ctx: *mut raw::RedisModuleCtx, _: raw::RedisModuleEvent, sub: u64, _: *mut c_void) {
    let over = [raw::REDISMODULE_SUBEVENT_LOADING_ENDED, raw::REDISMODULE_SUBEVENT_LOADING_FAILED];
    let begins = [raw::REDISMODULE_SUBEVENT_LOADING_REPL_START, raw::REDISMODULE_SUBEVENT_LOADING_AOF_START];
    if begins.contains(&sub) {
        locks::forget_floor();
    }
    if over.contains(&sub) {
        forget_pieces();
        // SAFETY: the context of this callback, used within it.
        deadlines::arm(unsafe { Ctx::new(ctx) });
    }
}

extern "C" fn flushed(_: *mut raw::RedisModuleCtx, _: raw::RedisModuleEvent, sub: u64, data: *mut c_void) {
    if sub == raw::REDISMODULE_SUBEVENT_FLUSHDB_START {
        // SAFETY: the server passes this structure with this event.
        let info = unsafe { &*data.cast::<raw::RedisModuleFlushInfoV1>() };
        deadlines::forget_db(info.dbnum);
        line::leave_db(info.dbnum);
    }
}

extern "C" fn swapped(_: *mut raw::RedisModuleCtx, _: raw::RedisModuleEvent, _: u64, data: *mut c_void) {
    // SAFETY: the server passes this structure with this event.
    let info = unsafe { &*data.cast::<raw::RedisModuleSwapDbInfoV1>() };
    deadlines::swap_dbs(info.dbnum_first, info.dbnum_second);
    // Who waits named a database: what is there now is something else.
    line::leave_db(info.dbnum_first);
    line::leave_db(info.dbnum_second);
}

/// A store that was renamed, moved, copied or restored is registered under its new name. Nothing is written in here.
extern "C" fn key_moved(
    ctx: *mut raw::RedisModuleCtx,
    _: c_int,
    event: *const c_char,
    key: *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: the server passes a C string.
    let event = unsafe { CStr::from_ptr(event) };
    if ![c"rename_to", c"move_to", c"copy_to", c"restore"].contains(&event) {
        return raw::REDISMODULE_OK as c_int;
    }
    // SAFETY: context and name live for this callback.
    let (ctx, name) = unsafe { (Ctx::new(ctx), Str(key)) };
    if let Some(key) = Key::open(ctx, name, false) {
        // SAFETY: the only reference to the store in this callback.
        if let Some(value) = unsafe { key.store() } {
            note_arrival(ctx, name, value);
            deadlines::note(ctx.db(), name, value);
            drop(key);
            deadlines::arm(ctx);
        } else if locks::moved(ctx, name, &key) {
            drop(key);
            deadlines::arm(ctx);
        }
    }
    raw::REDISMODULE_OK as c_int
}
