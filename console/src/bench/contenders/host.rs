//! A contender with its server, as the suite sees it.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use super::drive::{Driven, Load};
use crate::bench::clock::CpuTime;
use crate::bench::suite::terms::Shape;
use crate::bench::suite::work::Work;

/// Orders a round at most: the server's memory stays small, and rounds are alike.
pub const MOST_ORDERS: u64 = 400_000;

/// A load that places orders until there are as many, whatever time it takes.
const FILL: Duration = Duration::from_secs(120);
const FILL_SHAPE: Shape = Shape::new(1, 16);

/// One round under load.
#[derive(Debug)]
pub struct Round {
    pub orders: u64,
    pub seconds: f64,
    /// CPU of all the server's threads and processes, nanoseconds.
    pub server_ns: u64,
    /// CPU of the process that sends the orders, nanoseconds.
    pub client_ns: u64,
    pub latency_us: Histogram<u64>,
    /// The number that the next order has.
    pub next: u64,
}

/// CPU times of both sides.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    pub server_ns: u64,
    pub client_ns: u64,
}

impl Marks {
    /// Those of a server, and of this process as the client. Fails when /proc does not say.
    pub fn of(server_ns: u64) -> Result<Marks> {
        Ok(Marks { server_ns, client_ns: CpuTime::now(std::process::id())?.process_ns })
    }
}

impl From<Driven<Marks>> for Round {
    fn from(driven: Driven<Marks>) -> Round {
        let [before, after] = driven.marks;
        Round {
            orders: driven.orders,
            seconds: driven.seconds,
            server_ns: after.server_ns.saturating_sub(before.server_ns),
            client_ns: after.client_ns.saturating_sub(before.client_ns),
            latency_us: driven.latency_us,
            next: driven.next,
        }
    }
}

/// A contender with a server that runs. Everything fails when the server does.
pub trait Host {
    /// Makes the stock, and nothing else.
    fn prepare(&mut self, work: Work, load: &Load) -> Result<()>;

    /// Runs a load against it. Fails too when an order is not taken, or refused, as the work wants.
    fn run(&mut self, work: Work, load: Load) -> Result<Round>;

    /// What the data takes now, bytes.
    fn stored_bytes(&mut self) -> Result<u64>;

    /// How many orders wait for a worker.
    fn waiting(&mut self) -> Result<u64>;
}

/// The load that places the orders a workload wants to be there before.
pub fn fill(work: Work) -> Load {
    Load { shape: FILL_SHAPE, warm: Duration::ZERO, time: FILL, first: 0, most_orders: work.known_orders() }
}
