//! The world: servers, what goes between them, time; and what has to be true after every step.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::rc::Rc;

use super::action::{Action, Meddling, NODES};
use super::history::{Change, Group, Item, Truth};
use super::node::{Node, stream_key};
use super::turn::Said;
use super::words::{sayable, words};
use super::work::Job;
use crate::host::simulated::Stream;
use crate::store::claims::{hand_out, take_back};
use crate::store::keys::own_store;
use holdfast_engine::base::units::Ms;
use holdfast_engine::calls::work::{Claim, Pick};
use holdfast_engine::oracle::command::{Command, Id, Picked};
use holdfast_engine::oracle::generate::opening;
use holdfast_engine::oracle::shop::START;
use holdfast_engine::store::Store;
use holdfast_engine::terms::streams::StreamKind;

/// How much of a pause is waited for at once: a server reads its clock at least that often.
const LONGEST_SLEEP_MS: Ms = 1_000;

/// What could not be done is looked at again within this time, milliseconds.
const LOOKED_AGAIN_MS: Ms = 12;

pub struct World {
    pub nodes: Vec<Node>,
    pub primary: usize,
    pub history: Vec<Group>,
    pub truth: Truth,
    pub job: Option<Job>,
    /// Whether a wall clock was ahead of its pace: then times may be, too.
    is_forward: bool,
    /// Until when what is due may not have been looked at again, after it could not be done: by the clock that nobody
    /// sets.
    closed_until: Ms,
    /// How that clock stands.
    passed: Ms,
    /// How often outsiders changed the lists of orders.
    pub meddlings: u64,
    /// Streams that are on the other node while the slot moves.
    elsewhere: Vec<(StreamKind, Stream)>,
    calls: Vec<Command>,
    /// Clients' commands by name: how many were done, and how many were refused.
    pub said: BTreeMap<&'static CStr, (u64, u64)>,
}

/// The same command, aimed at what there is: at an order in the state that it is meant for, and where it gives one unit
/// of it back or away, at one of its SKUs.
fn aimed(command: Command, store: &Store) -> Command {
    let mut command = command.aimed(store);
    if let Command::Return { order, items, .. } | Command::Split { order, items, .. } = &mut command
        && let [(sku, 1)] = &mut items[..]
        && let Some(view) = store.order(0, order)
    {
        *sku = view.items[sku.len() % view.items.len()].sku.to_vec();
    }
    command
}

impl World {
    /// A primary with a store that has something in it, and replicas whose clocks are not the primary's.
    pub fn new() -> World {
        let clocks = [(1_000, 0), (900_000, -3_000), (50, 2_000)];
        let node = |(seed, (boot_ms, ahead_ms)): (usize, (Ms, i64))| {
            Node::new(boot_ms, START.saturating_add_signed(ahead_ms), seed as u64)
        };
        let nodes: Vec<_> = clocks.into_iter().enumerate().take(NODES).map(node).collect();
        nodes[0].server.primary.set(true);
        let (history, calls, elsewhere) = (Vec::new(), Vec::new(), Vec::new());
        let (truth, job) = (Truth::default(), None);
        let mut world = World {
            nodes,
            primary: 0,
            history,
            truth,
            job,
            is_forward: false,
            closed_until: 0,
            passed: 0,
            meddlings: 0,
            elsewhere,
            calls,
            said: BTreeMap::new(),
        };
        world.make_store();
        world
    }

    pub fn primary(&self) -> &Node {
        &self.nodes[self.primary]
    }

    fn make_store(&mut self) {
        opening().into_iter().for_each(|command| self.call(command));
    }

    pub fn step(&mut self, action: &Action) {
        match action {
            Action::Call(command) => {
                let aimed = self.primary().store(|value| aimed(command.clone(), &value.store));
                self.call(sayable(aimed.unwrap_or_else(|| command.clone())));
            }
            Action::Again(back) => {
                let command = self.calls.len().checked_sub(*back).and_then(|at| self.calls.get(at)).cloned();
                command.into_iter().for_each(|command| self.call(command));
            }
            Action::Pass(ms) => self.pass(*ms),
            Action::Tick => self.tick(),
            Action::HandOut { worker, count, gone } => self.hand_out(worker, *count, *gone),
            Action::Begin(long) => self.begin(*long),
            Action::Slice => self.slice(),
            Action::Drop => self.drop_store(),
            Action::Meddle(kind, meddling) => self.meddle(*kind, *meddling),
            Action::SendStream(kind) => self.send_stream(*kind),
            Action::SendStore => self.send_store(),
            Action::Arrive => self.arrive(),
            _ => self.step_of_server(action),
        }
    }

