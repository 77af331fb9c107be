//! Server CPU of the whole life of an order, and orders a second, against Lua, a bare stream, and BullMQ.

mod flow;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::json;

use self::flow::{Flow, Scripts, WireLives};
use super::node::{self, Node};
use super::report::{Bar, Part};
use super::rounds::{Rounds, Sample, Summary};
use super::subject::{Subject, SubjectArgs};
use super::workload::Case;

const BATCHES: [u64; 2] = [1, 64];
/// One order at a time costs mostly the way to the server and back: a fraction of the orders is enough.
const SINGLE_DIVISOR: u64 = 4;
/// BullMQ takes this many times longer: a fraction of the orders makes a round as long as the others'.
const BULLMQ_DIVISOR: u64 = 5;
/// A life is to be this many times cheaper than in scripts.
const LUA_RATIO_BAR: f64 = 5.0;
/// A life may cost this many times that of an entry in a bare stream, without stock or lease.
const STREAM_RATIO_BAR: f64 = 1.0;
/// A life is to take this many times less of the server's CPU than BullMQ's.
const BULLMQ_RATIO_BAR: f64 = 8.0;
/// The batch the bars are about.
const BAR_BATCH: u64 = 64;

/// What to measure.
#[derive(clap::Args, Clone, Debug)]
pub struct LifeArgs {
    /// life: the ways to go from placed to completed
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Flow::value_variants().to_vec())]
    flows: Vec<Flow>,
    /// life: orders of a flow in a round (a quarter of it one at a time, a fifth with BullMQ)
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1_280..=10_000_000))]
    lives: u64,
    /// life: where to install BullMQ with npm [default: bench-node next to this program]
    #[arg(long, value_name = "DIR")]
    node_dir: Option<PathBuf>,
}

/// Measures every flow with every batch. Fails when a server does, or an order was not completed.
pub fn run(subject: &SubjectArgs, args: &LifeArgs, rounds: u32) -> Result<Part> {
    let mut args = args.clone();
    let (node, skipped) = start_node(&mut args);
    let mut subject = Subject::start(subject, &[Case::Place], &[])?;
    let scripts = Scripts::load(&mut subject.control).context("loading the scripts")?;
    let mut bench = Bench { subject, scripts, node };
    let (mut batches, mut bars) = (Vec::new(), Vec::new());
    for batch in BATCHES {
        let measured = Rounds::measure(&args.flows, rounds, |flow| {
            let sample = bench.measure(flow, orders_a_round(flow, args.lives, batch), batch);
            sample.with_context(|| format!("{flow}, batches of {batch}"))
        })?;
        let how = if batch == 1 { "one order at a time".into() } else { format!("batches of {batch}") };
        println!("\nplace → claim → complete, {how}: median of {rounds} rounds");
        let ratios = |flow| [to_holdfast(&measured, flow), to_bullmq(&measured, flow)];
        let flows = measured.print("flow", ["÷ Holdfast's", "× BullMQ's"], ratios);
        if batch == BAR_BATCH {
            bars.extend(bars_of(&measured, &how));
        }
        batches.push(json!({ "batch": batch, "flows": flows }));
    }
    if let Some(reason) = &skipped {
        println!("(not measured: BullMQ, and Holdfast from Node: {reason})");
    }
    Ok((json!({ "batches": batches, "skipped": skipped }), bars))
}

/// The program on Node, where a flow needs it; where it cannot be had those flows are left out, and why.
fn start_node(args: &mut LifeArgs) -> (Option<Node>, Option<String>) {
    if !args.flows.iter().any(|flow| flow.is_on_node()) {
        return (None, None);
    }
    match node::install(args.node_dir.as_deref()).and_then(|dir| Node::start(&dir, node::LIVES)) {
        Ok(node) => (Some(node), None),
        Err(error) => {
            args.flows.retain(|flow| !flow.is_on_node());
            (None, Some(format!("{error:#}")))
        }
    }
}

struct Bench {
    subject: Subject,
    scripts: Scripts,
    node: Option<Node>,
}

