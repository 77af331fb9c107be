//! Rounds of measurements: all cases take turns (A B C A B C …), so that they meet the same machine.

use std::fmt::Display;
use std::time::Instant;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::clock::{CpuTime, stolen_ms};
use super::report::{Bar, table};
use super::subject::Subject;
use crate::text::grouped;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The middle value (the mean of the two in the middle, of an even number of rounds).
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub rounds: Vec<f64>,
}

impl Summary {
    /// Sums up `rounds`; panics when there are none, as a measurement has at least one.
    pub fn of(rounds: Vec<f64>) -> Summary {
        assert!(!rounds.is_empty(), "a summary of no rounds");
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 };
        Summary { median, min: sorted[0], max: sorted[sorted.len() - 1], rounds }
    }

    /// Half the distance between the extremes, in percent of the median.
    pub fn spread_percent(&self) -> f64 {
        (self.max - self.min) / 2.0 / self.median * 100.0
    }

    pub fn at_most(&self, work: &str, most: f64) -> Bar {
        self.bar(work, format!("at most {most} ×"), self.median <= most)
    }

    pub fn at_least(&self, work: &str, least: f64) -> Bar {
        self.bar(work, format!("at least {least} ×"), self.median >= least)
    }

    fn bar(&self, work: &str, bar: String, reached: bool) -> Bar {
        let measured = format!("{:.2} × (± {:.0} %)", self.median, self.spread_percent());
        Bar { work: work.to_string(), bar, measured, reached }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// CPU of the thread that executes commands, microseconds an operation.
    pub main_us: f64,
    /// CPU of all the server's threads, microseconds an operation.
    pub process_us: f64,
    /// CPU of the client's process, microseconds an operation.
    pub client_us: f64,
    /// Operations a second by the wall clock.
    pub per_s: f64,
}

impl Sample {
    /// Measures work of `ops` operations, which may say how many seconds they took by the client's own clock. Fails as
    /// the work does, and when the server does not get idle, or a process is gone.
    pub fn of(
        subject: &Subject,
        client_pid: u32,
        ops: u64,
        work: impl FnOnce() -> Result<Option<f64>>,
    ) -> Result<Sample> {
        let (server, client, start) = (CpuTime::when_idle(subject.pid)?, CpuTime::now(client_pid)?, Instant::now());
        let seconds = work()?.unwrap_or(start.elapsed().as_secs_f64());
        let client = CpuTime::now(client_pid)?.since(client);
        let server = CpuTime::when_idle(subject.pid)?.since(server);
        let us = |ns: u64| ns as f64 / 1e3 / ops as f64;
        Ok(Sample {
            main_us: us(server.main_ns),
            process_us: us(server.process_ns),
            client_us: us(client.process_ns),
            per_s: ops as f64 / seconds,
        })
    }
}

#[derive(Debug)]
pub struct Rounds<K> {
    samples: Vec<(K, Vec<Sample>)>,
    stolen_ms: u64,
    elapsed_ms: u64,
}

impl<K: Copy + PartialEq + Display> Rounds<K> {
    /// Measures every case `rounds` times, after one round to warm up. Fails as `once` does.
    pub fn measure(cases: &[K], rounds: u32, mut once: impl FnMut(K) -> Result<Sample>) -> Result<Rounds<K>> {
        let (start, stolen) = (Instant::now(), stolen_ms()?);
        let mut samples: Vec<(K, Vec<Sample>)> = cases.iter().map(|&case| (case, Vec::new())).collect();
        for round in 0..=rounds {
            for (case, taken) in &mut samples {
                let sample = once(*case)?;
                // The first round pays for what is done once: pages from the kernel, cold caches, code to compile.
                if round > 0 {
                    taken.push(sample);
                }
            }
        }
        Ok(Rounds {
            samples,
            stolen_ms: stolen_ms()? - stolen,
            elapsed_ms: u64::try_from(start.elapsed().as_millis())?,
        })
    }

    fn values(&self, case: K, value: fn(&Sample) -> f64) -> Option<Vec<f64>> {
        let (_, samples) = self.samples.iter().find(|(found, _)| *found == case)?;
        Some(samples.iter().map(value).collect())
    }