    /// What happens to the servers.
    fn step_of_server(&mut self, action: &Action) {
        match *action {
            Action::Cluster => self.nodes.iter().for_each(|node| node.server.cluster.set(true)),
            Action::Deliver(replica, groups) => self.deliver(replica, groups),
            Action::Snapshot(node) => self.nodes[node].save(false),
            Action::Rewrite(node) => self.nodes[node].save(true),
            Action::Reload => self.reload(),
            Action::Crash(lost) => self.crash(lost),
            Action::Restart(node) => self.restart(node),
            Action::Promote(node) => self.promote(node),
            Action::Wall(node, by_ms) => {
                self.is_forward |= by_ms > 0;
                self.nodes[node].set_wall(by_ms);
            }
            Action::Pace(node, pace) => {
                self.is_forward |= pace > 1_000;
                self.nodes[node].pace = pace;
            }
            Action::Pause(is_paused) => self.primary().server.paused.set(is_paused),
            Action::Full(is_full) => self.primary().server.memory_full.set(is_full),
            ref other => unreachable!("{other:?} is of the store"),
        }
    }

    /// Writes are paused: a client's waits, and nobody else writes.
    pub fn is_paused(&self) -> bool {
        self.primary().server.paused.get()
    }

    pub fn is_moving(&self) -> bool {
        self.primary().server.moving.get()
    }

    /// A client's command arrives.
    pub fn call(&mut self, command: Command) {
        let Some((name, rest)) = words(&command).filter(|_| !self.is_paused()) else { return };
        let turn = self.begin_turn();
        let done = self.primary().command(name, &rest).map(drop);
        let parts = self.primary().server.replies.take();
        let (done_so_far, refused) = self.said.entry(name).or_default();
        *if done.is_ok() { done_so_far } else { refused } += 1;
        self.end_turn(turn, Some(Said { command: command.clone(), name, rest, done: done.map(|()| parts) }));
        self.calls.push(command);
    }

    /// Time passes, and every server looks at its clocks. The store's time goes on at nearly the pace of the clock that
    /// nobody sets.
    fn pass(&mut self, ms: Ms) {
        let mut left = ms;
        while left > 0 {
            let part = left.min(LONGEST_SLEEP_MS);
            let before = self.primary().time();
            self.nodes.iter_mut().for_each(|node| node.pass(part));
            let passed = self.primary().time().checked_sub(before).expect("time never steps back");
            assert!(passed + 1 >= part / 2, "{part} ms took {passed} ms of the store's time");
            assert!(self.is_forward || passed <= part + 1, "{part} ms were cut to {passed} ms of the store's time");
            left -= part;
            self.passed += part;
        }
    }

    /// The primary does what is due by its clock: all of it, unless it may not write.
    pub fn tick(&mut self) {
        let turn = self.begin_turn();
        self.primary().tick();
        self.end_turn(turn, None);
        if self.is_paused() || self.is_moving() {
            self.closed_until = self.passed + LOOKED_AGAIN_MS;
        } else if self.closed_until <= self.passed {
            let time = self.primary().time();
            let due = self.primary().store(|value| value.store.next_due()).flatten();
            assert!(due.is_none_or(|due| due > time), "{due:?} is due, and nobody does it at {time}");
        }
    }

