//! What samples cost a sale: ORDER.PLACE with none, with one a second and with as many as may be, in turns.

use std::fmt::Write;

use anyhow::{Context, Result};
use redis::cmd;
use serde_json::json;

use super::report::{Part, table};
use super::rounds::{Rounds, Sample, Summary};
use super::subject::{Subject, SubjectArgs};
use super::workload::{Case, FILL_PIPELINE, STORE};
use crate::text::grouped;

/// With samples, ORDER.PLACE may cost this many times what it costs without.
const RATIO_BAR: f64 = 1.05;
/// How often samples are taken, milliseconds: never, as usual, and so often that one sample's cost shows.
const OFF: u64 = 0;
const USUAL_MS: u64 = 1_000;
const OFTEN_MS: u64 = 1;
const SAMPLES_KEPT: u64 = 10_000_000;
const METRICS_STREAM: &str = "{bench}:metrics";

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
    let ops_a_round = grouped(ops);
    println!(
        "\nsamples: ORDER.PLACE, pipeline of {FILL_PIPELINE}, median of {rounds} rounds of {ops_a_round} operations"
    );
    let rows = [("none", &off_us), ("one a second", &usual_us)].map(|(name, us)| {
        vec![name.to_string(), format!("{:.2}", us.median), format!("± {:.0} %", us.spread_percent())]
    });
    println!("{}", table(&["samples", "µs CPU/op", "spread"], rows));
    let taken = grouped(samples);
    println!("a sample takes {sample_us:.0} µs of the server's CPU, measured on {taken} of them");
    let mut bar = ratio.at_most("ORDER.PLACE with a sample a second against none", RATIO_BAR);
    write!(bar.measured, "; a sample takes {:.4} % of a second", sample_us / 1e6 * 100.0)?;
    let result = json!({
        "ops_a_round": ops, "off_us": off_us, "usual_us": usual_us, "ratio": ratio,
        "sample_us": sample_us, "samples": samples,
    });
    Ok((result, vec![bar]))
}

/// One round: CPU an operation, and how many samples were taken.
fn measure(subject: &mut Subject, sample_ms: u64, ops: u64) -> Result<(Sample, u64)> {
    cmd("CONFIG").arg("SET").arg("holdfast.sample-ms").arg(sample_ms).exec(&mut subject.control)?;
    Case::Place.prepare(&mut subject.control).context("preparing the store")?;
    cmd("STORE.SET").arg(STORE).arg("metrics").arg(SAMPLES_KEPT).exec(&mut subject.control)?;
    let length = |subject: &mut Subject| cmd("XLEN").arg(METRICS_STREAM).query::<u64>(&mut subject.control);
    let before = length(subject)?;
    let fill = || subject.fill(Case::Place, 0..ops, FILL_PIPELINE).map(|()| None);
    let sample = Sample::of(subject, std::process::id(), ops, fill)?;
    Ok((sample, length(subject)? - before))
}
