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
    bytes_an_order: Vec<f64>,
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

/// Measures a group. Fails when a server does, or an order was not taken as it should.
pub fn measure(setup: &Setup, group: &Group, plan: &RoundsPlan) -> Result<Vec<Cell>> {
    let turns = group.contenders.iter().map(|&contender| {
        let host = setup.start(contender, group.durability).with_context(|| format!("starting {contender}"))?;
        Ok(Turns { contender, host, rounds: Rounds::default(), bytes_an_order: Vec::new() })
    });
    let mut turns = turns.collect::<Result<Vec<_>>>()?;
    for _ in 0..plan.count {
        for turn in &mut turns {
            turn.take(group, plan)
                .with_context(|| format!("{}, {}, {}", turn.contender, group.workload, group.shape))?;
        }
    }
    Ok(turns.into_iter().map(|turn| turn.cell(group)).collect())
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
        let empty_bytes = self.host.stored_bytes()?;
        if work.known_orders() > 0 {
            self.host.run(work, fill(work)).context("placing the orders that are sent again")?;
        }
        let round = self.host.run(work, load)?;
        let (waiting, wanted) = (self.host.waiting()?, work.waiting_after(round.next));
        ensure!(waiting == wanted, "{waiting} orders wait, {wanted} should");
        if work.adds_orders() {
            let added = self.host.stored_bytes()?.saturating_sub(empty_bytes);
            self.bytes_an_order.push(added as f64 / round.next as f64);
        }
        self.rounds.add(&round)
    }

    fn cell(self, group: &Group) -> Cell {
        Cell {
            workload: group.workload,
            contender: self.contender,
            durability: group.durability,
            shape: group.shape.of(self.contender),
            figures: self.rounds.figures(),
            bytes_an_order: (!self.bytes_an_order.is_empty()).then(|| Summary::of(self.bytes_an_order).median),
        }
    }
}
