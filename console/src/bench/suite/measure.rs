//! One group: its contenders take turns, a round each.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;

use super::plan::Group;
use super::results::{Cell, Figures, RoundsPlan};
use super::terms::Contender;
use super::work::Work;
use crate::bench::contenders::drive::Load;
use crate::bench::contenders::host::{Host, Round, fill};
use crate::bench::contenders::{Setup, most_orders};
use crate::bench::probe::{Waits, histogram};
use crate::bench::rounds::Summary;

/// A contender with what it did until now.
struct Turns {
    contender: Contender,
    host: Box<dyn Host>,
    rounds: Rounds,
}

/// Figures of the rounds that count.
pub struct Rounds {
    orders: u64,
    per_s: Vec<f64>,
    server_us: Vec<f64>,
    client_us: Vec<f64>,
    latency_us: Histogram<u64>,
}

impl Default for Rounds {
    fn default() -> Rounds {
        let none = Vec::new;
        Rounds { orders: 0, per_s: none(), server_us: none(), client_us: none(), latency_us: histogram() }
    }
}

impl Rounds {
    /// Adds a round. Fails when it has no order.
    pub fn add(&mut self, round: &Round) -> Result<()> {
        ensure!(round.orders > 0, "no order was answered in a round");
        let each = |ns: u64| ns as f64 / 1e3 / round.orders as f64;
        self.orders += round.orders;
        self.per_s.push(round.orders as f64 / round.seconds);
        self.server_us.push(each(round.server_ns));
        self.client_us.push(each(round.client_ns));
        self.latency_us.add(&round.latency_us).context("adding latencies")
    }

    pub fn figures(self) -> Figures {
        Figures {
            orders: self.orders,
            orders_per_s: Summary::of(self.per_s),
            server_cpu_us: Summary::of(self.server_us),
            client_cpu_us: Summary::of(self.client_us),
            latency: Waits::of(&self.latency_us),
        }
    }
}

/// What a group came to.
pub struct Measured {
    pub cells: Vec<Cell>,
    /// Who could not do the work, and why.
    pub failed: Vec<String>,
}

/// Measures a group. Others than Holdfast may fail, at a load that they cannot bear: they are left out then.
pub fn measure(setup: &Setup, group: &Group, plan: &RoundsPlan) -> Result<Measured> {
    let turns = group.contenders.iter().map(|&contender| {
        let host = setup.start(contender, group.durability).with_context(|| format!("starting {contender}"))?;
        Ok(Turns { contender, host, rounds: Rounds::default() })
    });
    let (mut turns, mut failed) = (turns.collect::<Result<Vec<_>>>()?, Vec::new());
    for _ in 0..plan.count {
        let mut able = Vec::new();
        for mut turn in turns {
            let Turns { contender, .. } = turn;
            let outcome = turn.take(group, plan);
            match outcome
                .with_context(|| format!("{contender}; {}; {}; {}", group.workload, group.shape, group.durability))
            {
                Ok(()) => able.push(turn),
                Err(error) if contender == Contender::Holdfast => return Err(error),
                Err(error) => failed.push(format!("{error:#}")),
            }
        }
        turns = able;
    }
    Ok(Measured { cells: turns.into_iter().map(|turn| turn.cell(group)).collect(), failed })
}

impl Turns {
    fn take(&mut self, group: &Group, plan: &RoundsPlan) -> Result<()> {
        let work = Work { workload: group.workload };
        let load = Load {
            shape: group.shape.of(self.contender),
            warm: Duration::from_millis(plan.warm_ms),
            time: Duration::from_millis(plan.round_ms),
            first: work.known_orders(),
            most_orders: most_orders(self.contender, work),
        };
        self.host.prepare(work, &load).context("making the stock")?;
        if work.known_orders() > 0 {
            self.host.run(work, fill(work)).context("placing the orders that are sent again")?;
        }
        let round = self.host.run(work, load)?;
        let (waiting, wanted) = (self.host.waiting()?, work.waiting_after(round.next));
        ensure!(waiting == wanted, "{waiting} orders wait, {wanted} should");
        self.rounds.add(&round)
    }

    fn cell(self, group: &Group) -> Cell {
        Cell {
            workload: group.workload,
            contender: self.contender,
            durability: group.durability,
            shape: group.shape.of(self.contender),
            figures: self.rounds.figures(),
        }
    }
}
