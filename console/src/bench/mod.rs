//! `holdfast bench`: what the module costs, measured in one run on one machine against the bars it is to reach.
//!
//! Every measurement starts a redis-server of its own. What comes out is reported, never asserted: only an error reply
//! or a server that fails ends a run.

mod clock;
mod cpu;
mod cputime;
mod due;
mod growth;
mod lab;
mod life;
mod load;
mod memory;
mod metrics;
mod probe;
mod realtime;
mod reply;
mod report;
mod retry;
mod stats;
mod wake;
mod wire;
mod workload;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::server::TargetArgs;
use cpu::CpuOptions;
use lab::{Lab, LabOptions};
use life::{Flow, LifeOptions};
use report::Bar;
use workload::Case;

/// Options of `holdfast bench`.
#[derive(clap::Args, Debug)]
pub struct BenchArgs {
    /// What to measure
    #[arg(value_enum, default_value = "all")]
    what: What,
    /// The module to load [default: libholdfast.so beside this program, or in ../lib]
    #[arg(long, value_name = "PATH", env = "HOLDFAST_MODULE")]
    module: Option<PathBuf>,
    /// The redis-server to start [default: the one in PATH]
    #[arg(long, value_name = "PATH", env = "REDIS_SERVER")]
    redis_server: Option<PathBuf>,
    /// Write the results as JSON to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Whether the servers keep an append-only file
    #[arg(long, value_enum, default_value = "no")]
    aof: Aof,
    /// Run the servers with real-time priority, against the noise of a busy machine (wants CAP_SYS_NICE)
    #[arg(long)]
    realtime: bool,
    /// cpu: the commands to compare
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ping,xadd,place,reserve,lua")]
    cases: Vec<Case>,
    /// cpu: commands sent before the first reply is waited for
    #[arg(long, value_delimiter = ',', default_value = "1,16,64", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pipelines: Vec<u64>,
    /// cpu, life: rounds that count, after one to warm up
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// cpu: operations of a case in a round (a quarter of it at a pipeline under 8)
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    ops: u64,
    /// life: the ways to go from placed to completed
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "ping,holdfast,holdfast-next,lua,streams,holdfast-node,bullmq"
    )]
    flows: Vec<Flow>,
    /// life: orders of a flow in a round (a quarter of it one at a time, a fifth with BullMQ)
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1_280..=10_000_000))]
    lives: u64,
    /// life: where to install BullMQ with npm [default: bench-node beside this program]
    #[arg(long, value_name = "DIR")]
    node_dir: Option<PathBuf>,
    /// wake: wake-ups in each way
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    wakes: u64,
    /// retry: orders that fail one by one
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    retries: u64,
    /// retry: orders that are due in the same millisecond
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    burst: u64,
    /// memory, load: open orders
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    orders: u64,
    /// growth: open orders at the end (the bar is about 5000000)
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    grow: u64,
    /// due: holds
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    holds: u64,
}

impl BenchArgs {
    fn cpu_options(&self) -> CpuOptions {
        CpuOptions { cases: self.cases.clone(), pipelines: self.pipelines.clone(), rounds: self.rounds, ops: self.ops }
    }

    fn life_options(&self) -> LifeOptions {
        LifeOptions {
            flows: self.flows.clone(),
            rounds: self.rounds,
            lives: self.lives,
            node_dir: self.node_dir.clone(),
        }
    }
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Server CPU per operation, against XADD and a Lua script
    Cpu,
    /// The whole life of an order, against Lua scripts, a bare stream and BullMQ
    Life,
    /// How soon a waiting worker has an order in hand
    Wake,
    /// How punctual retries are
    Retry,
    /// Bytes per open order
    Memory,
    /// What a sample a second costs ORDER.PLACE
    Metrics,
    /// The slowest command from 0 to millions of open orders
    Growth,
    /// A million holds due in the same millisecond
    Due,
    /// How fast an RDB loads
    Load,
    /// All of them
    All,
}

/// Whether an append-only file is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Aof {
    /// No append-only file
    No,
    /// appendfsync everysec
    Everysec,
    /// appendfsync always
    Always,
}

/// Runs the measurements, prints their tables and the bars, and writes the JSON.
///
/// # Errors
/// When a server cannot be started, answers a command with an error or goes away, or the file cannot be written.
pub fn run(args: BenchArgs) -> Result<()> {
    let wanted = |part: What| args.what == part || args.what == What::All;
    let lab = LabOptions {
        target: TargetArgs { url: None, module: args.module.clone(), redis_server: args.redis_server.clone() },
        aof: args.aof,
        realtime: args.realtime,
    };
    let conditions = Lab::start(&lab, &[], &[])?.conditions()?;
    println!("{conditions}");
    let mut parts = Map::from_iter([("conditions".to_string(), Value::from(conditions))]);
    let mut bars: Vec<Bar> = Vec::new();
    if wanted(What::Cpu) {
        let results = cpu::run(&lab, &args.cpu_options())?;
        bars.extend(cpu::bars(&results));
        parts.insert("cpu".into(), serde_json::to_value(results)?);
    }
    if wanted(What::Life) {
        let result = life::run(&lab, &args.life_options())?;
        bars.extend(life::bars(&result));
        parts.insert("life".into(), serde_json::to_value(result)?);
    }
    if wanted(What::Wake) {
        let result = wake::run(&lab, args.wakes)?;
        bars.extend(wake::bars(&result));
        parts.insert("wake".into(), serde_json::to_value(result)?);
    }
    if wanted(What::Retry) {
        let result = retry::run(&lab, args.retries, args.burst)?;
        bars.extend(retry::bars(&result));
        parts.insert("retry".into(), serde_json::to_value(result)?);
    }
    if wanted(What::Memory) {
        let result = memory::run(&lab, args.orders)?;
        bars.extend(memory::bars(&result));
        parts.insert("memory".into(), serde_json::to_value(result)?);
    }
    if wanted(What::Metrics) {
        let result = metrics::run(&lab, args.rounds, args.ops)?;
        bars.extend(metrics::bars(&result));
        parts.insert("metrics".into(), serde_json::to_value(result)?);
    }
    if wanted(What::Growth) {
        let result = growth::run(&lab, args.grow)?;
        bars.extend(growth::bars(&result));
        parts.insert("growth".into(), serde_json::to_value(result)?);
    }
    if wanted(What::Due) {
        let result = due::run(&lab, args.holds)?;
        bars.extend(due::bars(&result));
        parts.insert("due".into(), serde_json::to_value(result)?);
    }
    if wanted(What::Load) {
        let results = load::run(&lab, args.orders)?;
        bars.extend(load::bars(&results));
        parts.insert("load".into(), serde_json::to_value(results)?);
    }
    finish(&args, parts, &bars)
}

fn finish(args: &BenchArgs, mut parts: Map<String, Value>, bars: &[Bar]) -> Result<()> {
    if !bars.is_empty() {
        println!("\n{}", report::bars_table(bars));
    }
    parts.insert("bars".into(), serde_json::to_value(bars)?);
    match &args.json {
        Some(path) => write_json(path, &json!(parts)),
        None => Ok(()),
    }
}

fn write_json(path: &Path, document: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(document)? + "\n";
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
