//! `INFO holdfast`: what it says of stores.

use super::{config, due, eviction, sums, timeseries};
use crate::host::info::{Fields, REFUSED, Section};
use crate::host::{deadlines, turn};

/// The sections.
pub static SECTIONS: &[Section] = &[
    Section { name: c"stores", in_crash_report: true, fill: stores },
    Section { name: c"totals", in_crash_report: true, fill: totals },
    REFUSED,
];

fn stores(fields: &Fields) {
    let (with_deadlines, next_due) = deadlines::info();
    fields.add("stores_with_deadlines", with_deadlines);
    fields.add("next_due", next_due);
    fields.add("sweeps", due::sweeps());
    fields.add("sweep_slice", config::sweep_slice());
    fields.add("eviction_risk", eviction::risk());
    let longest = turn::longest();
    fields.add("longest_turn_us", longest.us);
    fields.add("longest_turn_at", longest.at);
}

/// Sums over all stores, as of their last samples, and what RedisTimeSeries took.
fn totals(fields: &Fields) {
    let (stores, sums) = sums::totals();
    fields.add("stores", stores);
    sums.for_each(|(name, sum)| fields.add(&name.replace('-', "_"), sum));
    let series = timeseries::done();
    fields.add("timeseries_loaded", u64::from(series.loaded));
    fields.add("timeseries_written", series.written);
    fields.add("timeseries_errors", series.errors);
}