    /// A caller who waited is handed what there is.
    fn hand_out(&mut self, worker: &Id, count: usize, gone: bool) {
        let claim = Claim { worker, count, pick: Pick::Any, lease_ms: None };
        let key = crate::host::OwnStr::new(super::node::KEY);
        let Some(uid) = self.primary().store(|value| value.uid).filter(|_| !self.is_paused()) else { return };
        let turn = self.begin_turn();
        let server = &self.primary().server;
        let Some(mut value) = own_store(server, key.get(), uid) else { return };
        let handed = hand_out(server, key.get(), &mut value, &claim).expect("a claim of what there is");
        drop(value);
        let tokens: Vec<_> = handed.into_iter().map(|order| (order.order, order.token)).collect();
        let command = Command::Claim { worker: worker.clone(), count, pick: Picked::Any, lease_ms: None };
        self.end_turn(turn, Some(Said::handed_out(command, &tokens)));
        if gone {
            let turn = self.begin_turn();
            take_back(&self.primary().server, key.get(), uid, &tokens);
            self.end_turn(turn, None);
        }
    }

    fn drop_store(&mut self) {
        if self.is_paused() || self.is_moving() || !self.truth.exists {
            return;
        }
        let turn = self.begin_turn();
        self.job = None;
        self.primary().command(c"STORE.DROP", &[]).expect("a store that is dropped");
        self.end_turn(turn, None);
        assert!(self.primary().server.names().is_empty(), "what is dropped leaves nothing");
        self.make_store();
    }

    // Servers.

    /// A replica gets what it has not got yet, or some of it.
    fn deliver(&mut self, replica: usize, groups: usize) {
        let node = &mut self.nodes[replica];
        if replica == self.primary {
            return;
        }
        for group in self.history.iter().skip(node.offset).take(groups) {
            node.receive_group(group);
        }
    }

