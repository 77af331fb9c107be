//! The settings `holdfast.*`. None of them changes what a replica computes: what matters there travels with the
//! command.

use std::ffi::CStr;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};

use crate::host::config::{choice, load, number};
use crate::host::{Ctx, Host};
use holdfast_engine::base::units::Ms;

const NAME_OF_SWEEP_SLICE: &CStr = c"sweep-slice";

/// The value behind `holdfast.sweep-slice`.
static SWEEP_SLICE: AtomicI64 = AtomicI64::new(SWEEP_SLICE_DEFAULT);

/// Records and items of due work in one slice, an entry that is written counted as three. At up to a microsecond each:
/// half a millisecond, so that a turn, which does slices until its time is over, is not much longer than it may be.
const SWEEP_SLICE_DEFAULT: i64 = 500;

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

/// The value behind `holdfast.timeseries`: a position in [`TimeSeries::NAMES`].
static TIMESERIES: AtomicI32 = AtomicI32::new(TimeSeries::Auto as i32);

/// Whether samples are written to RedisTimeSeries too.
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
}

/// Whether samples are written to RedisTimeSeries too.
pub fn timeseries() -> TimeSeries {
    match TIMESERIES.load(Ordering::Relaxed) {
        value if value == TimeSeries::Off as i32 => TimeSeries::Off,
        value if value == TimeSeries::On as i32 => TimeSeries::On,
        _ => TimeSeries::Auto,
    }
}

/// Records and items of due work in one slice.
pub fn sweep_slice() -> u64 {
    SWEEP_SLICE.load(Ordering::Relaxed).unsigned_abs()
}

/// The same on a server, which may be a simulated one.
pub fn sweep_slice_of(host: impl Host) -> u64 {
    host.setting(NAME_OF_SWEEP_SLICE, &SWEEP_SLICE).unsigned_abs()
}

/// Between two samples, milliseconds; none are taken if this is none.
pub fn sample_ms() -> Option<Ms> {
    Some(SAMPLE_MS.load(Ordering::Relaxed).unsigned_abs()).filter(|ms| *ms > 0)
}

/// Registers the settings and reads those that the server was started with.
pub fn register(ctx: Ctx<'_>) -> bool {
    number(ctx, NAME_OF_SWEEP_SLICE, &SWEEP_SLICE, SWEEP_SLICE_MIN, SWEEP_SLICE_MAX)
        && number(ctx, c"sample-ms", &SAMPLE_MS, 0, SAMPLE_MS_MAX)
        && choice(ctx, c"timeseries", &TIMESERIES, TimeSeries::NAMES)
        && load(ctx)
}
