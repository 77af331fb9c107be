//! Holdfast: a Redis module for a shop's busiest minute. One key of type `holdstore` owns stock, holds, orders and their
//! queue, and every command changes them together, atomically.
//!
//! This file is the table of contents: what the server is told when it loads the module.
//! - [`commands::TABLE`]: the commands, a file a family under `commands/`
//! - [`server::value`]: the key's type, its persistence
//! - [`server::locks`]: the other type, for LOCK.*
//! - [`server::config`]: the settings `holdfast.*`
//! - [`server::info`]: `INFO holdfast`
//! - [`server::events`], [`server::deadlines`]: what happens without a command
//! - [`server::migration`]: slots that move to another node of a cluster at once
//! - [`server::eviction`]: a warning of eviction policies that could delete stores
//! - [`holdfast_engine`]: what everything means

mod commands;
mod server;

use redis_module::{Context, RedisString, Status, redis_module};
use server::memory::ServerAlloc;
use server::{Ctx, config, events, eviction, info, locks, migration, register, table, turn, value};

/// The version MODULE LIST shows: 10000 × major + 100 × minor + patch.
const VERSION: i32 = 100;

/// Registers everything, in the order in which it needs each other.
fn load(context: &Context, _: &[RedisString]) -> Status {
    // SAFETY: the context of the load callback, used within it.
    let ctx = unsafe { Ctx::new(context.ctx) };
    log_panics();
    if !register::check_api(ctx) {
        return Status::Err;
    }
    register::set_options(ctx);
    register::category(ctx);
    let loaded = value::register(ctx)
        && locks::register(ctx)
        && table::register(ctx, commands::TABLE)
        && config::register(ctx)
        && info::register(ctx)
        && events::subscribe(ctx)
        && eviction::watch(ctx)
        && migration::subscribe(ctx)
        && turn::start(ctx);
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
