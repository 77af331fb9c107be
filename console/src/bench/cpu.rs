//! Server CPU per operation.

use anyhow::{Context, Result};
use serde_json::json;

use super::report::{Bar, Part};
use super::rounds::{Rounds, Sample, Summary};
use super::subject::{Subject, SubjectArgs};
use super::wire::Batch;
use super::workload::Case;
use crate::text::grouped;

/// The pipeline the bars are about.
const BAR_PIPELINE: u64 = 64;
/// ORDER.PLACE may cost this many times a bare XADD of the same fields.
const XADD_RATIO_BAR: f64 = 1.25;
/// ORDER.PLACE is to be this many times cheaper than a script that does the same.
const LUA_RATIO_BAR: f64 = 5.0;
/// Below this depth a command costs mostly the way to the server and back: fewer of them are enough.
const DEEP_PIPELINE: u64 = 8;
/// A shallow pipeline gets this fraction of the operations.
const SHALLOW_DIVISOR: u64 = 4;

/// What to measure.
#[derive(clap::Args, Clone, Debug)]
pub struct CpuArgs {
    /// cpu: the commands to compare
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ping,xadd,place,reserve,lua")]
    cases: Vec<Case>,
    /// cpu: commands sent before the first reply is waited for
    #[arg(long, value_delimiter = ',', default_value = "1,16,64",
          value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pipelines: Vec<u64>,
}

/// Measures every case at every depth. Fails when the server does not start or answers a command with an error.
pub fn run(subject: &SubjectArgs, args: &CpuArgs, rounds: u32, ops: u64) -> Result<Part> {
    let mut subject = Subject::start(subject, &args.cases, &[])?;
    let (mut results, mut bars) = (Vec::new(), Vec::new());
    for &pipeline in &args.pipelines {
        let ops = if pipeline < DEEP_PIPELINE { ops.div_ceil(SHALLOW_DIVISOR) } else { ops };
        let measured = measure(&mut subject, &args.cases, pipeline, rounds, ops)?;
        println!("\npipeline of {pipeline}: median of {rounds} rounds of {} operations, one connection", grouped(ops));
        let ratios = |case| [to_xadd(&measured, case), lua_to(&measured, case)];
        let cases = measured.print("command", ["× XADD", "Lua ÷ this"], ratios);
        if pipeline == BAR_PIPELINE {
            bars = bars_of(&measured);
        }
        results.push(json!({ "pipeline": pipeline, "ops_a_round": ops, "cases": cases }));
    }
    Ok((json!(results), bars))
}

fn to_xadd(rounds: &Rounds<Case>, case: Case) -> Option<Summary> {
    rounds.ratio(case, Case::Xadd, |sample| sample.main_us)
}

fn lua_to(rounds: &Rounds<Case>, case: Case) -> Option<Summary> {
    rounds.ratio(Case::Lua, case, |sample| sample.main_us)
}

fn measure(subject: &mut Subject, cases: &[Case], pipeline: u64, rounds: u32, ops: u64) -> Result<Rounds<Case>> {
    // Encoded once, and sent in every round.
    let encoded: Vec<(Case, Vec<Batch>)> =
        cases.iter().map(|&case| (case, subject.batches(case, 0..ops, pipeline).collect())).collect();
    Rounds::measure(cases, rounds, |case| {
        let (_, batches) = encoded.iter().find(|(encoded, _)| *encoded == case).context("no such case")?;
        case.prepare(&mut subject.control).context("preparing its state")?;
        let mut wire = subject.wire()?;
        let work = || batches.iter().try_for_each(|batch| wire.exchange(batch).map(drop)).map(|()| None);
        Sample::of(subject, std::process::id(), ops, work)
            .with_context(|| format!("{case} at a pipeline of {pipeline}"))
    })
}

fn bars_of(rounds: &Rounds<Case>) -> Vec<Bar> {
    let (xadd, lua) = ("ORDER.PLACE against XADD", "Lua script against ORDER.PLACE");
    let work = |what| format!("{what}, pipeline of {BAR_PIPELINE}");
    let xadd = to_xadd(rounds, Case::Place).map(|ratio| ratio.at_most(&work(xadd), XADD_RATIO_BAR));
    let lua = lua_to(rounds, Case::Place).map(|ratio| ratio.at_least(&work(lua), LUA_RATIO_BAR));
    xadd.into_iter().chain(lua).collect()
}
