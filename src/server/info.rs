//! `INFO holdfast`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CString, c_int};

use redis_module::raw;

use super::config;
use super::ctx::{Ctx, api};
use super::{deadlines, eviction, tally, timeseries};

thread_local! {
    /// Refused writes since the module was loaded, by code. They are this server's alone: nothing of them is replicated.
    static REFUSALS: RefCell<BTreeMap<String, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Counts a refusal by the first word of its text.
pub fn count_refusal(text: &str) {
    let code = text.split(' ').next().unwrap_or_default();
    REFUSALS.with_borrow_mut(|refusals| match refusals.get_mut(code) {
        Some(count) => *count += 1,
        None => drop(refusals.insert(code.to_owned(), 1)),
    });
}

/// Registers the section.
pub fn register(ctx: Ctx) -> bool {
    // SAFETY: called while the module loads.
    unsafe { api!(RedisModule_RegisterInfoFunc(ctx.0, Some(info))) == raw::REDISMODULE_OK as c_int }
}

extern "C" fn info(ctx: *mut raw::RedisModuleInfoCtx, for_crash_report: c_int) {
    // SAFETY: the server passes a live context; the names are C strings.
    unsafe {
        api!(RedisModule_InfoAddSection(ctx, c"stores".as_ptr()));
    }
    let (stores_due, next_due, sweeps) = deadlines::info();
    field(ctx, "stores_with_deadlines", stores_due);
    field(ctx, "next_due", next_due);
    field(ctx, "sweeps", sweeps);
    field(ctx, "sweep_slice", config::sweep_slice());
    field(ctx, "eviction_risk", eviction::risk());
    totals(ctx);
    if for_crash_report != 0 {
        return;
    }
    // SAFETY: as above.
    unsafe {
        api!(RedisModule_InfoAddSection(ctx, c"refusals".as_ptr()));
    }
    REFUSALS.with_borrow(|refusals| {
        for (code, count) in refusals {
            field(ctx, &code.to_lowercase(), *count);
        }
    });
}

/// Sums over all stores, as of their last samples, and how RedisTimeSeries takes them.
fn totals(ctx: *mut raw::RedisModuleInfoCtx) {
    // SAFETY: the context is live, the name a C string.
    unsafe {
        api!(RedisModule_InfoAddSection(ctx, c"totals".as_ptr()));
    }
    let (stores, sums) = tally::totals();
    field(ctx, "stores", stores);
    sums.for_each(|(name, sum)| field(ctx, &name.replace('-', "_"), sum));
    let series = timeseries::done();
    field(ctx, "timeseries_loaded", u64::from(series.loaded));
    field(ctx, "timeseries_written", series.written);
    field(ctx, "timeseries_errors", series.errors);
}

fn field(ctx: *mut raw::RedisModuleInfoCtx, name: &str, value: u64) {
    let name = CString::new(name).unwrap_or_default();
    // SAFETY: the context is live, the name is copied.
    unsafe {
        api!(RedisModule_InfoAddFieldULongLong(ctx, name.as_ptr(), value));
    }
}
