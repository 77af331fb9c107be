//! What samples cost a sale: ORDER.PLACE with none, with one a second and with as many as may be, in turns.

use anyhow::{Context, Result};
use serde::Serialize;

use super::lab::{Lab, LabOptions};
use super::report::{self, Bar};
use super::stats::Summary;
use super::workload::{Case, STORE};

/// Commands sent before the first reply is waited for.
const PIPELINE: u64 = 64;
/// With samples, ORDER.PLACE may cost so many times what it costs without.
const RATIO_BAR: f64 = 1.05;
/// How often samples are taken, milliseconds: never, as usual, and so often that one sample's cost shows.
const OFF: u64 = 0;
const USUAL_MS: u64 = 1_000;
const OFTEN_MS: u64 = 1;
/// More than any measurement takes.
const SAMPLES_KEPT: u64 = 10_000_000;

/// What came of it.
#[derive(Debug, Serialize)]
pub struct MetricsResult {
    ops_a_round: u64,
    /// CPU of the thread that executes commands, microseconds an ORDER.PLACE: without samples …
    off_us: Summary,
    /// … and with one a second.
    usual_us: Summary,
    /// The second against the first, in the same round.
    ratio: Summary,
    /// CPU a sample takes, microseconds: its entry in the stream and what is replicated.
    sample_us: f64,
    /// Samples that this was told from.
    samples: u64,
}

/// One way of sampling, round by round.
#[derive(Default)]
struct Rounds {
    us: Vec<f64>,
    samples: u64,
}

/// Measures.
///
/// # Errors
/// When the server does not start or answers a command with an error.
pub fn run(options: &LabOptions, rounds: u32, ops: u64) -> Result<MetricsResult> {
    let mut lab = Lab::start(options, &[Case::Place], &[])?;
    let mut ways = [(OFF, Rounds::default()), (USUAL_MS, Rounds::default()), (OFTEN_MS, Rounds::default())];
    for round in 0..=rounds {
        for (sample_ms, way) in &mut ways {
            let (us, samples) = measure(&mut lab, *sample_ms, ops)?;
            // The first round pays for what is done once.
            if round > 0 {
                way.us.push(us);
                way.samples += samples;
            }
        }
    }
    let [off, usual, often] = ways.map(|(_, way)| way);
    let total_us = |way: &Rounds| way.us.iter().sum::<f64>() * ops as f64;
    let sample_us = (total_us(&often) - total_us(&off)) / often.samples.max(1) as f64;
    let (off_us, usual_us) = (Summary::of(off.us), Summary::of(usual.us));
    let ratio = Summary::ratio(&usual_us, &off_us);
    let result = MetricsResult { ops_a_round: ops, off_us, usual_us, ratio, sample_us, samples: often.samples };
    print(&result, rounds);
    Ok(result)
}

/// One round: CPU an operation, and how many samples were taken.
fn measure(lab: &mut Lab, sample_ms: u64, ops: u64) -> Result<(f64, u64)> {
    redis::cmd("CONFIG").arg("SET").arg("holdfast.sample-ms").arg(sample_ms).exec(&mut lab.control)?;
    Case::Place.prepare(&mut lab.control).context("preparing the store")?;
    redis::cmd("STORE.SET").arg(STORE).arg("metrics").arg(SAMPLES_KEPT).exec(&mut lab.control)?;
    let length = |lab: &mut Lab| redis::cmd("XLEN").arg("{bench}:metrics").query::<u64>(&mut lab.control);
    let (before, samples) = (lab.cpu()?, length(lab)?);
    lab.fill(Case::Place, 0..ops, PIPELINE)?;
    let used = lab.cpu()?.since(before);
    Ok((used.main_ns as f64 / 1e3 / ops as f64, length(lab)? - samples))
}

fn print(result: &MetricsResult, rounds: u32) {
    println!(
        "\nsamples: ORDER.PLACE, pipeline of {PIPELINE}, median of {rounds} rounds of {} operations",
        report::thousands(result.ops_a_round)
    );
    let row = |name: &str, us: &Summary| {
        vec![name.to_string(), format!("{:.2}", us.median), format!("± {:.0} %", us.spread_percent())]
    };
    let rows = [row("none", &result.off_us), row("one a second", &result.usual_us)];
    println!("{}", report::table(&["samples", "µs CPU/op", "spread"], rows));
    let taken = report::thousands(result.samples);
    println!("a sample takes {:.0} µs of the server's CPU, told from {taken} of them", result.sample_us);
}

/// The bar.
pub fn bars(result: &MetricsResult) -> Vec<Bar> {
    let (median, spread) = (result.ratio.median, result.ratio.spread_percent());
    let of_a_second = result.sample_us / 1e6 * 100.0;
    vec![Bar {
        work: "ORDER.PLACE with a sample a second against none".into(),
        bar: format!("at most {RATIO_BAR} ×"),
        measured: format!("{median:.3} × (± {spread:.0} %; a sample takes {of_a_second:.4} % of a second)"),
        reached: median <= RATIO_BAR,
    }]
}
