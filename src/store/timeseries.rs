//! Samples in RedisTimeSeries, where that module is loaded: `{popup}:ts:placed` and so on, labels `store` and `metric`.
//!
//! Written in the turn of the sample, by the primary alone, once a second a store at most: never with an order.
//! Whatever is wrong in there is counted (`INFO holdfast`) and written to the log once; a sale does not notice it.

use std::cell::RefCell;
use std::ffi::CStr;

use super::config::{self, TimeSeries};
use crate::host::query::{Manner, Reply, ask};
use crate::host::slot::with_suffix;
use crate::host::{Ctx, OwnStr, Str};
use holdfast_engine::base::units::Ms;
use holdfast_engine::terms::metrics::{METRICS, Sample};

/// How long a series keeps its numbers, milliseconds: a week. TS.ALTER changes it, this is for a series that is made.
const RETENTION_MS: &[u8] = b"604800000";

/// errno of RM_Call for a command the server does not know.
const ENOENT: i32 = 2;

/// What was done since the module was loaded.
#[derive(Clone, Copy, Default)]
pub struct Done {
    /// Whether RedisTimeSeries answered the last time it was asked.
    pub loaded: bool,
    /// Numbers it took.
    pub written: u64,
    /// Numbers it did not take.
    pub errors: u64,
}

thread_local! {
    /// Used by the timer and by INFO, on the main thread.
    static DONE: RefCell<Done> = const { RefCell::new(Done { loaded: false, written: 0, errors: 0 }) };
}

/// What was done so far.
pub fn done() -> Done {
    DONE.with_borrow(|done| *done)
}

/// Hands a sample on.
pub fn write(ctx: Ctx<'_>, store_key: Str<'_>, at: Ms, sample: &Sample) {
    let wanted = config::timeseries();
    if wanted == TimeSeries::Off {
        return;
    }
    let numbers = Numbers::new(store_key, at, sample);
    match numbers.add_all(ctx) {
        Ok(missing) => {
            let made = missing.iter().filter(|at| numbers.make(ctx, store_key, **at)).count();
            count(ctx, METRICS.len() - missing.len() + made, missing.len() - made);
        }
        Err(Away::Unknown) => {
            DONE.with_borrow_mut(|done| done.loaded = false);
            if wanted == TimeSeries::On {
                count(ctx, 0, METRICS.len());
            }
        }
        Err(Away::Refused) => count(ctx, 0, METRICS.len()),
    }
}

fn count(ctx: Ctx<'_>, written: usize, errors: usize) {
    let first = DONE.with_borrow_mut(|done| {
        let first = done.errors == 0 && errors > 0;
        done.loaded |= written > 0;
        done.written += written as u64;
        done.errors += errors as u64;
        first
    });
    if first {
        ctx.warn("RedisTimeSeries did not take all numbers of a sample; see timeseries_errors in INFO holdfast");
    }
}

/// Why RedisTimeSeries took nothing at all.
enum Away {
    /// The server does not know its commands.
    Unknown,
    /// It may not be called, or it is full.
    Refused,
}

/// The words of a TS.MADD: key, time and number of every series.
struct Numbers {
    keys: Vec<OwnStr>,
    at: OwnStr,
    values: Vec<OwnStr>,
}

impl Numbers {
    fn new(store_key: Str<'_>, at: Ms, sample: &Sample) -> Self {
        let keys =
            METRICS.iter().map(|metric| with_suffix(store_key.bytes(), &[b":ts:", metric.name.as_bytes()])).collect();
        Numbers { keys, at: OwnStr::number(at), values: sample.0.iter().map(|n| OwnStr::number(*n)).collect() }
    }

    /// Adds all numbers in one call; the positions of those that were not taken: at first, their series are not there.
    fn add_all(&self, ctx: Ctx<'_>) -> Result<Vec<usize>, Away> {
        let words: Vec<Str<'_>> = self
            .keys
            .iter()
            .zip(&self.values)
            .flat_map(|(key, value)| [key.get(), self.at.get(), value.get()])
            .collect();
        let reply = call(ctx, c"TS.MADD", &words)?;
        let taken = |at: usize| reply.part(at).is_some_and(|part| part.integer().is_some());
        Ok((0..METRICS.len()).filter(|at| !taken(*at)).collect())
    }

    /// Makes the series at a position and adds its number; whether that succeeded.
    fn make(&self, ctx: Ctx<'_>, store_key: Str<'_>, at: usize) -> bool {
        let metric = OwnStr::new(METRICS[at].name.as_bytes());
        let words = [&b"RETENTION"[..], RETENTION_MS, b"DUPLICATE_POLICY", b"LAST", b"LABELS", b"store", b"metric"];
        let [retention, ms, policy, last, labels, store_label, metric_label] = words.map(OwnStr::new);
        let (key, value) = (self.keys[at].get(), self.values[at].get());
        let create = [
            key,
            retention.get(),
            ms.get(),
            policy.get(),
            last.get(),
            labels.get(),
            store_label.get(),
            store_key,
            metric_label.get(),
            metric.get(),
        ];
        let did = |command, words: &[Str<'_>]| call(ctx, command, words).is_ok_and(|reply| !reply.is_error());
        did(c"TS.CREATE", &create) && did(c"TS.ADD", &[key, self.at.get(), value])
    }
}

/// Calls a command, replicated as it is, within the memory the server may use.
fn call<'a>(ctx: Ctx<'a>, command: &CStr, words: &[Str<'_>]) -> Result<Reply<'a>, Away> {
    ask(ctx, command, Manner::REPLICATED, words).map_err(|errno| match errno {
        Some(ENOENT) => Away::Unknown,
        _ => Away::Refused,
    })
}
