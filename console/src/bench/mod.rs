//! `holdfast bench`: what the module costs, measured in one run on one machine against the bars it is to reach.
//! Every measurement starts a redis-server of its own. Only an error reply or a server that fails ends a run.

mod clock;
mod cpu;
mod due;
mod gate;
mod growth;
mod life;
mod load;
mod memory;
mod metrics;
mod probe;
mod report;
mod retry;
mod rounds;
mod stalls;
mod subject;
mod wake;
mod wire;
mod workload;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Map, Value};

use self::cpu::CpuArgs;
use self::gate::GateArgs;
use self::life::LifeArgs;
use self::report::Part;
use self::subject::{Subject, SubjectArgs};

/// Options of `holdfast bench`.
#[derive(clap::Args, Debug)]
pub struct BenchArgs {
    /// What to measure
    #[arg(value_enum, default_value = "all")]
    what: What,
    #[command(flatten)]
    subject: SubjectArgs,
    /// Write the results as JSON to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    cpu: CpuArgs,
    /// cpu, metrics: operations of a case in a round (with cpu, a quarter of it at a pipeline under 8)
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    ops: u64,
    /// cpu, life, metrics: rounds that count, after one to warm up
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    #[command(flatten)]
    life: LifeArgs,
    /// wake: wake-ups in each way
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    wakes: u64,
    /// retry: orders that fail one by one
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    retries: u64,
    /// retry: orders that are due in the same millisecond
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    burst: u64,
    /// memory, load, stalls: open orders
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    orders: u64,
    /// growth: open orders at the end (the bar is about 5000000)
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    grow: u64,
    /// due: holds
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    holds: u64,
    #[command(flatten)]
    gate: GateArgs,
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
    /// The longest command and the longest turn while a big store is audited or deleted, or callers are woken
    Stalls,
    /// How fast an RDB loads
    Load,
    /// All of these
    All,
    /// Instructions and cache misses under callgrind, against the figures that the repository keeps
    Gate,
}

impl BenchArgs {
    fn measure(&self, what: What) -> Result<Part> {
        match what {
            What::Cpu => cpu::run(&self.subject, &self.cpu, self.rounds, self.ops),
            What::Life => life::run(&self.subject, &self.life, self.rounds),
            What::Wake => wake::run(&self.subject, self.wakes),
            What::Retry => retry::run(&self.subject, self.retries, self.burst),
            What::Memory => memory::run(&self.subject, self.orders),
            What::Metrics => metrics::run(&self.subject, self.rounds, self.ops),
            What::Growth => growth::run(&self.subject, self.grow),
            What::Due => due::run(&self.subject, self.holds),
            What::Stalls => stalls::run(&self.subject, self.orders),
            What::Load => load::run(&self.subject, self.orders),
            What::All | What::Gate => Ok((Value::Null, Vec::new())),
        }
    }
}

/// Runs the measurements, prints and writes the results. Fails when a server does, or the file cannot be written.
pub fn run(args: BenchArgs) -> Result<()> {
    if args.what == What::Gate {
        return gate::run(&args.subject.own, &args.gate);
    }
    let conditions = Subject::start(&args.subject, &[], &[])?.conditions()?;
    println!("{conditions}");
    let mut document = Map::from_iter([("conditions".to_string(), Value::from(conditions))]);
    let mut bars = Vec::new();
    let is_part = |what: What| what != What::All && what != What::Gate;
    let is_wanted = |what: &&What| is_part(**what) && [**what, What::All].contains(&args.what);
    for &what in What::value_variants().iter().filter(is_wanted) {
        let (result, reached) = args.measure(what)?;
        bars.extend(reached);
        document.insert(format!("{what:?}").to_lowercase(), result);
    }
    if !bars.is_empty() {
        println!("\n{}", report::bars_table(&bars));
    }
    document.insert("bars".into(), serde_json::to_value(bars)?);
    let Some(path) = &args.json else { return Ok(()) };
    let text = serde_json::to_string_pretty(&document)? + "\n";
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
