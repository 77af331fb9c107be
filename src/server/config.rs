//! `CONFIG SET holdfast.*`. None of it changes what a replica computes: what matters there travels with the command.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};

use redis_module::raw;

use super::ctx::{Ctx, api};
use holdfast_engine::base::units::Ms;

/// The value behind `holdfast.sweep-slice`.
static SWEEP_SLICE: AtomicI64 = AtomicI64::new(SWEEP_SLICE_DEFAULT);

/// Records and items of due work in one slice, an entry that is written counted as three. At about a microsecond each:
/// two milliseconds.
const SWEEP_SLICE_DEFAULT: i64 = 2_000;

/// The smallest slice that still makes progress.
const SWEEP_SLICE_MIN: i64 = 1;

/// The largest slice: a tenth of a second or so, for those who want it.
const SWEEP_SLICE_MAX: i64 = 100_000;

/// The value behind `holdfast.sample-ms`.
static SAMPLE_MS: AtomicI64 = AtomicI64::new(SAMPLE_MS_DEFAULT);

/// Between two samples of a store, milliseconds.
const SAMPLE_MS_DEFAULT: i64 = 1_000;

/// The longest time between two samples, milliseconds: an hour.
const SAMPLE_MS_MAX: i64 = 3_600_000;

/// The value behind `holdfast.timeseries`.
static TIMESERIES: AtomicI32 = AtomicI32::new(TimeSeries::Auto as i32);

/// Whether samples go to RedisTimeSeries too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSeries {
    Off,
    /// Where it is loaded.
    Auto,
    /// Always: where it is not loaded, the log says so.
    On,
}

impl TimeSeries {
    const NAMES: [&'static CStr; 3] = [c"off", c"auto", c"on"];
    const VALUES: [c_int; 3] = [TimeSeries::Off as c_int, TimeSeries::Auto as c_int, TimeSeries::On as c_int];
}

/// Whether samples go to RedisTimeSeries too.
pub fn timeseries() -> TimeSeries {
    match TIMESERIES.load(Ordering::Relaxed) {
        value if value == TimeSeries::Off as c_int => TimeSeries::Off,
        value if value == TimeSeries::On as c_int => TimeSeries::On,
        _ => TimeSeries::Auto,
    }
}

/// Records and items of due work in one slice.
pub fn sweep_slice() -> u64 {
    SWEEP_SLICE.load(Ordering::Relaxed).unsigned_abs()
}

/// Between two samples of a store, milliseconds; none are taken if there is nothing.
pub fn sample_ms() -> Option<Ms> {
    Some(SAMPLE_MS.load(Ordering::Relaxed).unsigned_abs()).filter(|ms| *ms > 0)
}

/// Registers the settings and reads those the server was started with.
pub fn register(ctx: Ctx) -> bool {
    number(ctx, c"sweep-slice", &SWEEP_SLICE, SWEEP_SLICE_MIN, SWEEP_SLICE_MAX)
        && number(ctx, c"sample-ms", &SAMPLE_MS, 0, SAMPLE_MS_MAX)
        && register_timeseries(ctx)
        // SAFETY: called while the module loads, once all settings are registered.
        && unsafe { api!(RedisModule_LoadConfigs(ctx.0)) } == raw::REDISMODULE_OK as c_int
}

/// Registers a number whose value, the default so far, lives in `place`.
fn number(ctx: Ctx, name: &CStr, place: &'static AtomicI64, min: i64, max: i64) -> bool {
    // SAFETY: called while the module loads; what the callbacks are handed lives as long as the process.
    let registered = unsafe {
        api!(RedisModule_RegisterNumericConfig(
            ctx.0,
            name.as_ptr(),
            place.load(Ordering::Relaxed),
            raw::REDISMODULE_CONFIG_DEFAULT,
            min,
            max,
            Some(get_number),
            Some(set_number),
            None,
            std::ptr::from_ref(place).cast_mut().cast(),
        ))
    };
    registered == raw::REDISMODULE_OK as c_int
}

fn register_timeseries(ctx: Ctx) -> bool {
    let mut names = TimeSeries::NAMES.map(CStr::as_ptr);
    // SAFETY: called while the module loads; the server copies names and values.
    let registered = unsafe {
        api!(RedisModule_RegisterEnumConfig(
            ctx.0,
            c"timeseries".as_ptr(),
            TimeSeries::Auto as c_int,
            raw::REDISMODULE_CONFIG_DEFAULT,
            names.as_mut_ptr(),
            TimeSeries::VALUES.as_ptr(),
            TimeSeries::VALUES.len() as c_int,
            Some(get_timeseries),
            Some(set_timeseries),
            None,
            std::ptr::null_mut(),
        ))
    };
    registered == raw::REDISMODULE_OK as c_int
}

extern "C" fn get_timeseries(_: *const c_char, _: *mut c_void) -> c_int {
    TIMESERIES.load(Ordering::Relaxed)
}

extern "C" fn set_timeseries(
    _: *const c_char,
    value: c_int,
    _: *mut c_void,
    _: *mut *mut raw::RedisModuleString,
) -> c_int {
    // The server has checked that it is one of ours.
    TIMESERIES.store(value, Ordering::Relaxed);
    raw::REDISMODULE_OK as c_int
}

extern "C" fn get_number(_: *const c_char, place: *mut c_void) -> i64 {
    // SAFETY: what the setting was registered with.
    unsafe { &*place.cast::<AtomicI64>() }.load(Ordering::Relaxed)
}

extern "C" fn set_number(
    _: *const c_char,
    value: i64,
    place: *mut c_void,
    _: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: what the setting was registered with. The server has checked the range.
    unsafe { &*place.cast::<AtomicI64>() }.store(value, Ordering::Relaxed);
    raw::REDISMODULE_OK as c_int
}
