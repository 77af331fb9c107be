//! Eviction policies that could throw stores away: a warning in the log, a field of `INFO holdfast`.
//!
//! A store is one key. With an `allkeys-*` policy the server deletes it, with every order in it, once `maxmemory` is
//! reached. `volatile-*` policies spare it as long as nobody gives it a TTL.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::host::Ctx;

/// The policies that evict any key begin with this; which key is evicted first is the rest of the name.
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

/// A setting of the server changed.
pub fn setting_changed(ctx: Ctx<'_>, name: &CStr) {
    if name.to_bytes().starts_with(b"maxmemory") {
        look(ctx);
    }
}

/// Notes the risk as it is now, and warns of one that is new.
pub fn look(ctx: Ctx<'_>) {
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
