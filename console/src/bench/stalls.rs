//! What might stop a server for long: a big store that is audited or deleted, and thousands of callers that are woken
//! at once. Time is taken by the server itself: a command's by INFO latencystats, a turn of the module's own work by
//! INFO holdfast. What the host does to the machine shows in the PINGs of a second client.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use redis::{Cmd, cmd};
use serde::Serialize;
use serde_json::json;

use super::probe::{PingProbe, Waits};
use super::report::{Bar, Part, table};
use super::subject::{Subject, SubjectArgs};
use super::workload::{Case, FILL_PIPELINE, LEASE_MS, STORE, WORKER};
use crate::text::{grouped, ms};

/// No command and no turn may take longer, in microseconds.
const LONGEST_BAR_US: u64 = 5_000;
/// Callers that wait in ORDER.CLAIM.
const CLAIMERS: u64 = 10_000;
/// Orders that one claim takes under a lease.
const LEASED_AT_ONCE: usize = 1_000;
/// A lease that expires once all callers wait, milliseconds.
const SHORT_MS: u64 = 8_000;
/// An order whose lease expired is not dead.
const ATTEMPTS: u64 = 10;
/// The server allows as many clients, and a few more.
const MAX_CLIENTS: &str = "maxclients 10100";
const REPLY_DEADLINE: Duration = Duration::from_secs(120);
/// The server keeps a histogram a command; its 100th percentile is the slowest one.
pub const TRACK_SLOWEST: [&str; 2] = ["latency-tracking yes", "latency-tracking-info-percentiles 100"];
const LATENCY_FIELD: &str = "latency_percentiles_usec_";
/// The field of INFO holdfast.
const TURN_FIELD: &str = "holdfast_longest_turn_us";

/// The longest times by the server's own clock.
#[derive(Debug, Serialize)]
pub struct Longest {
    pub command: String,
    pub command_us: f64,
    /// CPU of the longest turn of the module's own work since the server started, microseconds.
    pub turn_us: u64,
}

impl Longest {
    /// Since the server's statistics were reset. Fails when the server does not say.
    pub fn of(subject: &mut Subject) -> Result<Longest> {
        let (command, command_us) = slowest_command(subject)?;
        let turn_us = longest_turn_us(subject)?.with_context(|| format!("INFO has no {TURN_FIELD}"))?;
        Ok(Longest { command, command_us, turn_us })
    }

    /// The bar for what was measured during `work`.
    pub fn bar(&self, work: String) -> Bar {
        let command_us = self.command_us.ceil() as u64;
        Bar {
            work,
            bar: format!("command and turn at most {}", ms(LONGEST_BAR_US)),
            measured: format!("{} {}, turn {}", self.command, ms(command_us), ms(self.turn_us)),
            reached: command_us.max(self.turn_us) <= LONGEST_BAR_US,
        }
    }
}

/// CPU of the longest turn of the module's own work since the server started, microseconds, where the module is loaded.
/// Fails when the server is gone.
pub fn longest_turn_us(subject: &mut Subject) -> Result<Option<u64>> {
    Ok(subject.info("holdfast")?.get(TURN_FIELD))
}

/// The slowest command since the server's statistics were reset, and how long it ran, microseconds. The server must be
/// started with [`TRACK_SLOWEST`]. Fails when it does not say.
pub fn slowest_command(subject: &mut Subject) -> Result<(String, f64)> {
    let stats = subject.info("latencystats")?;
    let slowest = stats.keys().filter_map(|field| parse_slowest(field, &stats.get::<String>(field)?));
    slowest.max_by(|a, b| a.1.total_cmp(&b.1)).context("INFO latencystats names no command")
}

/// `latency_percentiles_usec_xadd` and `p100=1003.519`.
fn parse_slowest(field: &str, value: &str) -> Option<(String, f64)> {
    let command = field.strip_prefix(LATENCY_FIELD)?;
    let us = value.trim().strip_prefix("p100=")?.parse().ok()?;
    Some((command.to_string(), us))
}

#[derive(Debug, Serialize)]
struct Stall {
    what: String,
    longest: Longest,
    ping: Waits,
}

