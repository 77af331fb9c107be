//! What samples cost a sale: ORDER.PLACE with none, with one a second and with as many as may be, in turns.

use anyhow::{Context, Result};
use redis::cmd;
use serde::Serialize;

use super::report::{Bar, Part, table};
use super::rounds::{Meter, Rounds, Sample, Summary};
use super::subject::{Subject, SubjectArgs};
use super::workload::{Case, FILL_PIPELINE, STORE};
use crate::text::grouped;

/// With samples, ORDER.PLACE may cost this many times what it costs without.
const RATIO_BAR: f64 = 1.05;
/// How often samples are taken, milliseconds: never, as usual, and so often that one sample's cost shows.
const OFF: u64 = 0;
const USUAL_MS: u64 = 1_000;
const OFTEN_MS: u64 = 1;
/// More than any measurement takes.
const SAMPLES_KEPT: u64 = 10_000_000;
const METRICS_STREAM: &str = "{bench}:metrics";

/// What came of it.
#[derive(Debug, Serialize)]
struct MetricsResult {
    ops_a_round: u64,
    /// CPU of the thread that executes commands, microseconds an ORDER.PLACE: without samples …
    off_us: Summary,
    /// … and with one a second.
    usual_us: Summary,
    /// The second against the first, in the same round.
    ratio: Summary,
    /// CPU a sample takes, microseconds: its entry in the stream and what is replicated.
    sample_us: f64,
    /// Samples that this was measured on.
    samples: u64,
}

/// Measures. Fails when the server does not start or answers a command with an error.
pub fn run(args: &SubjectArgs, rounds: u32, ops: u64) -> Result<Part> {
    let mut subject = Subject::start(args, &[Case::Place], &[])?;
    let mut often_samples = Vec::new();
    let measured = Rounds::measure(&[OFF, USUAL_MS, OFTEN_MS], rounds, |sample_ms| {
        let (sample, samples) = measure(&mut subject, sample_ms, ops)?;
        if sample_ms == OFTEN_MS {
            often_samples.push(samples);
        }
        Ok(sample)
    })?;
    let us = |sample_ms| measured.summary(sample_ms, |sample| sample.main_us).context("not measured");
    let (off_us, usual_us, often_us) = (us(OFF)?, us(USUAL_MS)?, us(OFTEN_MS)?);
    let ratio = measured.ratio(USUAL_MS, OFF, |sample| sample.main_us).context("not measured")?;
    let total_us = |summary: &Summary| summary.rounds.iter().sum::<f64>() * ops as f64;
    // The first round does not count.
    let samples = often_samples.iter().skip(1).sum();
    let sample_us = (total_us(&often_us) - total_us(&off_us)) / u64::max(samples, 1) as f64;
    let result = MetricsResult { ops_a_round: ops, off_us, usual_us, ratio, sample_us, samples };
    print(&result, rounds);
    let bar = bar(&result);
    Part::new(result, [bar])
}

/// One round: CPU an operation, and how many samples were taken.
fn measure(subject: &mut Subject, sample_ms: u64, ops: u64) -> Result<(Sample, u64)> {
    cmd("CONFIG").arg("SET").arg("holdfast.sample-ms").arg(sample_ms).exec(&mut subject.control)?;
    Case::Place.prepare(&mut subject.control).context("preparing the store")?;
    cmd("STORE.SET").arg(STORE).arg("metrics").arg(SAMPLES_KEPT).exec(&mut subject.control)?;
    let length = |subject: &mut Subject| cmd("XLEN").arg(METRICS_STREAM).query::<u64>(&mut subject.control);
    let (meter, before) = (Meter::start(subject, std::process::id())?, length(subject)?);
    subject.fill(Case::Place, 0..ops, FILL_PIPELINE)?;
    Ok((meter.stop(subject, ops, None)?, length(subject)? - before))
}

fn print(result: &MetricsResult, rounds: u32) {
    println!(
        "\nsamples: ORDER.PLACE, pipeline of {FILL_PIPELINE}, median of {rounds} rounds of {} operations",
        grouped(result.ops_a_round)
    );
    let row = |name: &str, us: &Summary| {
        vec![name.to_string(), format!("{:.2}", us.median), format!("± {:.0} %", us.spread_percent())]
    };
    let rows = [row("none", &result.off_us), row("one a second", &result.usual_us)];
    println!("{}", table(&["samples", "µs CPU/op", "spread"], rows));
    let taken = grouped(result.samples);
    println!("a sample takes {:.0} µs of the server's CPU, measured on {taken} of them", result.sample_us);
}

/// The bar.
fn bar(result: &MetricsResult) -> Bar {
    let of_a_second = result.sample_us / 1e6 * 100.0;
    let bar = Bar::at_most("ORDER.PLACE with a sample a second against none", RATIO_BAR, &result.ratio);
    Bar { measured: format!("{}; a sample takes {of_a_second:.4} % of a second", bar.measured), ..bar }
}