    pub fn deliver_all(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.deliver(node, usize::MAX));
    }

    /// A server that has nothing gets to the same by all that was ever replicated.
    pub fn replay_all(&mut self) {
        let node = (self.primary + 1) % self.nodes.len();
        self.nodes[node].start(&Rc::default(), &self.history);
    }

    fn reload(&mut self) {
        let primary = &mut self.nodes[self.primary];
        if !primary.server.moving.get() {
            self.job = None;
            primary.save(false);
            let (digest, disk) = (primary.digest(), Rc::clone(&primary.disk));
            let (paused, full) = (primary.server.paused.get(), primary.server.memory_full.get());
            primary.start(&disk, &[]);
            primary.server.paused.set(paused);
            primary.server.memory_full.set(full);
            assert_eq!(primary.digest(), digest, "a loaded store is the one that was saved");
        }
    }

    /// The primary comes back with what its disk has: the snapshot, and the log but for its end. Replicas that are
    /// ahead of it start anew.
    fn crash(&mut self, lost: usize) {
        self.arrive();
        self.job = None;
        let primary = &mut self.nodes[self.primary];
        let disk = Rc::clone(&primary.disk);
        let left = self.history.len().saturating_sub(lost).max(disk.offset);
        self.history.truncate(left);
        primary.start(&disk, &self.history[disk.offset..]);
        self.follow_the_primary();
    }

    fn restart(&mut self, node: usize) {
        if node != self.primary {
            let node = &mut self.nodes[node];
            let disk = Rc::clone(&node.disk);
            let log = disk.offset..node.offset;
            node.start(&disk, &self.history[log]);
        }
    }

    fn promote(&mut self, node: usize) {
        if node == self.primary {
            return;
        }
        self.arrive();
        self.job = None;
        self.primary().server.paused.set(false);
        self.primary().server.memory_full.set(false);
        self.primary().server.primary.set(false);
        self.primary = node;
        self.history.truncate(self.primary().offset);
        self.primary().server.primary.set(true);
        self.primary().look_soon();
        self.nodes[node].save(false);
        self.follow_the_primary();
    }

    /// What the primary has is the truth, and who is ahead of it starts anew from what it has.
    fn follow_the_primary(&mut self) {
        self.truth = self.history.last().map(|group| (*group.truth).clone()).unwrap_or_default();
        self.meddlings += 1;
        let left = self.history.len();
        assert_eq!(self.primary().digest(), self.history.last().and_then(|group| group.digest));
        let disk = Rc::clone(&self.primary().disk);
        for at in (0..self.nodes.len()).filter(|at| *at != self.primary) {
            if self.nodes[at].offset > left || self.nodes[at].disk.offset > left {
                self.nodes[at].start(&disk, &self.history[disk.offset..]);
            }
        }
        if !self.truth.exists {
            self.make_store();
        }
    }

    // Streams.

    fn meddle(&mut self, kind: StreamKind, meddling: Meddling) {
        let (name, node) = (stream_key(kind), self.primary());
        let makes = matches!(meddling, Meddling::Push(_) | Meddling::Fill) && !self.is_moving();
        if self.is_paused() || !makes && !node.server.names().contains(name.as_bytes()) {
            return;
        }
        let changes = meddling.changes(&node.server.stream(&name), node.time());
        if meddling == Meddling::Expire {
            node.server.expired.borrow_mut().insert(name.into_bytes());
        }
        changes.iter().for_each(|change| node.change(kind, change));
        if matches!(kind, StreamKind::Orders | StreamKind::Retry | StreamKind::Dead) {
            self.truth.is_meddled = true;
            self.meddlings += 1;
        }
        self.replicated(changes.into_iter().map(|change| Item::Stream(kind, change)).collect());
    }

    /// Something was replicated; the truth is as it is now.
    pub fn replicated(&mut self, items: Vec<Item>) {
        if items.is_empty() {
            return;
        }
        let (digest, streams) = (self.primary().digest(), self.primary().streams());
        // Who comes back to here, in the middle of a move, has lost the streams that are on their way.
        let is_meddled = self.truth.is_meddled || self.is_moving();
        let truth = Rc::new(Truth { is_meddled, ..self.truth.clone() });
        self.history.push(Group { items, digest, streams, truth });
        self.nodes[self.primary].offset = self.history.len();
    }

    /// A stream goes to the other node, before the store.
    fn send_stream(&mut self, kind: StreamKind) {
        let (node, name) = (self.primary(), stream_key(kind));
        if !node.server.cluster.get() || self.is_paused() || node.server.expired.borrow().contains(name.as_bytes()) {
            return;
        }
        node.server.moving.set(true);
        if let Some(stream) = node.server.take_stream(&name) {
            node.server.away.borrow_mut().insert(name.into_bytes());
            self.elsewhere.push((kind, stream));
            self.replicated(vec![Item::Stream(kind, Change::Take)]);
        }
    }

    /// The store goes to the other node: its streams are those that went before.
    fn send_store(&mut self) {
        if !self.is_moving() || self.is_paused() {
            return;
        }
        self.job = None;
        let arrived = std::mem::take(&mut self.elsewhere);
        let mut items = Vec::new();
        self.primary().server.away.borrow_mut().clear();
        for kind in StreamKind::ALL {
            if let Some(stream) = self.primary().server.take_stream(&stream_key(kind)) {
                self.primary().server.away.borrow_mut().insert(stream_key(kind).into_bytes());
                self.elsewhere.push((kind, stream));
                items.push(Item::Stream(kind, Change::Take));
            }
        }
        items.extend(arrived.into_iter().map(|(kind, stream)| Item::Stream(kind, Change::Give(stream))));
        let given = items.iter().filter_map(|item| match item {
            Item::Stream(kind, change @ Change::Give(_)) => Some((*kind, change)),
            _ => None,
        });
        given.for_each(|(kind, change)| self.primary().change(kind, change));
        self.primary().open(|value| {
            let pieces = holdfast_engine::oracle::shop::saved(&value.store);
            let store = holdfast_engine::oracle::shop::loaded(&pieces, 77).expect("a saved store loads");
            *value = crate::store::value::StoreValue::new(*store, 0);
        });
        self.primary().look_soon();
        self.replicated(items);
    }

    /// Whatever is on its way arrives.
    fn arrive(&mut self) {
        let arrived = std::mem::take(&mut self.elsewhere);
        self.primary().server.away.borrow_mut().clear();
        self.primary().server.moving.set(false);
        let items: Vec<_> =
            arrived.into_iter().map(|(kind, stream)| Item::Stream(kind, Change::Give(stream))).collect();
        for item in &items {
            let Item::Stream(kind, change) = item else { continue };
            self.primary().change(*kind, change);
        }
        self.replicated(items);
    }
}
