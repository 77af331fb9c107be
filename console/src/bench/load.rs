//! How fast an RDB with open orders loads: saved by one server, loaded by another, timed by that one's own log.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::json;

use super::clock::stolen_ms;
use super::report::{Bar, Part, table};
use super::subject::{Subject, SubjectArgs};
use super::workload::{Case, FILL_PIPELINE, ORDERS};
use crate::text::{counted, grouped};

const LOAD_BAR_PER_S: f64 = 1_000_000.0;
/// What the server logs when it has loaded an RDB, before the seconds it took.
const LOADED_LINE: &str = "DB loaded from disk: ";

#[derive(Debug, Serialize)]
struct LoadResult {
    case: Case,
    orders: u64,
    rdb_bytes: u64,
    /// By the wall clock.
    save_s: f64,
    /// By the server's log.
    load_s: f64,
    stolen_ms: u64,
}

impl LoadResult {
    fn orders_per_s(&self) -> f64 {
        self.orders as f64 / self.load_s
    }
}

/// Saves and loads open orders, and as many bare entries. Fails when a server does, or orders are missing afterwards.
pub fn run(args: &SubjectArgs, orders: u64) -> Result<Part> {
    // With an AOF the server would load that instead.
    let args = args.without_aof();
    let results = [save_and_load(&args, Case::Xadd, orders)?, save_and_load(&args, Case::Place, orders)?];
    print(&results);
    let [xadd, place] = results.each_ref().map(LoadResult::orders_per_s);
    let bar = Bar {
        work: "RDB load, open orders".to_string(),
        bar: counted!("at least {} orders/s", LOAD_BAR_PER_S as u64),
        measured: counted!("{} orders/s (bare stream entries: {})", place as u64, xadd as u64),
        reached: place >= LOAD_BAR_PER_S,
    };
    Ok((json!(results), vec![bar]))
}

fn save_and_load(args: &SubjectArgs, case: Case, orders: u64) -> Result<LoadResult> {
    let mut first = Subject::start(args, &[case], &[])?;
    case.prepare(&mut first.control)?;
    first.fill(case, 0..orders, FILL_PIPELINE)?;
    let start = Instant::now();
    redis::cmd("SAVE").exec(&mut first.control).context("SAVE")?;
    let save_s = start.elapsed().as_secs_f64();
    let dir = first.server.dir().to_path_buf();
    let rdb_bytes = fs::metadata(dir.join("dump.rdb")).context("looking at the RDB")?.len();
    // The first server stays until the end, since its directory is removed with it; but it frees its memory. With no
    // save points set, FLUSHALL leaves the file alone.
    redis::cmd("FLUSHALL").arg("SYNC").exec(&mut first.control)?;
    let stolen = stolen_ms()?;
    let load_s = load(args, case, &dir, orders)?;
    Ok(LoadResult { case, orders, rdb_bytes, save_s, load_s, stolen_ms: stolen_ms()? - stolen })
}

/// Starts a server on the RDB in `dir`; the seconds it took to load it.
fn load(args: &SubjectArgs, case: Case, dir: &Path, orders: u64) -> Result<f64> {
    let mut subject = Subject::start(args, &[case], &[&format!("dir \"{}\"", dir.display())])?;
    let entries: u64 = redis::cmd("XLEN").arg(ORDERS).query(&mut subject.control)?;
    ensure!(entries == orders, "{entries} orders in {ORDERS} after the load, {orders} before");
    let log = subject.server.log();
    loaded_seconds(&log).with_context(|| format!("no {LOADED_LINE:?} in the server's log:\n{log}"))
}

fn loaded_seconds(log: &str) -> Option<f64> {
    let (_, rest) = log.rsplit_once(LOADED_LINE)?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

fn print(results: &[LoadResult]) {
    println!("\nRDB: saved by one server, loaded by another");
    let rows = results.iter().map(|result| {
        vec![
            result.case.to_string(),
            grouped(result.orders),
            format!("{:.1}", result.rdb_bytes as f64 / result.orders as f64),
            format!("{:.2} s", result.save_s),
            format!("{:.2} s", result.load_s),
            grouped(result.orders_per_s() as u64),
            format!("{} ms", result.stolen_ms),
        ]
    });
    println!("{}", table(&["made by", "orders", "bytes/order", "save", "load", "orders/s", "stolen"], rows));
}

#[cfg(test)]
mod tests {
    use super::loaded_seconds;

    #[test]
    fn finds_the_seconds_in_the_log() {
        let log = "1:M 22 Nov * Done loading RDB, keys loaded: 2\n1:M 22 Nov * DB loaded from disk: 0.812 seconds\n";
        assert_eq!(loaded_seconds(log), Some(0.812));
        assert_eq!(loaded_seconds("1:M * Ready to accept connections"), None);
    }
}
