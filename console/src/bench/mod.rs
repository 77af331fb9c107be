//! `holdfast bench`: what the module costs, measured in one run on one machine against the bars it is to reach.
//! Every measurement starts a redis-server of its own. Only an error reply or a server that fails ends a run.

mod clock;
mod contenders;
mod cpu;
mod due;
mod gate;
mod growth;
mod life;
mod load;
mod memory;
mod metrics;
mod node;
mod pace;
mod probe;
mod render;
mod report;
mod retry;
mod rounds;
mod stalls;
mod subject;
mod suite;
mod wake;
mod wire;
mod workload;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Map, Value};

use self::cpu::CpuArgs;
use self::gate::GateArgs;
use self::life::LifeArgs;
use self::render::RenderArgs;
use self::report::{Bar, Part};
use self::subject::{Subject, SubjectArgs};
use self::suite::{Besides, ScaleArgs, SuiteArgs};

/// Options of `holdfast bench`.
#[derive(clap::Args, Debug)]
pub struct BenchArgs {
    #[command(flatten)]
    measure: MeasureArgs,
    #[command(subcommand)]
    command: Option<BenchCommand>,
}

#[derive(clap::Subcommand, Debug)]
enum BenchCommand {
    /// Measure all, beside what people use instead, and write the results to a file
    Suite(SuiteArgs),
    /// Holdfast on 1 to 1,000 stores, and on a cluster of 1 to 3 primaries
    Scale(ScaleArgs),
    /// Make the pages and pictures of such a file
    Render(RenderArgs),
    /// Instructions and cache misses under callgrind, against the figures that the repository keeps
    Gate(GateArgs),
}

/// Single measurements, and the server they are made with.
#[derive(clap::Args, Debug)]
struct MeasureArgs {
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
    /// pace: orders a second
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    pace: u64,
    /// pace: seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pace_s: u64,
    /// memory, load, stalls: open orders
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    orders: u64,
    /// growth: open orders at the end
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    grow: u64,
    /// due: holds
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    holds: u64,
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
    /// How long orders take at a steady pace, with a waiting worker
    Pace,
    /// Bytes per open order, and per ended one
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
}

impl MeasureArgs {
    /// Runs and prints the measurements that are wanted.
    fn run(&self) -> Result<(Value, Vec<Bar>)> {
        let conditions = Subject::start(&self.subject, &[], &[])?.conditions()?;
        println!("{conditions}");
        let mut document = Map::from_iter([("conditions".to_string(), Value::from(conditions))]);
        let mut bars = Vec::new();
        let is_wanted = |what: &&What| **what != What::All && [**what, What::All].contains(&self.what);
        for &what in What::value_variants().iter().filter(is_wanted) {
            let (result, reached) = self.measure(what)?;
            bars.extend(reached);
            document.insert(format!("{what:?}").to_lowercase(), result);
        }
        if !bars.is_empty() {
            println!("\n{}", report::bars_table(&bars));
        }
        Ok((Value::from(document), bars))
    }

    fn measure(&self, what: What) -> Result<Part> {
        match what {
            What::Cpu => cpu::run(&self.subject, &self.cpu, self.rounds, self.ops),
            What::Life => life::run(&self.subject, &self.life, self.rounds),
            What::Wake => wake::run(&self.subject, self.wakes),
            What::Retry => retry::run(&self.subject, self.retries, self.burst),
            What::Pace => pace::run(&self.subject, self.pace, self.pace_s),
            What::Memory => memory::run(&self.subject, self.orders),
            What::Metrics => metrics::run(&self.subject, self.rounds, self.ops),
            What::Growth => growth::run(&self.subject, self.grow),
            What::Due => due::run(&self.subject, self.holds),
            What::Stalls => stalls::run(&self.subject, self.orders),
            What::Load => load::run(&self.subject, self.orders),
            What::All => Ok((Value::Null, Vec::new())),
        }
    }
}

/// Runs what was asked for. Fails when a server does, or a file cannot be written.
pub fn run(args: BenchArgs) -> Result<()> {
    match &args.command {
        None => print_and_write(&args.measure),
        Some(BenchCommand::Render(render)) => render::run(render),
        Some(BenchCommand::Gate(gate)) => gate::run(gate),
        Some(BenchCommand::Scale(scale)) => suite::run_scale(scale, &args.measure.subject),
        Some(BenchCommand::Suite(suite)) => {
            let start = Instant::now();
            let (measurements, bars) = if suite.is_quick() { Default::default() } else { args.measure.run()? };
            suite::run(suite, &args.measure.subject, Besides { start, measurements, bars })
        }
    }
}

/// Runs the measurements, prints and writes the results.
fn print_and_write(args: &MeasureArgs) -> Result<()> {
    let (mut document, bars) = args.run()?;
    document["bars"] = serde_json::to_value(bars)?;
    let Some(path) = &args.json else { return Ok(()) };
    let text = serde_json::to_string_pretty(&document)? + "\n";
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
