//! A random cluster: three primaries, each with a replica, and clients at many stores, whose slots move to and fro in
//! every way there is while servers fail. Nothing acknowledged is lost, nothing is doubled, stuck or orphaned, and
//! audits are clean without a repair.
//!
//! In a calm world everything that was replied is acknowledged: servers are replaced by manual failovers, and those
//! that are killed come back with their log. In a rough one servers are lost with what they alone had, and
//! acknowledged is what a replica has confirmed (WAIT).

mod checks;
mod client;
mod dice;
mod events;
mod load;
mod moves;
mod nodes;
mod shared;
mod untouched;

use crate::common::{DEADLINE, ServerBinary, check, wait_until};
use client::Roamer;
use dice::Dice;
use events::{Atomic, ByKey, Event, Fault, Interrupt, event};
use load::{Buyer, TAGS, Worker, tag};
use nodes::{Nodes, SHARDS, Way};
use proptest::prelude::*;
use shared::Shared;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// Worlds of a run, and events in each.
const WORLDS: u32 = 1;
const EVENTS: usize = 6;

const BUYERS: usize = 3;
const WORKERS: usize = 4;

/// Calls of clients between two events, and at each step of a move.
const CALLS: u64 = 100;

/// How long clients are given for that while a slot is open.
const MOMENT: Duration = Duration::from_millis(500);

/// Runs random worlds.
pub fn run(binary: &ServerBinary) {
    let world = (any::<bool>(), any::<u64>(), proptest::collection::vec(event(), EVENTS));
    check(WORLDS, &world, |(rough, seed, events)| World::start(binary, rough, seed).run(&events));
}

struct World {
    nodes: Nodes,
    shared: Shared,
    seed: u64,
    counts: BTreeMap<String, usize>,
}

/// Ends the threads of a world when one of them fails.
struct EndOnPanic<'a>(&'a Shared);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop.store(true, Ordering::SeqCst);
            self.0.over.store(true, Ordering::SeqCst);
        }
    }
}

impl World {
    fn start(binary: &ServerBinary, rough: bool, seed: u64) -> World {
        let nodes = Nodes::start(binary, rough);
        let shared = Shared::new(nodes.ports(), marks(&nodes), rough);
        checks::open_stores(&mut Roamer::new(&shared));
        untouched::open(&mut Roamer::new(&shared));
        World { nodes, shared, seed, counts: BTreeMap::new() }
    }

    fn run(self, events: &[Event]) {
        let World { mut nodes, shared, seed, mut counts } = self;
        thread::scope(|scope| {
            let _end = EndOnPanic(&shared);
            let shared = &shared;
            let buyer = |number| {
                scope.spawn(move || {
                    let _end = EndOnPanic(shared);
                    Buyer::new(shared, number, seed).run();
                })
            };
            let worker = |number| {
                scope.spawn(move || {
                    let _end = EndOnPanic(shared);
                    Worker::new(shared, number, seed).run();
                })
            };
            let buyers: Vec<_> = (0..BUYERS).map(buyer).collect();
            let workers: Vec<_> = (0..WORKERS).map(worker).collect();
            let mut dice = Dice::new(seed);
            for (round, event) in events.iter().enumerate() {
                traffic(shared);
                untouched::hold(&mut Roamer::new(shared), round, &mut dice);
                happens(&mut nodes, shared, event, &mut counts);
                checks::check_quiet(&nodes, shared, &format!("{event:?}"));
            }
            shared.stop.store(true, Ordering::SeqCst);
            buyers.into_iter().for_each(|buyer| buyer.join().expect("a buyer"));
            let mut client = Roamer::new(shared);
            shared.over.store(true, Ordering::SeqCst);
            let mut round = 0;
            wait_until(DEADLINE * 3, "nobody waits without end", || {
                round += 1;
                if !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
                    checks::release_waiters(&mut client, round);
                }
                workers.iter().all(thread::ScopedJoinHandle::is_finished)
            });
            workers.into_iter().for_each(|worker| worker.join().expect("a worker"));
            checks::finish_orders(&mut client, "w-last");
        });
        checks::check_end(&nodes, &shared);
        checks::check_quiet(&nodes, &shared, "the end");
        report(&shared, counts, events.len());
    }
}

/// A key for each shard, in a slot that does not move.
fn marks(nodes: &Nodes) -> Vec<String> {
    let mut client = nodes.client(0);
    let mut slot = |key: &str| client.int(format!("CLUSTER KEYSLOT {key}"));
    let moving: Vec<i64> = (0..TAGS).map(|number| slot(&tag(number))).collect();
    let mut of = |shard: usize| {
        let keys = (0..).map(|number| format!("mark-{number}"));
        let mut fits = |key: &String| {
            let slot = slot(key);
            !moving.contains(&slot) && nodes.owner(slot) == shard
        };
        keys.into_iter().find(|key| fits(key)).expect("a key of each shard")
    };
    (0..SHARDS).map(&mut of).collect()
}

