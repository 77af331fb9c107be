//! Holdfast's integration tests: real servers, spoken to over a socket, with the module loaded.
//!
//! Every test runs once on every server of a matrix: `HOLDFAST_SERVERS` lists paths of server binaries, separated by
//! `:` (`redis-server` from the PATH by default); `HOLDFAST_MODULE` names the module
//! (`target/release/libholdfast.so` by default); `HOLDFAST_STACK` names the folder with other modules that
//! `make servers` fills. A test is called `<server>::<file>::<name>`, so that the usual
//! filters work: `cargo test --test suite -- redis-7.0.15::holds`. `HOLDFAST_SEED` is a number that makes other random
//! cases; what they are is the same for the same number.

mod acl;
mod alerts;
mod bad_input;
mod bench;
mod beside;
mod blocking;
mod chaos;
mod claims;
mod clock;
mod cluster;
mod cmd_info;
mod common;
mod crash;
mod defrag;
mod docs;
mod edits;
mod errors;
mod eviction;
mod fixtures;
mod fleet;
mod gate;
mod gates;
mod grafana;
mod groups;
mod holds;
mod journal;
mod lanes;
mod locks;
mod locks_kept;
mod meddling;
mod memory_full;
mod metrics;
mod migration;
mod model;
mod modes;
mod moves;
mod orders;
mod outsiders;
mod persistence;
mod purge;
mod race;
mod reference;
mod repair;
mod replace;
mod replay;
mod replication;
mod retries;
mod returns;
mod running;
mod sale;
mod sentinels;
mod sizing;
mod slices;
mod stock;
mod store;
mod streams;
mod timeseries;
mod tls;
mod tui;
mod tui_terminal;
mod twins;
mod versions;
mod waitlist;
mod watch;
mod watch_cluster;
mod watch_connections;
mod watch_events;
mod watch_guard;
mod watch_metrics;
mod watch_queue;
mod watch_records;
mod watch_servers;

use common::{ServerBinary, TestFn};
use holdfast_lab::cleanup;
use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;
use std::sync::Arc;

/// The files of the suite, each with its tests.
const FILES: &[(&str, &[(&str, TestFn)])] = &[
    ("acl", acl::TESTS),
    ("alerts", alerts::TESTS),
    ("bad_input", bad_input::TESTS),
    ("bench", bench::TESTS),
    ("beside", beside::TESTS),
    ("blocking", blocking::TESTS),
    ("chaos", chaos::TESTS),
    ("claims", claims::TESTS),
    ("clock", clock::TESTS),
    ("cluster", cluster::TESTS),
    ("cmd_info", cmd_info::TESTS),
    ("crash", crash::TESTS),
    ("defrag", defrag::TESTS),
    ("docs", docs::TESTS),
    ("edits", edits::TESTS),
    ("errors", errors::TESTS),
    ("eviction", eviction::TESTS),
    ("fixtures", fixtures::TESTS),
    ("fleet", fleet::TESTS),
    ("gate", gate::TESTS),
    ("gates", gates::TESTS),
    ("grafana", grafana::TESTS),
    ("groups", groups::TESTS),
    ("holds", holds::TESTS),
    ("journal", journal::TESTS),
    ("lanes", lanes::TESTS),
    ("locks", locks::TESTS),
    ("locks_kept", locks_kept::TESTS),
    ("meddling", meddling::TESTS),
    ("memory_full", memory_full::TESTS),
    ("metrics", metrics::TESTS),
    ("migration", migration::TESTS),
    ("model", model::TESTS),
    ("modes", modes::TESTS),
    ("moves", moves::TESTS),
    ("orders", orders::TESTS),
    ("outsiders", outsiders::TESTS),
    ("persistence", persistence::TESTS),
    ("purge", purge::TESTS),
    ("race", race::TESTS),
    ("reference", reference::TESTS),
    ("repair", repair::TESTS),
    ("replace", replace::TESTS),
    ("replay", replay::TESTS),
    ("replication", replication::TESTS),
    ("retries", retries::TESTS),
    ("returns", returns::TESTS),
    ("running", running::TESTS),
    ("sale", sale::TESTS),
    ("sentinels", sentinels::TESTS),
    ("sizing", sizing::TESTS),
    ("slices", slices::TESTS),
    ("stock", stock::TESTS),
    ("store", store::TESTS),
    ("streams", streams::TESTS),
    ("timeseries", timeseries::TESTS),
    ("tls", tls::TESTS),
    ("tui", tui::TESTS),
    ("tui_terminal", tui_terminal::TESTS),
    ("twins", twins::TESTS),
    ("versions", versions::TESTS),
    ("waitlist", waitlist::TESTS),
    ("watch", watch::TESTS),
    ("watch_cluster", watch_cluster::TESTS),
    ("watch_connections", watch_connections::TESTS),
    ("watch_events", watch_events::TESTS),
    ("watch_guard", watch_guard::TESTS),
    ("watch_metrics", watch_metrics::TESTS),
    ("watch_queue", watch_queue::TESTS),
    ("watch_records", watch_records::TESTS),
    ("watch_servers", watch_servers::TESTS),
];

/// The exit code of a run in which a test failed, as `cargo test` has it.
const FAILED: i32 = 101;

/// One trial for every test on every server of the matrix. Those of TLS are ignored where the server does not speak it:
/// then the summary says so.
fn trials(binaries: &[Arc<ServerBinary>]) -> Vec<Trial> {
    let mut trials = Vec::new();
    for binary in binaries {
        let speaks_tls = binary.speaks_tls();
        for (file, tests) in FILES {
            for (name, test) in *tests {
                let (binary, test) = (binary.clone(), *test);
                let trial = Trial::test(format!("{}::{file}::{name}", binary.label()), move || {
                    test(&binary);
                    Ok(())
                });
                trials.push(trial.with_ignored_flag(*file == "tls" && !speaks_tls));
            }
        }
    }
    trials
}

/// Tests mostly wait, for servers that start and for deadlines: two for each core keep it busy.
fn tests_at_once() -> usize {
    2 * std::thread::available_parallelism().map_or(1, usize::from)
}

fn main() -> ExitCode {
    if fleet::is_worker() {
        return fleet::work();
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert_with(tests_at_once);
    let binaries = match ServerBinary::matrix() {
        Ok(binaries) => binaries,
        Err(message) => {
            eprintln!("holdfast tests: {message}");
            return ExitCode::FAILURE;
        }
    };
    cleanup::install();
    let conclusion = libtest_mimic::run(&arguments, trials(&binaries));
    cleanup::exit(if conclusion.has_failed() { FAILED } else { 0 })
}
