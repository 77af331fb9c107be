//! Samples in RedisTimeSeries, where that module is loaded: `{popup}:ts:placed` and so on, labels `store` and `metric`.
//!
//! Written in the turn of the sample, by the primary alone, once a second a store at most: never with an order. Whatever
//! goes wrong in there is counted (`INFO holdfast`) and told to the log once; a sale never hears of it.

use std::cell::RefCell;
use std::ffi::{CStr, c_int};

use redis_module::raw;

use super::config::{self, TimeSeries};
use super::ctx::{Ctx, OwnStr, Str, api};
use super::keys::beside;
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

/// Hands a sample on; whether there was anybody to take it.
pub fn write(ctx: Ctx, store_key: Str, at: Ms, sample: &Sample) -> bool {
    let wanted = config::timeseries();
    if wanted == TimeSeries::Off {
        return false;
    }
    let numbers = Numbers::new(store_key, at, sample);
    match numbers.add_all(ctx) {
        Ok(missing) => {
            let made = missing.iter().filter(|place| numbers.make(ctx, store_key, **place)).count();
            count(ctx, METRICS.len() - missing.len() + made, missing.len() - made);
            true
        }
        Err(Away::Unknown) => {
            let was_loaded = DONE.with_borrow_mut(|done| std::mem::replace(&mut done.loaded, false));
            if wanted == TimeSeries::On {
                count(ctx, 0, METRICS.len());
            }
            was_loaded
        }
        Err(Away::Refused) => {
            count(ctx, 0, METRICS.len());
            true
        }
    }
}

fn count(ctx: Ctx, written: usize, errors: usize) {
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
    fn new(store_key: Str, at: Ms, sample: &Sample) -> Self {
        let number = |n: u64| OwnStr::new(itoa::Buffer::new().format(n).as_bytes());
        let keys = METRICS.iter().map(|metric| beside(store_key.bytes(), &[b":ts:", metric.name.as_bytes()])).collect();
        Numbers { keys, at: number(at), values: sample.0.iter().map(|n| number(*n)).collect() }
    }

    /// Adds all numbers in one call; the places of those that were not taken: at first, their series are not there.
    fn add_all(&self, ctx: Ctx) -> Result<Vec<usize>, Away> {
        let words: Vec<Str> = self
            .keys
            .iter()
            .zip(&self.values)
            .flat_map(|(key, value)| [key.get(), self.at.get(), value.get()])
            .collect();
        let reply = call(ctx, c"TS.MADD", &words)?;
        // SAFETY: the parts belong to the reply, which lives until the end of this function.
        let taken = |place: usize| unsafe {
            let part = api!(RedisModule_CallReplyArrayElement(reply.0, place));
            !part.is_null() && api!(RedisModule_CallReplyType(part)) == raw::REDISMODULE_REPLY_INTEGER as c_int
        };
        Ok((0..METRICS.len()).filter(|place| !taken(*place)).collect())
    }

    /// Makes the series at a place and adds its number; whether that went well.
    fn make(&self, ctx: Ctx, store_key: Str, place: usize) -> bool {
        let metric = OwnStr::new(METRICS[place].name.as_bytes());
        let words = [&b"RETENTION"[..], RETENTION_MS, b"DUPLICATE_POLICY", b"LAST", b"LABELS", b"store", b"metric"];
        let [retention, ms, policy, last, labels, store_label, metric_label] = words.map(OwnStr::new);
        let (key, value) = (self.keys[place].get(), self.values[place].get());
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
        let did = |command, words: &[Str]| call(ctx, command, words).is_ok_and(|reply| !reply.is_error());
        did(c"TS.CREATE", &create) && did(c"TS.ADD", &[key, self.at.get(), value])
    }
}

/// A reply of a command, freed when it goes.
struct Reply(*mut raw::RedisModuleCallReply);

impl Reply {
    fn is_error(&self) -> bool {
        // SAFETY: the reply is live.
        unsafe { api!(RedisModule_CallReplyType(self.0)) == raw::REDISMODULE_REPLY_ERROR as c_int }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // SAFETY: the reply is ours, freed once.
        unsafe { api!(RedisModule_FreeCallReply(self.0)) }
    }
}

/// Calls a command, replicated as it is, within the memory the server may use.
fn call(ctx: Ctx, command: &CStr, words: &[Str]) -> Result<Reply, Away> {
    // SAFETY: the format takes a vector of strings with its length; `Str` is the pointer the server wants.
    let reply =
        unsafe { api!(RedisModule_Call(ctx.0, command.as_ptr(), c"!Mv".as_ptr(), words.as_ptr(), words.len())) };
    if !reply.is_null() {
        return Ok(Reply(reply));
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(ENOENT) => Err(Away::Unknown),
        _ => Err(Away::Refused),
    }
}
