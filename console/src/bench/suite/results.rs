//! What the suite measured, as it stands in its JSON file. Everything that is shown is read from there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::terms::{Contender, Durability, Shape, Workload};
use crate::bench::probe::Waits;
use crate::bench::report::Bar;
use crate::bench::rounds::Summary;

/// The version of the file's structure.
pub const FORMAT: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    pub format: u32,
    /// Whether the run was a short one, made to see that all works: its numbers mean little.
    pub quick: bool,
    /// The day of the run, UTC.
    pub measured_on: String,
    pub took_s: u64,
    pub machine: Machine,
    /// The version of each program.
    pub versions: BTreeMap<String, String>,
    /// How PostgreSQL was tuned.
    pub postgres_settings: Vec<String>,
    pub rounds: RoundsPlan,
    /// What was not measured, and why.
    pub skipped: Vec<String>,
    pub cells: Vec<Cell>,
    pub bytes: Vec<BytesCell>,
    pub stores: Vec<ScaleCell>,
    pub cluster: Vec<ScaleCell>,
    pub bars: Vec<Bar>,
    /// The single measurements behind the bars.
    pub measurements: serde_json::Value,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub memory_bytes: u64,
    pub kernel: String,
    /// Of the file system that all servers wrote to.
    pub filesystem: String,
    /// A write of 4 KiB and fdatasync there, median, microseconds.
    pub fsync_p50_us: u64,
    /// Time that the hypervisor kept cores for others during the run, milliseconds.
    pub stolen_ms: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoundsPlan {
    pub count: u32,
    /// Under load before a round counts, milliseconds.
    pub warm_ms: u64,
    /// That count, milliseconds.
    pub round_ms: u64,
}

/// One contender at one piece of work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell {
    pub workload: Workload,
    pub contender: Contender,
    pub durability: Durability,
    pub shape: Shape,
    #[serde(flatten)]
    pub figures: Figures,
}

/// What an open order of one item takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BytesCell {
    pub contender: Contender,
    pub orders: u64,
    /// Of the server's memory; with PostgreSQL, of the tables and indexes of orders and customers.
    pub bytes_an_order: f64,
}

/// Holdfast on many stores or nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScaleCell {
    pub stores: u32,
    pub primaries: u32,
    pub shape: Shape,
    #[serde(flatten)]
    pub figures: Figures,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// Orders in the rounds that count.
    pub orders: u64,
    pub orders_per_s: Summary,
    /// CPU an order of all the server's threads and processes, microseconds.
    pub server_cpu_us: Summary,
    /// CPU an order of the process that sends them, microseconds.
    pub client_cpu_us: Summary,
    /// From sending a pipeline to its last reply, over all rounds.
    pub latency: Waits,
}

impl Results {
    /// A cell; where the contender can have only one order under way, that of this.
    pub fn cell(
        &self,
        workload: Workload,
        contender: Contender,
        durability: Durability,
        shape: Shape,
    ) -> Option<&Cell> {
        let wanted = (workload, contender, durability, shape.of(contender));
        self.cells.iter().find(|cell| (cell.workload, cell.contender, cell.durability, cell.shape) == wanted)
    }
}