/// Says what happened: scripts/chaos adds it up.
fn report(shared: &Shared, mut counts: BTreeMap<String, usize>, events: usize) {
    let ledger = shared.ledger();
    counts.extend(ledger.counts.iter().map(|(what, count)| (format!("cluster-{what}"), *count as usize)));
    counts.insert("cluster-calls".into(), shared.calls.load(Ordering::SeqCst) as usize);
    *counts.entry(if shared.rough { "cluster-rough" } else { "cluster-calm" }.into()).or_default() += 1;
    let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
    eprintln!("a world of a cluster, {events} events: {}", counts.join(", "));
}

/// Waits until clients were answered some more.
fn traffic(shared: &Shared) {
    let wanted = shared.calls.load(Ordering::SeqCst) + CALLS;
    wait_until(DEADLINE * 3, "there is traffic", || is_past(shared, wanted));
}

/// The same while a slot is open: it may be that everybody wants something of that one.
fn some_traffic(shared: &Shared) {
    let (wanted, began) = (shared.calls.load(Ordering::SeqCst) + CALLS, Instant::now());
    wait_until(DEADLINE, "a moment has passed", || is_past(shared, wanted) || began.elapsed() > MOMENT);
}

fn is_past(shared: &Shared, calls: u64) -> bool {
    assert!(!shared.stop.load(Ordering::SeqCst), "a client failed");
    shared.calls.load(Ordering::SeqCst) >= calls
}

fn count(counts: &mut BTreeMap<String, usize>, what: impl std::fmt::Display, by: usize) {
    *counts.entry(format!("cluster-{what}")).or_default() += by;
}

fn count_fault(counts: &mut BTreeMap<String, usize>, fault: Fault, when: &str) {
    let name = format!("{fault:?}").to_lowercase();
    let name = name.split(' ').next().unwrap_or_default();
    count(counts, format!("{name}{when}"), 1);
}

fn happens(nodes: &mut Nodes, shared: &Shared, event: &Event, counts: &mut BTreeMap<String, usize>) {
    match (event, nodes.way) {
        (Event::Fault(Interrupt { shard, fault }), _) => {
            let fault = nodes.tamed(*fault);
            nodes.suffer(*shard, fault);
            count_fault(counts, fault, "");
        }
        (Event::ByKey(by_key), _) => move_by_key(nodes, shared, by_key, counts),
        (Event::Atomic(atomic), Some(way)) => move_at_once(nodes, shared, way, atomic, counts),
        // Such a server moves them key by key.
        (Event::Atomic(Atomic { tags, further, interrupt, .. }), None) => {
            let by_key = ByKey {
                tag: tags[0],
                further: *further,
                batch: tags.len(),
                shuffle: 0,
                halfway: 2 * tags.len(),
                interrupt: *interrupt,
                give_up: false,
                source_first: false,
            };
            move_by_key(nodes, shared, &by_key, counts);
        }
    }
}

fn slot_of(nodes: &Nodes, number: usize) -> i64 {
    nodes.client(0).int(format!("CLUSTER KEYSLOT {}", tag(number)))
}

fn move_by_key(nodes: &mut Nodes, shared: &Shared, how: &ByKey, counts: &mut BTreeMap<String, usize>) {
    let slot = slot_of(nodes, how.tag);
    let from = nodes.owner(slot);
    if !nodes.tells_replicas {
        nodes.keep_primary(from);
    }
    let mut open = moves::Open::begin(nodes, slot, how.further, how.batch, Dice::new(how.shuffle));
    open.move_keys(if how.give_up { 0 } else { how.halfway });
    some_traffic(shared);
    if let Some(Interrupt { shard, fault }) = how.interrupt {
        let fault = open.tamed(fault);
        let fault = open.interrupt(shard, fault);
        count_fault(counts, fault, "-in-a-move");
        some_traffic(shared);
    }
    let given_up = how.give_up && {
        let _closed = shared.close();
        open.give_up()
    };
    if given_up {
        count(counts, "given-up-by-key", 1);
    } else {
        let keys = open.finish(how.source_first, || some_traffic(shared));
        count(counts, "slots-by-key", 1);
        count(counts, "keys-moved", keys);
    }
    nodes.free_primary();
}

fn move_at_once(
    nodes: &mut Nodes,
    shared: &Shared,
    way: Way,
    how: &events::Atomic,
    counts: &mut BTreeMap<String, usize>,
) {
    let slots: Vec<i64> = how.tags.iter().map(|number| slot_of(nodes, *number)).collect();
    let hold = how.hold || how.cancel || how.interrupt.is_some();
    let mut atomic = moves::Atomic::begin(nodes, way, &slots, how.further, hold);
    some_traffic(shared);
    if let Some(Interrupt { shard, fault }) = how.interrupt {
        let fault = atomic.tamed(fault);
        atomic.interrupt(shard % SHARDS, fault);
        count_fault(counts, fault, "-in-a-migration");
        some_traffic(shared);
    }
    if how.cancel {
        atomic.cancel();
        count(counts, "migrations-cancelled", 1);
    }
    let moved = atomic.end();
    count(counts, "slots-at-once", moved);
    if moved == 0 {
        count(counts, "migrations-given-up", 1);
    }
}
