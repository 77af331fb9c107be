//! The whole life of an order, placed → claimed → completed: server CPU a life and orders a second, beside the same in
//! Lua, beside a bare stream, and beside BullMQ; the flows interleaved, so that they meet the same machine.

mod flow;
mod node;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

pub use flow::Flow;
use flow::{Scripts, WireLives};
use node::Node;

use super::cputime::{CpuTime, stolen};
use super::lab::{Lab, LabOptions};
use super::report::{self, Bar};
use super::stats::Summary;
use super::workload::Case;

/// Orders that are placed, claimed and completed together.
const BATCHES: [u64; 2] = [1, 64];
/// One order at a time costs mostly the way to the server and back: a fraction of the orders tells as much.
const SINGLE_DIVISOR: u64 = 4;
/// BullMQ takes so many times longer: a fraction of the orders makes a round as long as the others'.
const BULLMQ_DIVISOR: u64 = 5;
/// A life is to be so many times cheaper than in scripts.
const LUA_RATIO_BAR: f64 = 5.0;
/// So many times the orders a second of BullMQ.
const BULLMQ_RATIO_BAR: f64 = 20.0;

/// What to measure and how often.
#[derive(Clone, Debug)]
pub struct LifeOptions {
    /// The flows, in the order they take turns.
    pub flows: Vec<Flow>,
    /// Rounds that count; one more comes first to warm up.
    pub rounds: u32,
    /// Orders of a flow in a round.
    pub lives: u64,
    /// Where the program for Node is installed; `None` takes a directory beside this program.
    pub node_dir: Option<PathBuf>,
}

/// One flow with batches of one size.
#[derive(Debug, Serialize)]
pub struct FlowResult {
    flow: Flow,
    /// Orders in a round.
    orders: u64,
    /// CPU of the thread that executes commands, microseconds a life.
    main_us: Summary,
    /// CPU of all the server's threads, microseconds a life.
    process_us: Summary,
    /// CPU of the client's process, microseconds a life.
    client_us: Summary,
    /// Orders a second by the wall clock, from the first placed to the last completed.
    orders_per_s: Summary,
    /// CPU of this against Holdfast's in the same round.
    cpu_to_holdfast: Option<Summary>,
    /// Orders a second of this against BullMQ's in the same round.
    orders_to_bullmq: Option<Summary>,
}

/// All flows with batches of one size.
#[derive(Debug, Serialize)]
pub struct BatchResult {
    batch: u64,
    /// How long the hypervisor kept cores for others meanwhile, milliseconds of one core.
    stolen_ms: u64,
    /// How long it all took, milliseconds.
    elapsed_ms: u64,
    flows: Vec<FlowResult>,
}

/// What was measured, and what could not be.
#[derive(Debug, Serialize)]
pub struct LifeResult {
    batches: Vec<BatchResult>,
    /// Why nothing was measured on Node.
    skipped: Option<String>,
}

/// What one flow took in one round.
#[derive(Clone, Copy, Debug)]
struct Sample {
    main_us: f64,
    process_us: f64,
    client_us: f64,
    orders_per_s: f64,
}

/// The samples of each flow, a round after the other.
type Samples = HashMap<Flow, Vec<Sample>>;

/// Measures every flow with batches of every size.
///
/// # Errors
/// When the server does not start, answers a command with an error, or an order was not completed.
pub fn run(lab_options: &LabOptions, options: &LifeOptions) -> Result<LifeResult> {
    let mut options = options.clone();
    let (node, skipped) = start_node(&mut options);
    let mut lab = Lab::start(lab_options, &[Case::Place], &[])?;
    let scripts = Scripts::load(&mut lab.control).context("loading the scripts")?;
    let mut bench = Bench { lab, scripts, node };
    let batches = BATCHES.iter().map(|&batch| bench.measure_batch(&options, batch)).collect::<Result<_>>()?;
    if let Some(reason) = &skipped {
        println!("(not measured: BullMQ, and Holdfast from Node: {reason})");
    }
    Ok(LifeResult { batches, skipped })
}

/// The program on Node, where a flow needs it; where it cannot be had those flows are left out, and why.
fn start_node(options: &mut LifeOptions) -> (Option<Node>, Option<String>) {
    if !options.flows.iter().any(|flow| flow.is_on_node()) {
        return (None, None);
    }
    match node::install(options.node_dir.as_deref()).and_then(|dir| Node::start(&dir)) {
        Ok(node) => (Some(node), None),
        Err(error) => {
            options.flows.retain(|flow| !flow.is_on_node());
            (None, Some(format!("{error:#}")))
        }
    }
}

/// The server and its clients.
#[allow(missing_debug_implementations, reason = "redis::Connection has none")]
struct Bench {
    lab: Lab,
    scripts: Scripts,
    node: Option<Node>,
}

