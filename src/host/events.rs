//! What happens to the server and to keys without a command of the module: loading, promotion, flushes, renames,
//! settings.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

use redis_module::raw;

use super::api::api;
use super::ctx::Ctx;
use super::string::Str;
use super::{callers, deadlines, waiters};

/// What is to be done at an event, beyond what this folder does.
pub struct Hooks {
    /// A data set is about to be replaced by a primary's, or a log's.
    pub load_begins: fn(),
    /// A data set was loaded, or could not be.
    pub load_ends: fn(),
    /// A value may have come to a key by RENAME, MOVE, COPY or RESTORE, one for each type. Nothing may be written in
    /// there.
    pub arrived: &'static [fn(Ctx<'_>, Str<'_>)],
    /// A setting of the server changed.
    pub setting_changed: fn(Ctx<'_>, &CStr),
}

static HOOKS: OnceLock<&'static Hooks> = OnceLock::new();

/// Subscribes to everything that moves a value or decides who acts on deadlines.
pub fn subscribe(ctx: Ctx<'_>, hooks: &'static Hooks) -> bool {
    let _ = HOOKS.set(hooks);
    let events: [(u64, raw::RedisModuleEventCallback); 5] = [
        (raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED, Some(role_changed)),
        (raw::REDISMODULE_EVENT_LOADING, Some(loading)),
        (raw::REDISMODULE_EVENT_FLUSHDB, Some(flushed)),
        (raw::REDISMODULE_EVENT_SWAPDB, Some(swapped)),
        (raw::REDISMODULE_EVENT_CONFIG, Some(settings_changed)),
    ];
    events.into_iter().all(|(id, callback)| to_event(ctx, id, callback)) && to_moves(ctx)
}

/// Subscribes to an event of the server.
pub(super) fn to_event(ctx: Ctx<'_>, id: u64, callback: raw::RedisModuleEventCallback) -> bool {
    let event = raw::RedisModuleEvent { id, dataver: 1 };
    // SAFETY: called while the module loads; the callback is a function of this module, which is never unloaded.
    unsafe { api!(RedisModule_SubscribeToServerEvent(ctx.raw(), event, callback)) == raw::REDISMODULE_OK as c_int }
}

fn to_moves(ctx: Ctx<'_>) -> bool {
    let class = raw::REDISMODULE_NOTIFY_GENERIC;
    // SAFETY: as above.
    let done = unsafe { api!(RedisModule_SubscribeToKeyspaceEvents(ctx.raw(), class as _, Some(key_moved))) };
    done == raw::REDISMODULE_OK as c_int
}

/// A promoted server continues where its primary stopped. One that became a replica serves nobody any more: Valkey, in
/// a cluster, keeps callers of modules blocked, where other servers send them away themselves.
unsafe extern "C" fn role_changed(ctx: *mut raw::RedisModuleCtx, _: raw::RedisModuleEvent, sub: u64, _: *mut c_void) {
    // SAFETY: the context is the callback's.
    let ctx = unsafe { Ctx::new(ctx) };
    if sub == raw::REDISMODULE_EVENT_REPLROLECHANGED_NOW_REPLICA && ctx.flags().cluster() {
        waiters::leave_db(callers::ALL_DBS);
    }
    deadlines::look_at_all();
}

/// No timer fires while loading: what was loaded is armed at its end.
unsafe extern "C" fn loading(ctx: *mut raw::RedisModuleCtx, _: raw::RedisModuleEvent, sub: u64, _: *mut c_void) {
    let over = [raw::REDISMODULE_SUBEVENT_LOADING_ENDED, raw::REDISMODULE_SUBEVENT_LOADING_FAILED];
    let begins = [raw::REDISMODULE_SUBEVENT_LOADING_REPL_START, raw::REDISMODULE_SUBEVENT_LOADING_AOF_START];
    let Some(hooks) = HOOKS.get() else { return };
    if begins.contains(&sub) {
        (hooks.load_begins)();
    }
    if over.contains(&sub) {
        (hooks.load_ends)();
        // SAFETY: the context of this callback, used within it.
        deadlines::arm(unsafe { Ctx::new(ctx) });
    }
}

unsafe extern "C" fn flushed(_: *mut raw::RedisModuleCtx, _: raw::RedisModuleEvent, sub: u64, data: *mut c_void) {
    if sub == raw::REDISMODULE_SUBEVENT_FLUSHDB_START {
        // SAFETY: the server passes this structure with this event.
        let info = unsafe { &*data.cast::<raw::RedisModuleFlushInfoV1>() };
        deadlines::forget_db(info.dbnum);
        waiters::leave_db(info.dbnum);
    }
}

unsafe extern "C" fn swapped(_: *mut raw::RedisModuleCtx, _: raw::RedisModuleEvent, _: u64, data: *mut c_void) {
    // SAFETY: the server passes this structure with this event.
    let info = unsafe { &*data.cast::<raw::RedisModuleSwapDbInfoV1>() };
    deadlines::swap_dbs(info.dbnum_first, info.dbnum_second);
    // Whoever waits named a database: what is there now is something else.
    waiters::leave_db(info.dbnum_first);
    waiters::leave_db(info.dbnum_second);
}

unsafe extern "C" fn settings_changed(
    ctx: *mut raw::RedisModuleCtx,
    _: raw::RedisModuleEvent,
    _: u64,
    data: *mut c_void,
) {
    let Some(hooks) = HOOKS.get() else { return };
    // SAFETY: the server passes this structure with this event: a number of names, each a C string. The context is the
    // one of this callback, used within it.
    let (ctx, names) = unsafe {
        let change = &*data.cast::<raw::RedisModuleConfigChangeV1>();
        (Ctx::new(ctx), std::slice::from_raw_parts(change.config_names, change.num_changes as usize))
    };
    for name in names {
        // SAFETY: as above.
        (hooks.setting_changed)(ctx, unsafe { CStr::from_ptr(*name) });
    }
}

unsafe extern "C" fn key_moved(
    ctx: *mut raw::RedisModuleCtx,
    _: c_int,
    event: *const c_char,
    key: *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: the server passes a C string.
    let event = unsafe { CStr::from_ptr(event) };
    if [c"rename_to", c"move_to", c"copy_to", c"restore"].contains(&event) {
        // SAFETY: context and name live for this callback.
        let (ctx, name) = unsafe { (Ctx::new(ctx), Str::new(key)) };
        HOOKS.get().into_iter().flat_map(|hooks| hooks.arrived).for_each(|arrived| arrived(ctx, name));
    }
    raw::REDISMODULE_OK as c_int
}
