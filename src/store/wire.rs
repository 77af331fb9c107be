//! What a store's primary sends its replicas and its log in addition to clients' commands, within
//! [`crate::host::replicate`]: SWEEP, SAMPLE, TAKEBACK, REENTRY, REMOVED; and LOAD, which a rewritten log has.

use std::ffi::CStr;

use crate::host::{Host, OwnStr, Str};
use holdfast_engine::base::units::Ms;
use holdfast_engine::terms::metrics::Refused;
use holdfast_engine::terms::refusal::Code;
use holdfast_engine::terms::streams::EntryId;

/// `SWEEP budget`: do what is due, about `budget` records of it.
pub const SWEEP: &CStr = c"SWEEP";

/// `SAMPLE [code count …]`: take a sample; by code, how many calls were refused since the last one.
pub const SAMPLE: &CStr = c"SAMPLE";

/// `TAKEBACK order token`: a caller went away before it got the order it was handed.
pub const TAKE_BACK: &CStr = c"TAKEBACK";

/// `REENTRY stream order ms seq [value …]`: an entry got another id than the engine gave it, or was written back. An
/// entry that is no order's carries its values: nothing else knows them any more.
pub const REENTRY: &CStr = c"REENTRY";

/// `REMOVED stream ms seq [ms seq …]`: entries that belonged to nothing were removed from a stream.
pub const REMOVED: &CStr = c"REMOVED";

/// `LOAD piece`: a piece of a whole store, in a rewritten log.
pub const LOAD: &CStr = c"LOAD";

/// Replicates a slice of due work.
pub fn replicate_sweep(host: impl Host, key: Str<'_>, stamp: Ms, budget: u64) {
    host.replicate(key, stamp, SWEEP, &[OwnStr::number(budget).get()]);
}

/// Replicates a sample, with what was refused since the last one.
pub fn replicate_sample(host: impl Host, key: Str<'_>, stamp: Ms, refused: &Refused) {
    let counted = Code::ALL.iter().map(|code| code.metric()).zip(refused.0).filter(|(_, count)| *count > 0);
    let words: Vec<_> =
        counted.flat_map(|(name, count)| [OwnStr::new(name.as_bytes()), OwnStr::number(count)]).collect();
    let words: Vec<_> = words.iter().map(OwnStr::get).collect();
    host.replicate(key, stamp, SAMPLE, &words);
}

/// What a REENTRY says: an entry has another id than the engine gave it.
pub struct Reentry<'a> {
    /// The stream's name ([`super::fields::kind_name`]).
    pub stream: &'a CStr,
    /// The order's id; empty for an entry that is no order's, which has values.
    pub order: &'a [u8],
    pub id: EntryId,
    pub values: &'a [Str<'a>],
}

/// Replicates a REENTRY.
pub fn replicate_reentry(host: impl Host, key: Str<'_>, stamp: Ms, entry: &Reentry<'_>) {
    let (stream, order) = (OwnStr::new(entry.stream.to_bytes()), OwnStr::new(entry.order));
    let (ms, seq) = (OwnStr::number(entry.id.ms), OwnStr::number(u64::from(entry.id.seq)));
    let head = [&stream, &order, &ms, &seq].map(OwnStr::get);
    let words: Vec<_> = head.iter().chain(entry.values).copied().collect();
    host.replicate(key, stamp, REENTRY, &words);
}
