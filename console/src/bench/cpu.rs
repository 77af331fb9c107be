//! Server CPU per operation, the cases interleaved (A B C A B C …) so that they meet the same machine.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

use super::cputime::{CpuTime, stolen};
use super::lab::{Lab, LabOptions};
use super::report::{self, Bar};
use super::stats::Summary;
use super::workload::Case;

/// The pipeline the bars are about.
const BAR_PIPELINE: u64 = 64;
/// ORDER.PLACE may cost so many times a bare XADD of the same fields.
const XADD_RATIO_BAR: f64 = 1.25;
/// ORDER.PLACE is to be so many times cheaper than a script that does the same.
const LUA_RATIO_BAR: f64 = 5.0;
/// Below this depth a command costs mostly the way to the server and back: fewer of them tell as much.
const DEEP_PIPELINE: u64 = 8;
/// A shallow pipeline gets this fraction of the operations.
const SHALLOW_DIVISOR: u64 = 4;

/// What to measure and how often.
#[derive(Clone, Debug)]
pub struct CpuOptions {
    /// The cases, in the order they take turns.
    pub cases: Vec<Case>,
    /// How many commands are sent before the first reply is waited for.
    pub pipelines: Vec<u64>,
    /// Rounds that count; one more comes first to warm up.
    pub rounds: u32,
    /// Operations of a case in a round.
    pub ops: u64,
}

/// One case at one pipeline depth.
#[derive(Debug, Serialize)]
pub struct CaseResult {
    case: Case,
    /// CPU of the thread that executes commands, microseconds an operation.
    main_us: Summary,
    /// CPU of all the server's threads, microseconds an operation.
    process_us: Summary,
    /// Operations a second by the wall clock, one connection.
    ops_per_s: Summary,
    /// CPU against XADD in the same round.
    to_xadd: Option<Summary>,
    /// CPU of the script against this in the same round.
    lua_to_this: Option<Summary>,
}

/// All cases at one pipeline depth.
#[derive(Debug, Serialize)]
pub struct PipelineResult {
    pipeline: u64,
    ops_a_round: u64,
    /// How long the hypervisor kept cores for others meanwhile, milliseconds of one core.
    stolen_ms: u64,
    /// How long it all took, milliseconds.
    elapsed_ms: u64,
    cases: Vec<CaseResult>,
}

/// What one case took in one round.
#[derive(Clone, Copy, Debug)]
struct Sample {
    main_us: f64,
    process_us: f64,
    ops_per_s: f64,
}

/// A case's commands, encoded once and sent in every round.
#[derive(Debug)]
struct Encoded {
    bytes: Vec<u8>,
    /// Where each command ends in `bytes`; the first ends at `ends[0]`.
    ends: Vec<usize>,
}

impl Encoded {
    fn of(case: Case, ops: u64, script_sha: &str) -> Encoded {
        let mut bytes = Vec::new();
        let ends = (0..ops)
            .map(|n| {
                case.encode(n, script_sha, &mut bytes);
                bytes.len()
            })
            .collect();
        Encoded { bytes, ends }
    }

    /// The commands from number `first` on, `count` of them at most, and how many they are.
    fn batch(&self, first: usize, count: usize) -> (&[u8], u64) {
        let end = (first + count).min(self.ends.len());
        let start_byte = if first == 0 { 0 } else { self.ends[first - 1] };
        (&self.bytes[start_byte..self.ends[end - 1]], (end - first) as u64)
    }
}

/// Measures every case at every depth.
///
/// # Errors
/// When the server does not start or answers a command with an error.
pub fn run(lab_options: &LabOptions, options: &CpuOptions) -> Result<Vec<PipelineResult>> {
    let mut lab = Lab::start(lab_options, &options.cases, &[])?;
    options.pipelines.iter().map(|&pipeline| measure_pipeline(&mut lab, options, pipeline)).collect()
}

fn measure_pipeline(lab: &mut Lab, options: &CpuOptions, pipeline: u64) -> Result<PipelineResult> {
    let ops = if pipeline < DEEP_PIPELINE { options.ops.div_ceil(SHALLOW_DIVISOR) } else { options.ops };
    let encoded: Vec<Encoded> = options.cases.iter().map(|&case| Encoded::of(case, ops, &lab.script_sha)).collect();
    let mut samples: HashMap<Case, Vec<Sample>> = HashMap::new();
    let (start, stolen_before) = (Instant::now(), stolen()?);
    for round in 0..=options.rounds {
        for (&case, commands) in options.cases.iter().zip(&encoded) {
            let sample = measure(lab, case, commands, pipeline)
                .with_context(|| format!("{} at a pipeline of {pipeline}", case.label()))?;
            // The first round pays for what is done once: pages from the kernel, cold caches.
            if round > 0 {
                samples.entry(case).or_default().push(sample);
            }
        }
    }
    let result = PipelineResult {
        pipeline,
        ops_a_round: ops,
        stolen_ms: u64::try_from(stolen()?.saturating_sub(stolen_before).as_millis())?,
        elapsed_ms: u64::try_from(start.elapsed().as_millis())?,
        cases: summarize(&options.cases, &samples),
    };
    print_pipeline(&result, options.rounds);
    Ok(result)
}

/// One case, one round: from a fresh state, all its commands.
fn measure(lab: &mut Lab, case: Case, commands: &Encoded, pipeline: u64) -> Result<Sample> {
    case.prepare(&mut lab.control).context("preparing its state")?;
    let mut wire = lab.wire()?;
    let ops = commands.ends.len();
    let before = lab.cpu()?;
    let start = Instant::now();
    for first in (0..ops).step_by(pipeline as usize) {
        let (batch, count) = commands.batch(first, pipeline as usize);
        wire.exchange(batch, count)?;
    }
    let elapsed = start.elapsed();
    let used = lab.cpu()?.since(before);
    Ok(sample(used, ops as f64, elapsed.as_secs_f64()))
}