impl Bench {
    fn measure_batch(&mut self, options: &LifeOptions, batch: u64) -> Result<BatchResult> {
        let mut samples = Samples::new();
        let (start, stolen_before) = (Instant::now(), stolen()?);
        for round in 0..=options.rounds {
            for &flow in &options.flows {
                let orders = orders_a_round(flow, options.lives, batch);
                let sample = self
                    .measure(flow, orders, batch)
                    .with_context(|| format!("{}, batches of {batch}", flow.label()))?;
                // The first round pays for what is done once: pages from the kernel, cold caches, code not yet compiled.
                if round > 0 {
                    samples.entry(flow).or_default().push(sample);
                }
            }
        }
        let flows = options.flows.iter().filter_map(|&flow| summarize(flow, options.lives, batch, &samples)).collect();
        let result = BatchResult {
            batch,
            stolen_ms: u64::try_from(stolen()?.saturating_sub(stolen_before).as_millis())?,
            elapsed_ms: u64::try_from(start.elapsed().as_millis())?,
            flows,
        };
        print_batch(&result, options.rounds);
        Ok(result)
    }

    /// One flow, one round: from an empty server until all orders are completed.
    fn measure(&mut self, flow: Flow, orders: u64, batch: u64) -> Result<Sample> {
        flow.prepare(&mut self.lab.control).context("preparing its state")?;
        let sample = match &mut self.node {
            Some(node) if flow.is_on_node() => measure_node(&self.lab, node, flow, orders, batch),
            _ => measure_wire(&self.lab, &self.scripts, flow, orders, batch),
        }?;
        flow.verify(&mut self.lab.control, orders)?;
        Ok(sample)
    }
}

fn measure_wire(lab: &Lab, scripts: &Scripts, flow: Flow, orders: u64, batch: u64) -> Result<Sample> {
    let mut wire = lab.wire()?;
    let mut lives = WireLives::new(flow, scripts, &mut wire);
    let watch = Watch::start(lab, std::process::id())?;
    let start = Instant::now();
    lives.run(orders, batch)?;
    watch.stop(lab, orders, start.elapsed().as_secs_f64())
}

fn measure_node(lab: &Lab, node: &mut Node, flow: Flow, orders: u64, batch: u64) -> Result<Sample> {
    node.prepare(flow, lab.server.port(), batch)?;
    let watch = Watch::start(lab, node.pid())?;
    let seconds = node.run(orders)?;
    let sample = watch.stop(lab, orders, seconds)?;
    node.close()?;
    Ok(sample)
}

/// The CPU clocks of server and client when a measurement began.
#[derive(Debug)]
struct Watch {
    server: CpuTime,
    client: CpuTime,
    client_pid: u32,
}

impl Watch {
    fn start(lab: &Lab, client_pid: u32) -> Result<Watch> {
        Ok(Watch { server: lab.cpu()?, client: CpuTime::now(client_pid)?, client_pid })
    }

    fn stop(self, lab: &Lab, orders: u64, seconds: f64) -> Result<Sample> {
        let client = CpuTime::now(self.client_pid)?.since(self.client);
        let server = lab.cpu()?.since(self.server);
        let us_a_life = |ns: u64| ns as f64 / 1e3 / orders as f64;
        Ok(Sample {
            main_us: us_a_life(server.main_ns),
            process_us: us_a_life(server.process_ns),
            client_us: us_a_life(client.process_ns),
            orders_per_s: orders as f64 / seconds,
        })
    }
}

fn orders_a_round(flow: Flow, lives: u64, batch: u64) -> u64 {
    let lives = if batch == 1 { lives / SINGLE_DIVISOR } else { lives };
    let lives = if flow == Flow::Bullmq { lives / BULLMQ_DIVISOR } else { lives };
    lives.next_multiple_of(batch)
}

fn summarize(flow: Flow, lives: u64, batch: u64, samples: &Samples) -> Option<FlowResult> {
    let summary = |flow: Flow, value: fn(&Sample) -> f64| {
        samples.get(&flow).map(|rounds| Summary::of(rounds.iter().map(value).collect()))
    };
    let main_us = summary(flow, |s| s.main_us)?;
    let orders_per_s = summary(flow, |s| s.orders_per_s)?;
    // Against Holdfast driven by the same kind of client.
    let holdfast = if flow.is_on_node() { Flow::HoldfastNode } else { Flow::Holdfast };
    Some(FlowResult {
        flow,
        orders: orders_a_round(flow, lives, batch),
        process_us: summary(flow, |s| s.process_us)?,
        client_us: summary(flow, |s| s.client_us)?,
        cpu_to_holdfast: summary(holdfast, |s| s.main_us).map(|holdfast| Summary::ratio(&main_us, &holdfast)),
        orders_to_bullmq: summary(Flow::Bullmq, |s| s.orders_per_s).map(|bull| Summary::ratio(&orders_per_s, &bull)),
        main_us,
        orders_per_s,
    })
}

