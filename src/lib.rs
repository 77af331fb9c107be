//! Holdfast: a Redis module for a shop's busiest minute. One key of type `holdstore` owns stock, holds, orders and
//! their queue, and every command changes them together, atomically.
//!
//! This file is the table of contents: what the server knows of the module once it has loaded it. What imports what is
//! downwards only, and `cargo test` checks it:
//! - [`commands`]: arguments → engine → reply, a file a family; [`commands::TABLE`] is the list of them
//! - [`store`], [`lock`]: the two types of keys as the server sees them
//! - [`host`]: the server, which knows no shop; the only unsafe code
//! - [`holdfast_engine`]: what everything means

#[forbid(unsafe_code)]
mod commands;
mod host;
#[forbid(unsafe_code)]
mod lock;
#[forbid(unsafe_code)]
mod store;
#[cfg(test)]
mod tests;

use host::events::Hooks;
use host::memory::ServerAlloc;
use host::turn::Tick;
use host::{Ctx, callbacks, deadlines, events, free, info, migration, register, table, turn, waiters};
use lock::value::LockValue;
use redis_module::{Context, RedisString, Status, redis_module};
use store::value::StoreValue;

/// The version MODULE LIST shows: 10000 × major + 100 × minor + patch.
const VERSION: i32 = 100;

/// What works without a command, in this order. Callers who wait come last: what the others made available is handed
/// out in the same turn.
static TICKS: &[Tick] = &[
    Tick { run: deadlines::tick, next: deadlines::next_tick },
    Tick { run: store::slices::tick, next: store::slices::next_tick },
    Tick { run: waiters::tick, next: waiters::next_tick },
];

/// Who does what is due, by the type of the key.
static DUE: &[deadlines::Handler] = &[store::due::handle, lock::due::handle];

static HOOKS: Hooks = Hooks {
    load_begins: lock::value::forget_floor,
    load_ends: store::saved::forget_pieces,
    arrived: &[store::saved::arrived, lock::value::arrived],
    setting_changed: store::eviction::setting_changed,
};

/// Registers everything, in the order in which it needs each other.
fn load(context: &Context, _: &[RedisString]) -> Status {
    // SAFETY: the context of the load callback, used within it.
    let ctx = unsafe { Ctx::new(context.ctx) };
    log_panics();
    if !register::check_api(ctx) {
        return Status::Err;
    }
    register::set_options(ctx, migration::options(ctx));
    register::category(ctx);
    deadlines::start(DUE);
    free::start();
    let loaded = callbacks::register::<StoreValue>(ctx)
        && callbacks::register::<LockValue>(ctx)
        && table::register(ctx, commands::TABLE, |call, refusal| {
            store::write::count_refusal(call, refusal);
        })
        && store::config::register(ctx)
        && info::register(ctx, store::info::SECTIONS)
        && events::subscribe(ctx, &HOOKS)
        && migration::subscribe(ctx)
        && turn::start(ctx, TICKS);
    if loaded {
        store::eviction::look(ctx);
    }
    if loaded { Status::Ok } else { Status::Err }
}

/// A panic ends the server: the log then says where it came from.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("holdfast {}: {panic}", env!("CARGO_PKG_VERSION"));
    }));
}

redis_module! {
    name: "holdfast",
    version: VERSION,
    allocator: (ServerAlloc, ServerAlloc),
    data_types: [],
    init: load,
    commands: [],
}