fn sample(used: CpuTime, ops: f64, elapsed_s: f64) -> Sample {
    Sample {
        main_us: used.main_ns as f64 / 1e3 / ops,
        process_us: used.process_ns as f64 / 1e3 / ops,
        ops_per_s: ops / elapsed_s,
    }
}

fn summarize(cases: &[Case], samples: &HashMap<Case, Vec<Sample>>) -> Vec<CaseResult> {
    let summary = |case: Case, value: fn(&Sample) -> f64| {
        samples.get(&case).map(|rounds| Summary::of(rounds.iter().map(value).collect()))
    };
    let (xadd, lua) = (summary(Case::Xadd, |s| s.main_us), summary(Case::Lua, |s| s.main_us));
    let result_of = |&case: &Case| {
        let main_us = summary(case, |s| s.main_us)?;
        Some(CaseResult {
            case,
            process_us: summary(case, |s| s.process_us)?,
            ops_per_s: summary(case, |s| s.ops_per_s)?,
            to_xadd: xadd.as_ref().map(|xadd| Summary::ratio(&main_us, xadd)),
            lua_to_this: lua.as_ref().map(|lua| Summary::ratio(lua, &main_us)),
            main_us,
        })
    };
    cases.iter().filter_map(result_of).collect()
}

fn print_pipeline(result: &PipelineResult, rounds: u32) {
    println!(
        "\npipeline of {}: median of {rounds} rounds of {} operations, one connection",
        result.pipeline,
        report::thousands(result.ops_a_round)
    );
    let ratio = |summary: &Option<Summary>| summary.as_ref().map_or("".into(), |s| format!("{:.2}", s.median));
    let rows = result.cases.iter().map(|case| {
        vec![
            case.case.label().to_string(),
            format!("{:.2}", case.main_us.median),
            format!("± {:.0} %", case.main_us.spread_percent()),
            format!("{:.2}", case.main_us.min),
            format!("{:.2}", case.process_us.median),
            report::thousands(case.ops_per_s.median as u64),
            ratio(&case.to_xadd),
            ratio(&case.lua_to_this),
        ]
    });
    let header = ["command", "µs CPU/op", "spread", "least", "all threads", "ops/s", "× XADD", "Lua ÷ this"];
    println!("{}", report::table(&header, rows));
    if result.stolen_ms > 0 {
        println!("(the hypervisor kept a core for others for {} of {} ms)", result.stolen_ms, result.elapsed_ms);
    }
}

/// The bars, where the cases they compare were measured at the depth they are about.
pub fn bars(results: &[PipelineResult]) -> Vec<Bar> {
    let Some(deep) = results.iter().find(|result| result.pipeline == BAR_PIPELINE) else {
        return Vec::new();
    };
    let Some(place) = deep.cases.iter().find(|result| result.case == Case::Place) else {
        return Vec::new();
    };
    let least = |case| deep.cases.iter().find(|result| result.case == case).map_or(f64::NAN, |r| r.main_us.min);
    let measured = |ratio: &Summary, least: f64| {
        format!("{:.2} × (± {:.0} %; least by least {least:.2} ×)", ratio.median, ratio.spread_percent())
    };
    let xadd = place.to_xadd.as_ref().map(|ratio| Bar {
        work: format!("ORDER.PLACE against XADD, pipeline of {BAR_PIPELINE}"),
        bar: format!("at most {XADD_RATIO_BAR} ×"),
        measured: measured(ratio, least(Case::Place) / least(Case::Xadd)),
        reached: ratio.median <= XADD_RATIO_BAR,
    });
    let lua = place.lua_to_this.as_ref().map(|ratio| Bar {
        work: format!("Lua script against ORDER.PLACE, pipeline of {BAR_PIPELINE}"),
        bar: format!("at least {LUA_RATIO_BAR} ×"),
        measured: measured(ratio, least(Case::Lua) / least(Case::Place)),
        reached: ratio.median >= LUA_RATIO_BAR,
    });
    xadd.into_iter().chain(lua).collect()
}

#[cfg(test)]
mod tests {
    use super::{Case, Encoded, PipelineResult, Sample, bars, summarize};
    use std::collections::HashMap;

    #[test]
    fn batches_cover_every_command_once() {
        let encoded = Encoded::of(Case::Place, 10, "sha");
        let (first, count) = encoded.batch(0, 4);
        let (second, _) = encoded.batch(4, 4);
        let (last, last_count) = encoded.batch(8, 4);
        assert_eq!((count, last_count), (4, 2));
        assert_eq!([first, second, last].concat(), encoded.bytes);
    }

    fn results(place_us: f64) -> Vec<PipelineResult> {
        let sample = |main_us| vec![Sample { main_us, process_us: main_us, ops_per_s: 1.0 }];
        let cases = [Case::Xadd, Case::Place, Case::Lua];
        let samples =
            HashMap::from([(Case::Xadd, sample(2.0)), (Case::Place, sample(place_us)), (Case::Lua, sample(12.0))]);
        vec![PipelineResult {
            pipeline: 64,
            ops_a_round: 1,
            stolen_ms: 0,
            elapsed_ms: 1,
            cases: summarize(&cases, &samples),
        }]
    }

    #[test]
    fn bars_tell_reached_from_missed() {
        let reached = |place_us| bars(&results(place_us)).iter().map(|bar| bar.reached).collect::<Vec<_>>();
        assert_eq!(reached(2.3), vec![true, true]);
        assert_eq!(reached(2.45), vec![true, false]);
        assert_eq!(reached(2.6), vec![false, false]);
    }
}