fn print_batch(result: &BatchResult, rounds: u32) {
    let how = if result.batch == 1 { "one order at a time".into() } else { format!("batches of {}", result.batch) };
    println!("\nplace → claim → complete, {how}: median of {rounds} rounds");
    let ratio = |summary: &Option<Summary>| summary.as_ref().map_or("".into(), |s| format!("{:.2}", s.median));
    let rows = result.flows.iter().map(|flow| {
        vec![
            flow.flow.label().to_string(),
            format!("{:.2}", flow.main_us.median),
            format!("± {:.0} %", flow.main_us.spread_percent()),
            format!("{:.2}", flow.main_us.min),
            format!("{:.2}", flow.process_us.median),
            ratio(&flow.cpu_to_holdfast),
            format!("{:.2}", flow.client_us.median),
            report::thousands(flow.orders_per_s.median as u64),
            ratio(&flow.orders_to_bullmq),
        ]
    });
    let header = [
        "flow",
        "µs CPU/life",
        "spread",
        "least",
        "all threads",
        "÷ Holdfast's",
        "client's µs",
        "orders/s",
        "× BullMQ's",
    ];
    println!("{}", report::table(&header, rows));
    if result.stolen_ms > 0 {
        println!("(the hypervisor kept a core for others for {} of {} ms)", result.stolen_ms, result.elapsed_ms);
    }
}

/// The bars, where what they compare was measured.
pub fn bars(result: &LifeResult) -> Vec<Bar> {
    result.batches.iter().flat_map(batch_bars).collect()
}

fn batch_bars(result: &BatchResult) -> Vec<Bar> {
    let of = |flow: Flow| result.flows.iter().find(|result| result.flow == flow);
    let how = if result.batch == 1 { "one at a time".into() } else { format!("batches of {}", result.batch) };
    let bar = |work: String, ratio: &Summary, bar: f64| Bar {
        work: format!("{work}, {how}"),
        bar: format!("at least {bar} ×"),
        measured: format!("{:.1} × (± {:.0} %)", ratio.median, ratio.spread_percent()),
        reached: ratio.median >= bar,
    };
    let lua = of(Flow::Lua).and_then(|lua| lua.cpu_to_holdfast.as_ref());
    let lua = lua.map(|ratio| bar("a life's server CPU, Lua against Holdfast".into(), ratio, LUA_RATIO_BAR));
    let clients = [(Flow::HoldfastNode, "both from Node"), (Flow::Holdfast, "Holdfast's client not on Node")];
    let bullmq = clients.into_iter().filter_map(|(flow, client)| {
        let ratio = of(flow)?.orders_to_bullmq.as_ref()?;
        Some(bar(format!("orders/s, Holdfast against BullMQ, {client}"), ratio, BULLMQ_RATIO_BAR))
    });
    lua.into_iter().chain(bullmq).collect()
}

#[cfg(test)]
mod tests {
    use super::{BatchResult, Flow, Sample, Samples, batch_bars, orders_a_round, summarize};

    fn result(flows: &[(Flow, f64, f64)]) -> BatchResult {
        let sample = |us, orders_per_s| Sample { main_us: us, process_us: us, client_us: us, orders_per_s };
        let samples: Samples =
            flows.iter().map(|&(flow, us, orders_per_s)| (flow, vec![sample(us, orders_per_s)])).collect();
        let flows = flows.iter().filter_map(|&(flow, ..)| summarize(flow, 1_000, 64, &samples)).collect();
        BatchResult { batch: 64, stolen_ms: 0, elapsed_ms: 1, flows }
    }

    #[test]
    fn a_round_has_whole_batches() {
        assert_eq!(orders_a_round(Flow::Holdfast, 1_000, 64), 1_024);
        assert_eq!(orders_a_round(Flow::Bullmq, 1_000, 64), 256);
        assert_eq!(orders_a_round(Flow::Lua, 1_000, 1), 250);
    }

    #[test]
    fn bars_compare_like_with_like() {
        let result = result(&[
            (Flow::Holdfast, 4.0, 200_000.0),
            (Flow::Lua, 19.0, 40_000.0),
            (Flow::HoldfastNode, 5.0, 100_000.0),
            (Flow::Bullmq, 150.0, 5_000.0),
        ]);
        let bars = batch_bars(&result);
        let told: Vec<_> = bars.iter().map(|bar| (bar.measured.as_str(), bar.reached)).collect();
        assert_eq!(told, vec![("4.8 × (± 0 %)", false), ("20.0 × (± 0 %)", true), ("40.0 × (± 0 %)", true)]);
        let bullmq = result.flows.iter().find(|flow| flow.flow == Flow::Bullmq).unwrap();
        assert_eq!(bullmq.cpu_to_holdfast.as_ref().unwrap().median, 30.0);
    }

    #[test]
    fn what_was_not_measured_has_no_bar() {
        assert!(batch_bars(&result(&[(Flow::Holdfast, 4.0, 1.0)])).is_empty());
    }
}