impl Bench {
    /// One flow, one round: from an empty server until all orders are completed.
    fn measure(&mut self, flow: Flow, orders: u64, batch: u64) -> Result<Sample> {
        flow.prepare(&mut self.subject.control).context("preparing its state")?;
        let (subject, own_pid) = (&self.subject, std::process::id());
        let sample = match &mut self.node {
            Some(node) if flow.is_on_node() => {
                node.prepare(flow == Flow::Bullmq, subject.server.port(), batch)?;
                let pid = node.process.id();
                let sample = Sample::of(subject, pid, orders, || node.run(orders).map(Some))?;
                node.close()?;
                sample
            }
            _ => {
                let mut lives = WireLives::new(flow, &self.scripts, subject.wire()?, orders, batch);
                Sample::of(subject, own_pid, orders, || lives.run().map(|()| None))?
            }
        };
        flow.verify(&mut self.subject.control, orders)?;
        Ok(sample)
    }
}

fn orders_a_round(flow: Flow, lives: u64, batch: u64) -> u64 {
    let lives = if batch == 1 { lives / SINGLE_DIVISOR } else { lives };
    let lives = if flow == Flow::Bullmq { lives / BULLMQ_DIVISOR } else { lives };
    lives.next_multiple_of(batch)
}

/// CPU against Holdfast's with the same kind of client.
fn to_holdfast(rounds: &Rounds<Flow>, flow: Flow) -> Option<Summary> {
    let holdfast = if flow.is_on_node() { Flow::HoldfastNode } else { Flow::Holdfast };
    rounds.ratio(flow, holdfast, |sample| sample.main_us)
}

fn to_bullmq(rounds: &Rounds<Flow>, flow: Flow) -> Option<Summary> {
    rounds.ratio(flow, Flow::Bullmq, |sample| sample.per_s)
}

fn bars_of(rounds: &Rounds<Flow>, how: &str) -> Vec<Bar> {
    let cpu_ratio = |above, below| rounds.ratio(above, below, |sample| sample.main_us);
    let work = |what| format!("a life's server CPU, {what}, {how}");
    let stream = cpu_ratio(Flow::Holdfast, Flow::Streams)
        .map(|ratio| ratio.at_most(&work("Holdfast against a bare stream"), STREAM_RATIO_BAR));
    let least = [
        ("Lua against Holdfast", LUA_RATIO_BAR, cpu_ratio(Flow::Lua, Flow::Holdfast)),
        ("BullMQ against Holdfast, both from Node", BULLMQ_RATIO_BAR, cpu_ratio(Flow::Bullmq, Flow::HoldfastNode)),
        (
            "BullMQ against Holdfast, whose client is not on Node",
            BULLMQ_RATIO_BAR,
            cpu_ratio(Flow::Bullmq, Flow::Holdfast),
        ),
    ];
    let least = least.into_iter().filter_map(|(what, least, ratio)| Some(ratio?.at_least(&work(what), least)));
    stream.into_iter().chain(least).collect()
}

#[cfg(test)]
mod tests {
    use super::{Flow, Rounds, Sample, bars_of, orders_a_round, to_holdfast};

    #[test]
    fn a_round_has_whole_batches() {
        assert_eq!(orders_a_round(Flow::Holdfast, 1_000, 64), 1_024);
        assert_eq!(orders_a_round(Flow::Bullmq, 1_000, 64), 256);
        assert_eq!(orders_a_round(Flow::Lua, 1_000, 1), 250);
    }

    #[test]
    fn bars_compare_like_with_like() {
        let flows = [Flow::Holdfast, Flow::Lua, Flow::Streams, Flow::HoldfastNode, Flow::Bullmq];
        let rounds = Rounds::measure(&flows, 1, |flow| {
            let us = match flow {
                Flow::Holdfast | Flow::Streams => 4.0,
                Flow::Lua => 19.0,
                Flow::HoldfastNode => 5.0,
                _ => 36.0,
            };
            Ok(Sample { main_us: us, process_us: us, client_us: us, per_s: 1.0 })
        });
        let rounds = rounds.expect("measured");
        let bars = bars_of(&rounds, "batches of 64");
        let seen: Vec<_> = bars.iter().map(|bar| (bar.measured.clone(), bar.reached)).collect();
        let wanted = [("1.00", true), ("4.75", false), ("7.20", false), ("9.00", true)];
        let wanted = wanted.map(|(ratio, reached)| (format!("{ratio} × (± 0 %)"), reached));
        assert_eq!(seen, wanted);
        assert_eq!(to_holdfast(&rounds, Flow::Bullmq).expect("both measured").median, 7.2);
    }
}
