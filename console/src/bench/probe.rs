//! How long callers wait: waits summed up, and a second client that sends PING every millisecond.

use std::fmt::Display;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use redis::cmd;
use serde::{Deserialize, Serialize};

use super::report::table;
use super::subject::Subject;
use super::wire::{Batch, Wire};
use crate::text::{grouped, ms};

/// From one PING to the next; a late reply delays none but its own, since it counts in full.
const INTERVAL: Duration = Duration::from_millis(1);
/// The longest wait that is recorded as it is, in microseconds: a minute.
const MAX_US: u64 = 60_000_000;
const PRECISION: u8 = 3;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Waits {
    pub count: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
}

impl Waits {
    /// Sums up what was recorded in a [`histogram`].
    pub fn of(waits: &Histogram<u64>) -> Waits {
        Waits {
            count: waits.len(),
            p50_us: waits.value_at_quantile(0.50),
            p99_us: waits.value_at_quantile(0.99),
            p999_us: waits.value_at_quantile(0.999),
            max_us: waits.max(),
        }
    }

    fn row(&self, what: impl Display) -> Vec<String> {
        let us = [self.p50_us, self.p99_us, self.p999_us, self.max_us];
        [what.to_string(), grouped(self.count)].into_iter().chain(us.map(ms)).collect()
    }

    /// Prints a row for each of these, in milliseconds, with `what` above their names.
    pub fn print<'a>(what: &str, waits: impl IntoIterator<Item = (impl Display, &'a Waits)>) {
        let rows = waits.into_iter().map(|(name, waits)| waits.row(name));
        println!("{}", table(&[what, "count", "p50", "p99", "p99.9", "worst"], rows));
    }
}

pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_US, PRECISION).expect("bounds that are in order")
}

/// A worker that sends PING until it is stopped.
#[derive(Debug)]
pub struct PingProbe {
    stop: Sender<()>,
    waits: Receiver<Result<Waits>>,
}

impl PingProbe {
    /// Starts to probe. Fails when the server is gone.
    pub fn start(subject: &Subject) -> Result<PingProbe> {
        let (stop, stopped) = channel();
        let waits = subject.start_worker(move |wire, waits| Ok(waits.send(probe(wire, &stopped))?))?;
        Ok(PingProbe { stop, waits })
    }

    /// Stops and sums up; a PING under way is waited for. Fails when the server stopped answering.
    pub fn stop(self) -> Result<Waits> {
        drop(self.stop);
        self.waits.recv().context("the probing thread panicked")?
    }
}

fn probe(mut wire: Wire, stopped: &Receiver<()>) -> Result<Waits> {
    let mut waits = histogram();
    let ping = Batch::from_iter([cmd("PING")]);
    let mut next = Instant::now();
    loop {
        let sent = Instant::now();
        wire.exchange(&ping)?;
        waits.saturating_record(u64::try_from(sent.elapsed().as_micros())?);
        next = (next + INTERVAL).max(sent);
        if stopped.recv_timeout(next.saturating_duration_since(Instant::now())) != Err(RecvTimeoutError::Timeout) {
            return Ok(Waits::of(&waits));
        }
    }
}
