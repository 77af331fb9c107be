//! The world: servers, what goes between them, time; and what has to be true after every step.

use std::rc::Rc;

use super::action::{Action, Meddling, NODES, RELAY};
use super::aim::{aimed, prepared};
use super::callers::Caller;
use super::history::{Change, Group, Item, Truth};
use super::locks::LockCaller;
use super::log::{taken, written};
use super::node::{Node, stream_key};
use super::shopping::longest;
use super::tally::Outcomes;
use super::turn::Said;
use super::words::{sayable, words};
use super::work::Job;
use crate::host::Host as _;
use crate::host::simulated::Stream;
use holdfast_engine::base::units::Ms;
use holdfast_engine::oracle::command::Command;
use holdfast_engine::oracle::generate::opening;
use holdfast_engine::oracle::shop::START;
use holdfast_engine::terms::streams::StreamKind;

/// How much of a pause is waited for at once: a server reads its clock at least that often.
const LONGEST_SLEEP_MS: Ms = 1_000;

/// One call in so many finds what it finds.
const PREPARED_BUT_ONE_IN: usize = 4;

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
    /// Those who wait for orders, in the order in which they came.
    pub callers: Vec<Caller>,
    /// The same for the lock, the tokens of its owners, and whether a tick runs.
    pub lock_callers: Vec<LockCaller>,
    pub tokens: Vec<u64>,
    pub is_ticking: bool,
    pub outcomes: Outcomes,
}

impl World {
    /// A primary with a store that has something in it, and replicas whose clocks are not the primary's.
    pub fn new() -> World {
        let clocks: [(Ms, i64); NODES] = [(1_000, 0), (900_000, -3_000), (50, 2_000), (7, 40)];
        let node = |(seed, (boot_ms, ahead_ms))| Node::new(boot_ms, START.saturating_add_signed(ahead_ms), seed as u64);
        let nodes: Vec<_> = clocks.into_iter().enumerate().map(node).collect();
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
            callers: Vec::new(),
            lock_callers: Vec::new(),
            tokens: Vec::new(),
            is_ticking: false,
            outcomes: Outcomes::default(),
        };
        world.make_store();
        world
    }

    pub fn primary(&self) -> &Node {
        &self.nodes[self.primary]
    }

    fn make_store(&mut self) {
        let longest =
            Command::SetStock { sku: longest(), on_hand: 9, safety: None, low: None, limit: None, backlog: None };
        opening().into_iter().chain([longest]).for_each(|command| self.call(command));
    }

    pub fn step(&mut self, action: &Action) {
        match action {
            Action::Call(command) => self.aim_and_call(command),
            Action::Again(back) => {
                let command = self.calls.len().checked_sub(*back).and_then(|at| self.calls.get(at)).cloned();
                command.into_iter().for_each(|command| self.call(command));
            }
            Action::Pass(ms) => self.pass(*ms),
            Action::Tick => self.tick(),
            Action::Block(claim, ms) => self.block(sayable(claim.clone()), *ms),
            Action::Lock(call) => self.call_lock(call),
            Action::HangUp(number) if number % 2 == 0 => self.hang_up_lock(*number),
            Action::MissReply(number) if number % 2 == 0 => self.miss_lock_reply(*number),
            Action::Unblock(number) if number % 2 == 0 => self.unblock_lock(*number),
            Action::HangUp(number) => self.hang_up(*number),
            Action::MissReply(number) => self.miss_reply(*number),
            Action::Unblock(number) => self.unblock(*number),
            Action::Multi(is_multi) => self.primary().server.multi.set(*is_multi),
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

    /// A client's command arrives, aimed at what there is. Most of the time what it needs has been done before.
    fn aim_and_call(&mut self, command: &Command) {
        let number = self.calls.len();
        if self.truth.exists
            && !number.is_multiple_of(PREPARED_BUT_ONE_IN)
            && let Some(before) = prepared(command, &self.truth.model, number)
        {
            self.call(before);
        }
        let aimed = self.primary().store(|value| aimed(command.clone(), &value.store, &self.truth.model));
        self.call(sayable(aimed.unwrap_or_else(|| command.clone())));
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
            Action::Pieces(node, pieces) => self.nodes[node].server.pieces_a_turn.set(pieces),
            Action::Slices(node, records) => self.nodes[node].server.slice.set(Some(records)),
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
        self.end_turn(
            turn,
            Some(Said { command: command.clone(), name, rest, done: done.map(|()| parts), is_shortened: false }),
        );
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
        self.is_ticking = true;
        self.end_turn(turn, None);
        self.is_ticking = false;
        self.check_delivered();
        if self.is_paused() || self.is_moving() {
            self.closed_until = self.passed + LOOKED_AGAIN_MS;
        } else if self.closed_until <= self.passed {
            let (time, clock) = (self.primary().time(), (&self.primary().server).now().ms());
            let due = self.primary().store(|value| value.store.next_due()).flatten();
            // The milliseconds of a store that is ahead of the clock do not begin with the clock's.
            let late_ms = Ms::from(time > clock);
            assert!(due.is_none_or(|due| due + late_ms > time), "{due:?} is due, and nobody does it at {time}");
            self.check_served();
            self.check_lock_served();
        }
    }

    fn drop_store(&mut self) {
        if self.is_paused() || self.is_moving() || !self.truth.exists {
            return;
        }
        let (turn, uid) = (self.begin_turn(), self.uid());
        self.job = None;
        self.primary().command(c"STORE.DROP", &[]).expect("a store that is dropped");
        self.end_turn(turn, None);
        let left = self.primary().server.names().into_iter().find(|name| name != super::node::LOCK);
        assert_eq!(left, None, "what is dropped leaves nothing");
        self.leave(uid);
        self.make_store();
    }

    // Servers.

    /// A replica gets what it has not got yet, or some of it.
    fn deliver(&mut self, replica: usize, groups: usize) {
        if replica == self.primary {
            return;
        }
        let has = self.nodes[self.source(replica)].offset;
        let node = &mut self.nodes[replica];
        for group in self.history[..has].iter().skip(node.offset).take(groups) {
            node.receive_group(group);
        }
    }

    /// The server that a replica follows.
    fn source(&self, replica: usize) -> usize {
        if replica == NODES - 1 { RELAY } else { self.primary }
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
        if !self.is_moving() {
            self.leave(self.uid());
            self.leave_lock();
            let turn = self.begin_turn();
            self.primary().serve_callers();
            self.is_ticking = true;
            self.end_turn(turn, None);
            self.is_ticking = false;
            self.check_delivered();
            self.disconnect_all();
            self.job = None;
            let primary = &mut self.nodes[self.primary];
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
        self.callers.clear();
        self.lock_callers.clear();
        let primary = &mut self.nodes[self.primary];
        let disk = Rc::clone(&primary.disk);
        let log = written(&self.history[disk.offset..]);
        let whole = taken(&log[..log.len().saturating_sub(lost)]);
        self.history.truncate(disk.offset + whole.len());
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
        self.disconnect_all();
        self.primary().serve_callers();
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
        self.leave(self.uid());
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
