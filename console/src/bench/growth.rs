//! Growth from nothing to millions of open orders: does any command on the way stop the server?
//!
//! The same entries by bare XADD come first, as the measure of the machine's own noise: a server that has to wait for
//! a core looks slow, whatever it runs.

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::clock::{CpuTime, stolen_ms};
use super::probe::{PingProbe, Waits};
use super::report::{Bar, Part, table};
use super::stalls::{TRACK_SLOWEST, longest_turn_us, slowest_command};
use super::subject::{Subject, SubjectArgs};
use super::workload::{Case, FILL_PIPELINE};
use crate::text::{grouped, ms};

/// No command may take longer, in microseconds.
const SLOWEST_BAR_US: u64 = 5_000;
/// The growth is measured in this many steps, to see in which one something was slow.
const STEPS: u64 = 10;

#[derive(Debug, Serialize)]
struct Step {
    /// Orders at its end.
    orders: u64,
    /// CPU of the main thread an order, microseconds.
    cpu_us: f64,
    /// The slowest command's name, as INFO latencystats has it.
    slowest_command: String,
    /// How long it ran by the server's clock, microseconds.
    slowest_us: f64,
    /// CPU of the longest turn of the module's own work since the server started, microseconds.
    turn_us: Option<u64>,
    /// What a second client sending PING saw.
    ping: Waits,
    waited_for_core_ms: f64,
    stolen_ms: u64,
}

/// Places `orders` open orders and watches. Fails when the server does not start or answers a command with an error.
pub fn run(args: &SubjectArgs, orders: u64) -> Result<Part> {
    let xadd = grow(args, Case::Xadd, orders)?;
    let place = grow(args, Case::Place, orders)?;
    print(&place, &xadd, orders);
    let slowest = |steps: &[Step]| steps.iter().map(|step| step.slowest_us).fold(0.0, f64::max);
    let [place_us, xadd_us] = [&place, &xadd].map(|steps| slowest(steps).ceil() as u64);
    let work = format!("slowest command, 0 to {} open orders", grouped(orders));
    let bar = Bar::wait(work, place_us, SLOWEST_BAR_US, ("bare XADD", xadd_us));
    let turn_us = place.iter().filter_map(|step| step.turn_us).max().unwrap_or(0);
    println!("longest turn of the module's own work: {}", ms(turn_us));
    Ok((json!({ "place": place, "xadd": xadd }), vec![bar]))
}

fn grow(args: &SubjectArgs, case: Case, orders: u64) -> Result<Vec<Step>> {
    let mut subject = Subject::start(args, &[case], &TRACK_SLOWEST)?;
    case.prepare(&mut subject.control)?;
    (0..STEPS).map(|step| grow_step(&mut subject, case, orders * step / STEPS, orders * (step + 1) / STEPS)).collect()
}

fn grow_step(subject: &mut Subject, case: Case, from: u64, to: u64) -> Result<Step> {
    redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut subject.control)?;
    let probe = PingProbe::start(subject)?;
    let (before, stolen) = (CpuTime::now(subject.pid)?, stolen_ms()?);
    subject.fill(case, from..to, FILL_PIPELINE)?;
    let used = CpuTime::now(subject.pid)?.since(before);
    let ping = probe.stop()?;
    let (slowest_command, slowest_us) = slowest_command(subject)?;
    let turn_us = longest_turn_us(subject)?;
    Ok(Step {
        orders: to,
        cpu_us: used.main_ns as f64 / 1e3 / (to - from).max(1) as f64,
        slowest_command,
        slowest_us,
        turn_us,
        ping,
        waited_for_core_ms: used.waited_ns as f64 / 1e6,
        stolen_ms: stolen_ms()? - stolen,
    })
}

fn print(place: &[Step], xadd: &[Step], orders: u64) {
    println!(
        "\ngrowth: from 0 to {} open orders, pipeline of {FILL_PIPELINE}, a second client sends PING each ms",
        grouped(orders)
    );
    let cells = |step: &Step| {
        [
            format!("{:.2}", step.cpu_us),
            format!("{} {}", step.slowest_command, ms(step.slowest_us as u64)),
            ms(step.ping.max_us),
            format!("{:.0} + {} ms", step.waited_for_core_ms, step.stolen_ms),
        ]
    };
    let rows = place.iter().zip(xadd);
    let rows = rows.map(|(place, xadd)| [&[grouped(place.orders)][..], &cells(place), &cells(xadd)].concat());
    let measured = ["µs CPU/order", "slowest command", "worst PING", "waited + stolen"];
    let header = [&["orders"], &measured[..], &["XADD: µs CPU"], &measured[1..]].concat();
    println!("{}", table(&header, rows));
}
