//! A random world on real servers: a primary with a log, a replica, and a replica of that one, each with a wall clock
//! of its own; clients, and everything that can happen to servers. After each event the books balance, all servers have
//! the same DEBUG DIGEST, nobody waits for what is available, and every acknowledged order is there. In the end nothing
//! happens any more, and every order ends.
//!
//! Two more kinds of worlds are about what comes back: [`persistence`] and [`sentinel`].
//!
//! `HOLDFAST_SEED` makes another world; `make chaos SECONDS=3600` tries one after the other.

mod cluster;
mod events;
mod ledger;
mod log;
mod persistence;
mod sentinel;
mod world;

use crate::common::{ServerBinary, check, tests};
use events::{Happening, happening};
use std::collections::BTreeMap;
use world::World;

tests![
    a_random_world_keeps_its_promises,
    a_cluster_keeps_its_promises,
    a_killed_server_comes_back_as_it_was,
    sentinel_fails_over_and_nothing_acknowledged_is_lost,
];

/// Worlds, and events in each.
const WORLDS: u32 = 3;
const EVENTS: usize = 60;
/// Worlds of one server, and kills in each.
const KILLED_WORLDS: u32 = 2;
const KILLS: usize = 8;
/// Failovers in a world with Sentinels.
const FAILOVERS: usize = 3;

fn a_random_world_keeps_its_promises(binary: &ServerBinary) {
    let strategy = proptest::collection::vec(happening(), EVENTS);
    check(WORLDS, &strategy, |events| {
        eprintln!("a world of {} events: {}", events.len(), counted(&events));
        let mut world = World::new(binary);
        for event in &events {
            world.happens(event);
            world.check(event);
        }
        world.ends();
    });
}

fn a_killed_server_comes_back_as_it_was(binary: &ServerBinary) {
    check(KILLED_WORLDS, &persistence::plan(KILLS), |plan| plan.run(binary));
}

fn sentinel_fails_over_and_nothing_acknowledged_is_lost(binary: &ServerBinary) {
    check(1, &sentinel::plan(FAILOVERS), |plan| plan.run(binary));
}

/// How often something happened in a world.
#[derive(Default)]
struct Figures(BTreeMap<&'static str, usize>);

impl Figures {
    fn add(&mut self, name: &'static str, count: usize) {
        *self.0.entry(name).or_default() += count;
    }

    /// In the form that scripts/chaos adds up.
    fn print(&self) {
        let figures: Vec<String> = self.0.iter().map(|(name, count)| format!("{name} {count}")).collect();
        eprintln!("a world of {} events: {}", figures.len(), figures.join(", "));
    }
}

/// How often each kind of event is among them.
fn counted(events: &[Happening]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for event in events {
        let name = format!("{event:?}");
        let kind = name.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
        *counts.entry(kind.to_string()).or_default() += 1;
    }
    counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
}

fn a_cluster_keeps_its_promises(binary: &ServerBinary) {
    cluster::run(binary);
}
