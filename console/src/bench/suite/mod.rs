//! `holdfast bench suite`: Holdfast and what people use instead, side by side on one machine, into one JSON file.

mod bytes;
mod machine;
mod measure;
pub mod plan;
pub mod results;
mod scale;
pub mod terms;
pub mod work;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::ValueEnum;
use comfy_table::Table;
use serde_json::Value;

use self::results::{Cell, FORMAT, Figures, Machine, Results, RoundsPlan};
use self::terms::Contender;
use super::clock::stolen_ms;
use super::contenders::Setup;
use super::contenders::postgres::{PostgresServer, TUNING};
use super::node;
use super::report::{Bar, table};
use super::subject::SubjectArgs;
use crate::text::{grouped, ms};

const STANDARD: RoundsPlan = RoundsPlan { count: 3, warm_ms: 200, round_ms: 800 };
const QUICK: RoundsPlan = RoundsPlan { count: 1, warm_ms: 50, round_ms: 150 };

/// Options of `holdfast bench suite`.
#[derive(clap::Args, Clone, Debug)]
pub struct SuiteArgs {
    /// Write the results to this file; `holdfast bench render` makes a page of it
    #[arg(long, value_name = "FILE")]
    json: PathBuf,
    /// Only see whether all works: short rounds, no bars. The numbers mean little
    #[arg(long)]
    quick: bool,
    /// Who takes part
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Contender::value_variants().to_vec())]
    contenders: Vec<Contender>,
    /// Where to install BullMQ with npm [default: bench-node next to this program]
    #[arg(long, value_name = "DIR")]
    node_dir: Option<PathBuf>,
}

/// Options of `holdfast bench scale`.
#[derive(clap::Args, Clone, Debug)]
pub struct ScaleArgs {
    /// Only see whether all works: short rounds
    #[arg(long)]
    quick: bool,
}

fn rounds(is_quick: bool) -> RoundsPlan {
    if is_quick { QUICK } else { STANDARD }
}

/// Measures and prints many stores and a cluster alone. Fails when a server does.
pub fn run_scale(args: &ScaleArgs, subject: &SubjectArgs) -> Result<()> {
    let setup = Setup { subject: subject.clone(), postgres: None, node_dir: None };
    scale::measure(&setup, &rounds(args.quick)).map(drop)
}

impl SuiteArgs {
    pub fn is_quick(&self) -> bool {
        self.quick
    }

    /// Starts what contenders need; who cannot take part, and why.
    fn set_up(&self, subject: &SubjectArgs) -> (Setup, Vec<String>) {
        let mut skipped = Vec::new();
        let is_wanted = |has: fn(Contender) -> bool| self.contenders.iter().any(|contender| has(*contender));
        let mut provide = |what: &str, outcome: Result<()>| match outcome {
            Ok(()) => {}
            Err(error) => skipped.push(format!("{what}: {error:#}")),
        };
        let mut setup = Setup { subject: subject.clone(), postgres: None, node_dir: None };
        if is_wanted(Contender::is_postgres) {
            let started = PostgresServer::start().map(|server| setup.postgres = Some(Rc::new(server)));
            provide("PostgreSQL", started);
        }
        if is_wanted(Contender::is_on_node) {
            let installed = node::install(self.node_dir.as_deref()).map(|dir| setup.node_dir = Some(dir));
            provide("BullMQ, and Holdfast from Node", installed);
        }
        (setup, skipped)
    }
}

/// What was measured besides the suite, and since when.
pub struct Besides {
    pub start: Instant,
    pub measurements: Value,
    pub bars: Vec<Bar>,
}

/// Runs the suite and writes its results, with what was measured besides. Fails when a server does, an order is not
/// taken as it should, or the file cannot be written.
pub fn run(args: &SuiteArgs, subject: &SubjectArgs, besides: Besides) -> Result<()> {
    let stolen = stolen_ms()?;
    let (setup, mut skipped) = args.set_up(subject);
    let rounds = rounds(args.quick);
    let contenders: Vec<_> = args.contenders.iter().copied().filter(|contender| setup.has(*contender)).collect();
    let cells = measure_groups(&setup, &contenders, &rounds, &mut skipped)?;
    let bytes = bytes::measure(&setup, &contenders, args.quick, &mut skipped)?;
    let (stores, cluster) = scale::measure(&setup, &rounds)?;
    skipped.iter().for_each(|what| println!("not measured: {what}"));
    let results = Results {
        format: FORMAT,
        quick: args.quick,
        measured_on: chrono::Utc::now().date_naive().to_string(),
        machine: Machine { stolen_ms: stolen_ms()? - stolen, ..machine::machine()? },
        versions: machine::versions(&setup)?,
        postgres_settings: TUNING.iter().map(ToString::to_string).collect(),
        rounds,
        skipped,
        cells,
        bytes,
        stores,
        cluster,
        took_s: besides.start.elapsed().as_secs(),
        bars: besides.bars,
        measurements: besides.measurements,
    };
    write(&args.json, &results)
}

/// All groups, one after the other. Who fails is added to `skipped`.
fn measure_groups(
    setup: &Setup,
    contenders: &[Contender],
    rounds: &RoundsPlan,
    skipped: &mut Vec<String>,
) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for group in plan::groups(contenders) {
        println!("\n{}; {}; {}", group.workload, group.shape, group.durability);
        let measured = measure::measure(setup, &group, rounds)?;
        println!("{}", table_of(&measured.cells));
        cells.extend(measured.cells);
        skipped.extend(measured.failed);
    }
    Ok(cells)
}

fn write(path: &Path, results: &Results) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let text = serde_json::to_string_pretty(results)? + "\n";
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    println!("\n{} written after {} s", path.display(), results.took_s);
    Ok(())
}

fn table_of(cells: &[Cell]) -> Table {
    let rows = cells.iter().map(|cell| {
        let Figures { orders_per_s, server_cpu_us, latency, .. } = &cell.figures;
        vec![
            cell.contender.to_string(),
            grouped(orders_per_s.median as u64),
            format!("± {:.0} %", orders_per_s.spread_percent()),
            format!("{:.2}", server_cpu_us.median),
            ms(latency.p50_us),
            ms(latency.p99_us),
            ms(latency.max_us),
        ]
    });
    table(&["", "orders/s", "spread", "server µs/order", "p50", "p99", "max"], rows)
}