    pub fn summary(&self, case: K, value: fn(&Sample) -> f64) -> Option<Summary> {
        self.values(case, value).map(Summary::of)
    }

    /// `above / below`, where both were measured: by round, so that a machine that slows down does not tilt it.
    pub fn ratio(&self, above: K, below: K, value: fn(&Sample) -> f64) -> Option<Summary> {
        let (above, below) = (self.values(above, value)?, self.values(below, value)?);
        Some(Summary::of(above.iter().zip(&below).map(|(above, below)| above / below).collect()))
    }

    /// Prints a table with a row for each case, and its ratios to others under their names. Gives the rows.
    pub fn print<const N: usize>(
        &self,
        what: &str,
        names: [&str; N],
        ratios: impl Fn(K) -> [Option<Summary>; N],
    ) -> Vec<Row<K>> {
        let row = |&(case, _): &(K, Vec<Sample>)| {
            Some(Row {
                case,
                main_us: self.summary(case, |sample| sample.main_us)?,
                process_us: self.summary(case, |sample| sample.process_us)?,
                client_us: self.summary(case, |sample| sample.client_us)?,
                per_s: self.summary(case, |sample| sample.per_s)?,
                ratios: ratios(case).into(),
            })
        };
        let rows: Vec<_> = self.samples.iter().filter_map(row).collect();
        let header = [what, "µs CPU", "spread", "least", "all threads", "client's µs", "a second"];
        let cells = rows.iter().map(|row| row.cells());
        println!("{}", table(&[&header[..], &names].concat(), cells));
        if self.stolen_ms > 0 {
            println!("(the hypervisor kept a core for others for {} of {} ms)", self.stolen_ms, self.elapsed_ms);
        }
        rows
    }
}

#[derive(Debug, Serialize)]
pub struct Row<K> {
    case: K,
    main_us: Summary,
    process_us: Summary,
    client_us: Summary,
    per_s: Summary,
    ratios: Vec<Option<Summary>>,
}

impl<K: Display> Row<K> {
    fn cells(&self) -> Vec<String> {
        let ratio = |summary: &Option<Summary>| summary.as_ref().map_or("".into(), |s| format!("{:.2}", s.median));
        let mut cells = vec![
            self.case.to_string(),
            format!("{:.2}", self.main_us.median),
            format!("± {:.0} %", self.main_us.spread_percent()),
            format!("{:.2}", self.main_us.min),
            format!("{:.2}", self.process_us.median),
            format!("{:.2}", self.client_us.median),
            grouped(self.per_s.median as u64),
        ];
        cells.extend(self.ratios.iter().map(ratio));
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::{Rounds, Sample, Summary};

    #[test]
    fn takes_the_middle_of_odd_and_even_counts() {
        assert_eq!(Summary::of(vec![9.0, 1.0, 2.0]).median, 2.0);
        assert_eq!(Summary::of(vec![4.0, 1.0, 2.0, 100.0]).median, 3.0);
    }

    #[test]
    fn a_bar_is_reached_by_the_median() {
        let ratio = Summary::of(vec![2.0]);
        assert!(ratio.at_most("w", 2.0).reached && ratio.at_least("w", 2.0).reached);
        assert!(!ratio.at_most("w", 1.9).reached && !ratio.at_least("w", 2.1).reached);
    }

    #[test]
    fn cases_take_turns_and_the_first_round_does_not_count() {
        let mut turns = Vec::new();
        let rounds = Rounds::measure(&['a', 'b'], 2, |case| {
            turns.push(case);
            let main_us = turns.len() as f64 * if case == 'a' { 2.0 } else { 1.0 };
            Ok(Sample { main_us, process_us: 1.0, client_us: 1.0, per_s: 1.0 })
        });
        assert_eq!(turns, ['a', 'b', 'a', 'b', 'a', 'b']);
        let ratio = rounds.expect("measured").ratio('a', 'b', |sample| sample.main_us).expect("both measured");
        assert_eq!(ratio.rounds, [6.0 / 4.0, 10.0 / 6.0]);
    }
}
