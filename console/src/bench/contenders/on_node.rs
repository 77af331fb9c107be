//! Contenders whose clients run on Node.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use redis::cmd;
use serde::Deserialize;
use serde_json::json;

use super::drive::Load;
use super::holdfast::Holdfast;
use super::host::{Host, Round};
use super::redis_host::{stock, waiting};
use crate::bench::clock::CpuTime;
use crate::bench::node::{Node, PLACES};
use crate::bench::probe::histogram;
use crate::bench::subject::Subject;
use crate::bench::suite::work::{Expected, Work};

/// Where BullMQ keeps the jobs that wait.
const WAITING_LIST: &str = "bull:bench:wait";

pub struct NodeHost {
    subject: Subject,
    node: Node,
    is_bullmq: bool,
}

/// What the program answers to "run".
#[derive(Deserialize)]
struct Answer {
    orders: u64,
    next: u64,
    seconds: f64,
    latencies_us: Vec<(u64, u64)>,
}

impl NodeHost {
    /// Starts the program that was installed in `dir`. Fails when there is no Node.
    pub fn new(subject: Subject, dir: &Path, is_bullmq: bool) -> Result<NodeHost> {
        Ok(NodeHost { subject, node: Node::start(dir, PLACES)?, is_bullmq })
    }

    /// Opens the program's connections.
    fn open(&mut self, work: Work, load: &Load) -> Result<()> {
        let request = json!({
            "do": "prepare",
            "flow": if self.is_bullmq { "bullmq" } else { "holdfast" },
            "port": self.subject.server.port(),
            "connections": load.shape.connections,
            "pipeline": load.shape.pipeline,
            "skus": work.sku_ids().collect::<Vec<_>>(),
            "items": work.items_an_order(),
            "orders": work.known_orders(),
            "refused": work.expected() == Expected::Refused,
        });
        self.node.ask(&request).map(drop)
    }

    fn send(&mut self, first: u64, most: u64, ms: u64) -> Result<Answer> {
        let answer = self.node.ask(&json!({ "do": "run", "first": first, "most": most, "ms": ms }))?;
        serde_json::from_value(answer).context("the answer of the program on Node")
    }
}

impl Host for NodeHost {
    fn prepare(&mut self, work: Work, _: &Load) -> Result<()> {
        let (url, control) = (self.subject.server.url(), &mut self.subject.control);
        match self.is_bullmq {
            true => Ok(cmd("FLUSHALL").arg("SYNC").exec(control)?),
            false => stock(&url, control, &Holdfast::on_one(), work),
        }
    }

    fn run(&mut self, work: Work, load: Load) -> Result<Round> {
        self.open(work, &load)?;
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis());
        let warm = match load.warm.is_zero() {
            true => Answer { orders: 0, next: load.first, seconds: 0.0, latencies_us: Vec::new() },
            false => self.send(load.first, load.most_orders, ms(load.warm)?)?,
        };
        let (server, pid) = (CpuTime::when_idle(self.subject.pid)?, self.node.process.id());
        let client = CpuTime::now(pid)?;
        let most = load.most_orders - (warm.next - load.first);
        let done = self.send(warm.next, most, ms(load.time)?)?;
        let client_ns = CpuTime::now(pid)?.since(client).process_ns;
        let server_ns = CpuTime::when_idle(self.subject.pid)?.since(server).process_ns;
        self.node.close()?;
        ensure!(done.orders > 0 || most == 0, "no order was placed");
        let mut latency_us = histogram();
        done.latencies_us.iter().for_each(|(us, count)| latency_us.saturating_record_n(*us, *count));
        Ok(Round { orders: done.orders, seconds: done.seconds, server_ns, client_ns, latency_us, next: done.next })
    }

    fn stored_bytes(&mut self) -> Result<u64> {
        self.subject.settled_memory_bytes()
    }

    fn waiting(&mut self) -> Result<u64> {
        match self.is_bullmq {
            true => Ok(cmd("LLEN").arg(WAITING_LIST).query(&mut self.subject.control)?),
            false => waiting(&mut self.subject.control, &Holdfast::on_one()),
        }
    }
}