/// Runs each scenario on a server of its own. Fails when a server does, or answers a command with an error.
pub fn run(args: &SubjectArgs, orders: u64) -> Result<Part> {
    let big = |what: &str, command: Cmd| {
        let subject = filled(args, orders)?;
        watch(subject, format!("{what}, {} orders", grouped(orders)), |wire| wire.call(&command).map(drop))
    };
    let command = |name: &str| cmd(name).arg(STORE).take();
    let stalls = [
        big("STORE.AUDIT", command("STORE.AUDIT"))?,
        big("STORE.DROP", command("STORE.DROP"))?,
        big("DEL", command("DEL"))?,
        wake(args, "woken by orders", 0, |subject| subject.fill(Case::Place, 0..CLAIMERS, FILL_PIPELINE))?,
        // Leases that expire make all orders available at once.
        wake(args, "woken by leases", CLAIMERS, |_| Ok(()))?,
        wake(args, "woken by STORE.DROP", 0, |subject| subject.wire()?.call(&command("STORE.DROP")).map(drop))?,
    ];
    let rows = stalls.iter().map(|stall| {
        let command = format!("{} {}", stall.longest.command, ms(stall.longest.command_us as u64));
        vec![stall.what.clone(), command, ms(stall.longest.turn_us), ms(stall.ping.max_us)]
    });
    println!("\nstalls\n{}", table(&["work", "slowest command", "longest turn", "worst PING"], rows));
    let bars = stalls.iter().map(|stall| stall.longest.bar(stall.what.clone())).collect();
    Ok((json!(stalls), bars))
}

fn filled(args: &SubjectArgs, orders: u64) -> Result<Subject> {
    let mut subject = Subject::start(args, &[Case::Place], &TRACK_SLOWEST)?;
    Case::Place.prepare(&mut subject.control)?;
    subject.fill(Case::Place, 0..orders, FILL_PIPELINE)?;
    Ok(subject)
}

fn watch(mut subject: Subject, what: String, work: impl FnOnce(&mut super::wire::Wire) -> Result<()>) -> Result<Stall> {
    cmd("CONFIG").arg("RESETSTAT").exec(&mut subject.control)?;
    let probe = PingProbe::start(&subject)?;
    work(&mut subject.wire()?)?;
    let ping = probe.stop()?;
    Ok(Stall { what, longest: Longest::of(&mut subject)?, ping })
}

/// Has many callers wait for orders, and then not any more. Another worker has some orders under a short lease.
fn wake(args: &SubjectArgs, how: &str, leased: u64, wake: impl FnOnce(&Subject) -> Result<()>) -> Result<Stall> {
    let config = [&TRACK_SLOWEST[..], &[MAX_CLIENTS]].concat();
    let mut subject = Subject::start(args, &[Case::Place], &config)?;
    Case::Place.prepare(&mut subject.control)?;
    cmd("STORE.SET").arg(STORE).arg("attempts").arg(ATTEMPTS).exec(&mut subject.control)?;
    subject.fill(Case::Place, 0..leased, FILL_PIPELINE)?;
    for _ in (0..leased).step_by(LEASED_AT_ONCE) {
        let claim = cmd("ORDER.CLAIM").arg(STORE).arg("late").arg(("COUNT", LEASED_AT_ONCE, "LEASE", SHORT_MS)).take();
        subject.wire()?.call(&claim)?;
    }
    let claim = cmd("ORDER.CLAIM").arg(STORE).arg(WORKER).arg(("LEASE", LEASE_MS, "BLOCK", 0)).get_packed_command();
    let claimers: Vec<TcpStream> = (0..CLAIMERS).map(|_| claimer(&subject, &claim)).collect::<Result<_>>()?;
    holdfast_lab::wait::wait_for(REPLY_DEADLINE, "all callers wait", || {
        let clients = subject.info("clients")?;
        Ok((clients.get("blocked_clients") == Some(CLAIMERS)).then_some(()))
    })?;
    cmd("CONFIG").arg("RESETSTAT").exec(&mut subject.control)?;
    let probe = PingProbe::start(&subject)?;
    wake(&subject)?;
    claimers.iter().try_for_each(first_line)?;
    let ping = probe.stop()?;
    Ok(Stall { what: format!("{} callers {how}", grouped(CLAIMERS)), longest: Longest::of(&mut subject)?, ping })
}

fn claimer(subject: &Subject, claim: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", subject.server.port())).context("connecting a caller")?;
    stream.set_read_timeout(Some(REPLY_DEADLINE))?;
    stream.write_all(claim)?;
    Ok(stream)
}

/// Waits for the reply: a list, which may be empty.
fn first_line(stream: &TcpStream) -> Result<()> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    ensure!(line.starts_with('*'), "ORDER.CLAIM must reply a list, got '{}'", line.trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_slowest;

    #[test]
    fn reads_the_slowest_of_a_command() {
        let seen = parse_slowest("latency_percentiles_usec_order.place", "p100=1003.519\r");
        assert_eq!(seen, Some(("order.place".to_string(), 1003.519)));
        assert_eq!(parse_slowest("used_memory", "p100=1"), None);
        assert_eq!(parse_slowest("latency_percentiles_usec_xadd", "p50=1.0"), None);
    }
}
