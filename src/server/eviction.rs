//! Eviction policies that could throw stores away: a warning in the log, a field of `INFO holdfast`.
//!
//! A store is one key. With an `allkeys-*` policy the server deletes it, with every order in it, once `maxmemory` is
//! reached. `volatile-*` policies spare it as long as nobody gives it a TTL.

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

use redis_module::raw;

use super::ctx::{Ctx, api};

/// The policies that evict any key begin with this; which key goes first is the rest of the name.
const ANY_KEY: &[u8] = b"allkeys-";

/// How far stores are from being evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Risk {
    /// The policy spares them.
    None = 0,
    /// They are, once `maxmemory` is set.
    Dormant = 1,
    /// They are, once `maxmemory` is reached.
    Active = 2,
}

/// The risk as `INFO holdfast` shows it.
static RISK: AtomicU64 = AtomicU64::new(Risk::None as u64);

/// The risk, for INFO: 0 none, 1 an `allkeys-*` policy without `maxmemory`, 2 with it.
pub fn risk() -> u64 {
    RISK.load(Ordering::Relaxed)
}

/// Looks at the settings now and whenever they change.
pub fn watch(ctx: Ctx) -> bool {
    look(ctx);
    let event = raw::RedisModuleEvent { id: raw::REDISMODULE_EVENT_CONFIG, dataver: 1 };
    // SAFETY: called while the module loads; the callback is a function of this module.
    let subscribed = unsafe { api!(RedisModule_SubscribeToServerEvent(ctx.0, event, Some(changed))) };
    subscribed == raw::REDISMODULE_OK as i32
}

extern "C" fn changed(ctx: *mut raw::RedisModuleCtx, _: raw::RedisModuleEvent, _: u64, data: *mut c_void) {
    // SAFETY: the server passes this structure with this event: so many names, each a C string. The context is the one of
    // this callback, used within it.
    let (ctx, ours) = unsafe {
        let change = &*data.cast::<raw::RedisModuleConfigChangeV1>();
        let names = std::slice::from_raw_parts(change.config_names, change.num_changes as usize);
        let ours = |name: &*const c_char| CStr::from_ptr(*name).to_bytes().starts_with(b"maxmemory");
        (Ctx::new(ctx), names.iter().any(ours))
    };
    if ours {
        look(ctx);
    }
}

/// Notes the risk, and warns of one that is new.
fn look(ctx: Ctx) {
    let [policy, limit] = ctx.server_info(c"memory", [c"maxmemory_policy", c"maxmemory"]);
    let limited = limit != b"0";
    let risk = match (policy.starts_with(ANY_KEY), limited) {
        (false, _) => Risk::None,
        (true, false) => Risk::Dormant,
        (true, true) => Risk::Active,
    };
    if RISK.swap(risk as u64, Ordering::Relaxed) == risk as u64 || risk == Risk::None {
        return;
    }
    let when = if limited { "maxmemory is reached" } else { "maxmemory is set and reached" };
    ctx.warn(&format!(
        "maxmemory-policy is {}: once {when}, the server deletes whole stores with all their orders. \
         Set it to noeviction, or to a volatile- policy",
        policy.escape_ascii()
    ));
}
