//! Holdfast past one store and past one server: orders spread over many stores, and over the primaries of a cluster.
//!
//! On one machine the primaries share its cores, so that orders a second cannot grow with them. What must stay as it is
//! is the CPU an order: then as many machines take as many times the orders.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use holdfast_lab::wait::{DEADLINE, wait_for};
use redis::{Connection as Control, cmd};

use super::measure::Rounds;
use super::plan::PIPELINED;
use super::results::{RoundsPlan, ScaleCell};
use super::terms::{Durability, Workload};
use super::work::Work;
use crate::bench::clock::CpuTime;
use crate::bench::contenders::Setup;
use crate::bench::contenders::connection::Connector;
use crate::bench::contenders::drive::{Load, drive};
use crate::bench::contenders::holdfast::Holdfast;
use crate::bench::contenders::host::{MOST_ORDERS, Marks, Round};
use crate::bench::contenders::redis_host::{stock, waiting};
use crate::bench::subject::Subject;
use crate::text::grouped;

const STORES: [u32; 4] = [1, 10, 100, 1_000];
const PRIMARIES: [u32; 3] = [1, 2, 3];
/// In the cluster, whatever the number of primaries.
const CLUSTER_STORES: u32 = 60;
const SLOTS: u32 = 16_384;
const CLUSTER_CONFIG: [&str; 2] = ["cluster-enabled yes", "cluster-node-timeout 15000"];
const WORK: Work = Work { workload: Workload::Place };

/// A server with the stores that it has.
struct Node {
    subject: Subject,
    client: Holdfast,
}

/// Servers that share the orders.
struct Fleet {
    nodes: Vec<Node>,
    stores: u32,
    rounds: Rounds,
}

/// Measures stores on one server, then primaries of a cluster. Fails when a server does.
pub fn measure(setup: &Setup, plan: &RoundsPlan) -> Result<(Vec<ScaleCell>, Vec<ScaleCell>)> {
    let stores = STORES.map(|stores| Fleet::of_stores(setup, stores));
    let stores = measure_fleets(stores.into_iter().collect::<Result<_>>()?, plan).context("many stores")?;
    let cluster = PRIMARIES.map(|primaries| Fleet::of_primaries(setup, primaries));
    let cluster = measure_fleets(cluster.into_iter().collect::<Result<_>>()?, plan).context("a cluster")?;
    Ok((stores, cluster))
}

/// Fleets take turns.
fn measure_fleets(mut fleets: Vec<Fleet>, plan: &RoundsPlan) -> Result<Vec<ScaleCell>> {
    for _ in 0..plan.count {
        fleets.iter_mut().try_for_each(|fleet| fleet.measure(plan))?;
    }
    Ok(fleets.into_iter().map(Fleet::cell).collect())
}

fn store_keys(count: u32) -> impl Iterator<Item = String> {
    (1..=count).map(|n| format!("store:{n}"))
}

impl Fleet {
    fn new(nodes: Vec<Node>, stores: u32) -> Fleet {
        Fleet { nodes, stores, rounds: Rounds::default() }
    }

    fn of_stores(setup: &Setup, stores: u32) -> Result<Fleet> {
        let subject = setup.redis(Durability::None, &[])?;
        Ok(Fleet::new(vec![Node { subject, client: Holdfast::on(store_keys(stores)) }], stores))
    }

    /// A cluster with the slots in equal parts.
    fn of_primaries(setup: &Setup, primaries: u32) -> Result<Fleet> {
        let subjects = (0..primaries).map(|_| setup.redis(Durability::None, &CLUSTER_CONFIG));
        let mut subjects = subjects.collect::<Result<Vec<_>>>()?;
        join(&mut subjects)?;
        let mut stores = vec![Vec::new(); subjects.len()];
        for key in store_keys(CLUSTER_STORES) {
            let slot: u32 = cmd("CLUSTER").arg("KEYSLOT").arg(&key).query(&mut subjects[0].control)?;
            stores[owner_of(slot, primaries) as usize].push(key);
        }
        ensure!(stores.iter().all(|stores| !stores.is_empty()), "a node has no store");
        let node = |(subject, stores)| Node { subject, client: Holdfast::on(stores) };
        Ok(Fleet::new(subjects.into_iter().zip(stores).map(node).collect(), CLUSTER_STORES))
    }

    fn measure(&mut self, plan: &RoundsPlan) -> Result<()> {
        for Node { subject, client } in &mut self.nodes {
            stock(&subject.server.url(), &mut subject.control, client, WORK)?;
        }
        let load = Load {
            shape: PIPELINED,
            warm: Duration::from_millis(plan.warm_ms),
            time: Duration::from_millis(plan.round_ms),
            first: 0,
            most_orders: MOST_ORDERS,
        };
        let clients = self.nodes.iter().map(|node| (node.subject.server.port(), node.client.clone())).collect();
        let pids: Vec<u32> = self.nodes.iter().map(|node| node.subject.pid).collect();
        let cpu = || pids.iter().map(|pid| Ok(CpuTime::when_idle(*pid)?.process_ns)).sum::<Result<u64>>();
        let round: Round = drive(&Connector { clients, work: WORK }, load, || Marks::of(cpu()?))?.into();
        let mut placed = 0;
        for node in &mut self.nodes {
            placed += waiting(&mut node.subject.control, &node.client)?;
        }
        ensure!(placed == round.next, "{placed} orders were placed, {} were sent", round.next);
        self.rounds.add(&round)
    }

    fn cell(self) -> ScaleCell {
        let (stores, primaries) = (self.stores, self.nodes.len() as u32);
        let figures = self.rounds.figures();
        let per_s = grouped(figures.orders_per_s.median as u64);
        let cpu_us = figures.server_cpu_us.median;
        println!("{stores} stores, {primaries} primaries: {per_s} orders/s, {cpu_us:.2} µs of server CPU an order");
        ScaleCell { stores, primaries, shape: PIPELINED, figures }
    }
}

/// The node that has a slot: each has a run of them.
fn owner_of(slot: u32, primaries: u32) -> u32 {
    slot * primaries / SLOTS
}

/// Makes a cluster of these servers. Fails when they do not find each other.
fn join(subjects: &mut [Subject]) -> Result<()> {
    let count = subjects.len() as u32;
    let first_slot = |node: u32| (node * SLOTS).div_ceil(count);
    let (port, bus_port) = (subjects[0].server.port(), subjects[0].server.bus_port());
    for (node, subject) in (0..).zip(&mut *subjects) {
        let (from, to) = (first_slot(node), first_slot(node + 1) - 1);
        cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(from).arg(to).exec(&mut subject.control)?;
        if node > 0 {
            cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(port).arg(bus_port).exec(&mut subject.control)?;
        }
    }
    for subject in subjects {
        let is_joined = |control: &mut Control| -> Result<bool> {
            let info: String = cmd("CLUSTER").arg("INFO").query(control)?;
            Ok(info.contains("cluster_state:ok") && info.contains(&format!("cluster_known_nodes:{count}")))
        };
        wait_for(DEADLINE, "the cluster is up", || Ok(is_joined(&mut subject.control)?.then_some(())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_has_the_owner_that_got_it() {
        for primaries in PRIMARIES {
            for node in 0..primaries {
                let (from, to) = ((node * SLOTS).div_ceil(primaries), ((node + 1) * SLOTS).div_ceil(primaries) - 1);
                assert_eq!((owner_of(from, primaries), owner_of(to, primaries)), (node, node));
            }
        }
    }
}
