//! How fast an RDB with open orders loads, beside one with the same bare stream entries: each is saved by one server,
//! then both are loaded in turns by others, timed by their own logs.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::json;

use super::clock::stolen_ms;
use super::report::{Part, table};
use super::rounds::Summary;
use super::subject::{Subject, SubjectArgs};
use super::workload::{Case, FILL_PIPELINE, ORDERS};
use crate::text::grouped;

/// Times the load of the same entries without a store. The store's RDB holds these too, so they are one of the five.
const LOAD_BAR: f64 = 5.0;
/// How often each RDB is loaded.
const LOADS: usize = 5;
/// What the server logs when it has loaded an RDB, before the seconds it took.
const LOADED_LINE: &str = "DB loaded from disk: ";

/// An RDB, and the server that saved it, which removes it when it ends.
struct Saved {
    _server: Subject,
    dir: PathBuf,
    case: Case,
    orders: u64,
    rdb_bytes: u64,
    /// By the wall clock.
    save_s: f64,
}

#[derive(Debug, Serialize)]
struct LoadResult {
    case: Case,
    orders: u64,
    rdb_bytes: u64,
    save_s: f64,
    /// By the server's log.
    load_s: Summary,
}

impl LoadResult {
    fn orders_per_s(&self) -> f64 {
        self.orders as f64 / self.load_s.median
    }
}

/// Saves and loads open orders, and as many bare entries. Fails when a server does, or orders are missing afterwards.
pub fn run(args: &SubjectArgs, orders: u64) -> Result<Part> {
    // With an AOF the server would load that instead.
    let args = args.without_aof();
    let saved = [Saved::make(&args, Case::Xadd, orders)?, Saved::make(&args, Case::Place, orders)?];
    let stolen_before = stolen_ms()?;
    // In turns, so that both meet the same machine.
    let rounds = (0..LOADS).map(|_| Ok([saved[0].load(&args)?, saved[1].load(&args)?])).collect::<Result<Vec<_>>>()?;
    let stolen_ms = stolen_ms()? - stolen_before;
    let ratio = Summary::of(rounds.iter().map(|[xadd, place]| place / xadd).collect());
    let [xadd, place] = &saved;
    let results = [
        xadd.result(rounds.iter().map(|[xadd, _]| *xadd).collect()),
        place.result(rounds.iter().map(|[_, place]| *place).collect()),
    ];
    print(&results, stolen_ms);
    let bar = ratio.at_most("RDB load, open orders / bare stream entries", LOAD_BAR);
    Ok((json!({ "results": results, "ratio": ratio, "stolen_ms": stolen_ms }), vec![bar]))
}

impl Saved {
    /// Fills a server and saves what it has.
    fn make(args: &SubjectArgs, case: Case, orders: u64) -> Result<Saved> {
        let mut server = Subject::start(args, &[case], &[])?;
        case.prepare(&mut server.control)?;
        server.fill(case, 0..orders, FILL_PIPELINE)?;
        let start = Instant::now();
        redis::cmd("SAVE").exec(&mut server.control).context("SAVE")?;
        let save_s = start.elapsed().as_secs_f64();
        let dir = server.server.dir().to_path_buf();
        let rdb_bytes = fs::metadata(dir.join("dump.rdb")).context("looking at the RDB")?.len();
        // The server stays until the end, since its directory is removed with it; but it frees its memory. With no
        // save points set, FLUSHALL leaves the file alone.
        redis::cmd("FLUSHALL").arg("SYNC").exec(&mut server.control)?;
        Ok(Saved { _server: server, dir, case, orders, rdb_bytes, save_s })
    }

    /// Starts a server on the RDB; the seconds it took to load it.
    fn load(&self, args: &SubjectArgs) -> Result<f64> {
        let mut subject = Subject::start(args, &[self.case], &[&format!("dir \"{}\"", self.dir.display())])?;
        let entries: u64 = redis::cmd("XLEN").arg(ORDERS).query(&mut subject.control)?;
        ensure!(entries == self.orders, "{entries} orders in {ORDERS} after the load, {} before", self.orders);
        let log = subject.server.log();
        loaded_seconds(&log).with_context(|| format!("no {LOADED_LINE:?} in the server's log:\n{log}"))
    }

    fn result(&self, loads_s: Vec<f64>) -> LoadResult {
        let load_s = Summary::of(loads_s);
        LoadResult { case: self.case, orders: self.orders, rdb_bytes: self.rdb_bytes, save_s: self.save_s, load_s }
    }
}

fn loaded_seconds(log: &str) -> Option<f64> {
    let (_, rest) = log.rsplit_once(LOADED_LINE)?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

fn print(results: &[LoadResult], stolen_ms: u64) {
    println!("\nRDB: saved by one server, loaded {LOADS} times by others; {stolen_ms} ms were stolen meanwhile");
    let rows = results.iter().map(|result| {
        vec![
            result.case.to_string(),
            grouped(result.orders),
            format!("{:.1}", result.rdb_bytes as f64 / result.orders as f64),
            format!("{:.2} s", result.save_s),
            format!("{:.3} s", result.load_s.median),
            format!("{:.3} to {:.3} s", result.load_s.min, result.load_s.max),
            grouped(result.orders_per_s() as u64),
        ]
    });
    let header = ["made by", "orders", "bytes/order", "save", "load", "all loads", "orders/s"];
    println!("{}", table(&header, rows));
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
